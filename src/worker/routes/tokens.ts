/** App origin: the account's API tokens. Made, listed and revoked with the account's own sign-in only. */
import type * as z from "zod";
import { apiTokenMadeSchema, apiTokenRequestSchema, apiTokensSchema } from "../../protocol/api.ts";
import { MAX_API_TOKENS_PER_ACCOUNT } from "../../protocol/limits.ts";
import { makeApiToken } from "../auth/api-token.ts";
import { apiTokenCount, apiTokensOf, deleteApiToken } from "../db/token-queries.ts";
import type { ApiTokenRow } from "../db/token-queries.ts";
import { ApiError } from "../respond.ts";
import { auditAccount } from "./auth.ts";
import { route } from "./checked-route.ts";

const DAY_MS = 86_400_000;

function view({ selector, name, createdAtMs, expiresAtMs, lastUsedAtMs }: ApiTokenRow) {
  return { id: selector, name, createdAtMs, expiresAtMs, lastUsedAtMs };
}

export const tokenRoutes = [
  route({
    method: "GET",
    path: "/api/tokens",
    summary: "The account's API tokens, without what they are used by",
    auth: "account",
    answer: apiTokensSchema,
    run: async ({ env, session }) => ({ tokens: (await apiTokensOf(env.DB, session.account)).map(view) }),
  }),
  route<z.infer<typeof apiTokenRequestSchema>>({
    method: "POST",
    path: "/api/tokens",
    summary: "Makes an API token; it is shown this once",
    auth: "account",
    body: apiTokenRequestSchema,
    answer: apiTokenMadeSchema,
    run: async ({ env, session, body }) => {
      if ((await apiTokenCount(env.DB, session.account)) >= MAX_API_TOKENS_PER_ACCOUNT) throw new ApiError("too-many");
      const { token, row } = await makeApiToken(env, session.account, body.name, Date.now() + body.days * DAY_MS);
      await auditAccount(env, session.account, "api-token-made");
      return { token, ...view(row) };
    },
  }),
  route({
    method: "DELETE",
    path: "/api/tokens/:token",
    summary: "Revokes an API token, at once",
    auth: "account",
    run: async ({ env, session, param }) => {
      if (!(await deleteApiToken(env.DB, session.account, param("token")))) throw new ApiError("not-found");
      await auditAccount(env, session.account, "api-token-revoked");
      return {};
    },
  }),
];
