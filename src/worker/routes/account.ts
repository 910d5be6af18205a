/** App origin: session, the signed-in person, what waits for them, invitations. */
import * as z from "zod";
import { appMeSchema, sessionFromHandoffSchema, waitingSchema } from "../../protocol/api.ts";
import { sha256 } from "../../core/trust/digests.ts";
import { INVITATION_MS, MAX_OPEN_INVITATIONS } from "../../protocol/limits.ts";
import { toBase64url, utf8 } from "../../protocol/statement-encoding.ts";
import { startSession } from "../auth/account-session.ts";
import { issueCode, redeemCode } from "../auth/one-time-code.ts";
import { accountById, openInvitations } from "../db/account-queries.ts";
import { ApiError } from "../respond.ts";
import { VERSION } from "../version.ts";
import { route } from "./checked-route.ts";
import { signOutAt } from "./sign-out.ts";

const DAY_S = 86_400;

const handoffPayloadSchema = z.object({ account: z.string(), challenge: z.string() });

export const accountRoutes = [
  route<z.infer<typeof sessionFromHandoffSchema>>({
    method: "POST",
    path: "/api/session",
    summary: "Signs the dashboard in with a hand-off code",
    auth: "none",
    limited: true,
    body: sessionFromHandoffSchema,
    run: async ({ body, env }) => {
      const payload = handoffPayloadSchema.safeParse(await redeemCode(env, "handoff", body.code));
      if (!payload.success || payload.data.challenge !== toBase64url(await sha256(utf8(body.verifier)))) throw new ApiError("code-invalid");
      return { json: {}, cookies: [await startSession(env, payload.data.account, "app")] };
    },
  }),
  signOutAt("/api/sign-out"),
  route({
    method: "GET",
    path: "/api/config",
    summary: "What the page needs before sign-in",
    auth: "none",
    run: ({ config }) => Promise.resolve({ approveOrigin: config.approveOrigin, version: VERSION }),
  }),
  route({
    method: "GET",
    path: "/api/me",
    summary: "The signed-in person",
    auth: "account",
    answer: appMeSchema,
    run: async ({ env, config, session }) => {
      const account = await accountById(env.DB, session.account);
      if (account === null) throw new ApiError("not-signed-in");
      return { account: { id: account.id, name: account.name }, approveOrigin: config.approveOrigin, version: VERSION };
    },
  }),
  route({
    method: "GET",
    path: "/api/requests",
    summary: "Devices that wait for a decision, and grants that nobody has answered for yet",
    auth: "account",
    takesToken: true,
    answer: waitingSchema,
    run: async ({ env, session }) => {
      const inbox = env.INBOX.getByName(session.account);
      const [requests, notices] = await Promise.all([inbox.list(), inbox.noticeList()]);
      return { requests, notices };
    },
  }),
  route({
    method: "GET",
    path: "/api/inbox",
    summary: "WebSocket with what waits, live",
    auth: "account",
    run: ({ env, session, request }) => {
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") throw new ApiError("bad-request");
      const headers = {
        upgrade: "websocket",
        "x-gatehouse-account-session": session.selector,
        "x-gatehouse-account-session-expires": String(session.expiresAtMs),
      };
      return env.INBOX.getByName(session.account).fetch(new Request(request.url, { headers }));
    },
  }),
  route({
    method: "POST",
    path: "/api/invitations",
    summary: "An invitation for one more account",
    auth: "account",
    run: async ({ env, config, session }) => {
      if ((await openInvitations(env.DB, session.account, Date.now())) >= MAX_OPEN_INVITATIONS)
        throw new ApiError("too-many", { retryAfterSeconds: DAY_S });
      const { code, expiresAtMs } = await issueCode(env, "invitation", { by: session.account }, INVITATION_MS);
      return { code, url: `${config.approveOrigin}/#invite=${code}`, expiresAtMs };
    },
  }),
];
