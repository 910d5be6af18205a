/** The API's own description. Made at build time from the routes' table (scripts/build.ts): no request pays for it. */
import * as z from "zod";
import { apiErrorSchema } from "../../protocol/api-errors.ts";
import { ACCOUNT_COOKIE } from "../../protocol/words.ts";
import type { AnyRoute } from "./checked-route.ts";

/** @returns OpenAPI 3.1 of the routes that really answer; relative to the app origin, so that one document fits every deployment */
export function openApi(routes: readonly AnyRoute[], info: { readonly version: string }): object {
  const paths: Record<string, Record<string, object>> = {};
  const json = (schema: z.ZodType): object => ({ "application/json": { schema: z.toJSONSchema(schema, { unrepresentable: "any" }) } });
  for (const each of routes) {
    const path = each.path.replace(/:(\w+)/g, "{$1}");
    const parameters = [...each.path.matchAll(/:(\w+)/g)].map((match) => ({
      name: match[1],
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    (paths[path] ??= {})[each.method.toLowerCase()] = {
      summary: each.summary,
      parameters,
      security: security(each),
      ...(each.body === undefined ? {} : { requestBody: { required: true, content: json(each.body) } }),
      responses: {
        "200": { description: "Done", ...(each.answer === undefined ? {} : { content: json(each.answer) }) },
        default: { description: "Refused", content: json(apiErrorSchema) },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Gatehouse", version: info.version },
    servers: [{ url: "/" }],
    paths,
    components: { securitySchemes: SCHEMES },
  };
}

const SCHEMES = {
  signIn: { type: "apiKey", in: "cookie", name: ACCOUNT_COOKIE, description: "The dashboard's own sign-in." },
  apiToken: { type: "http", scheme: "bearer", bearerFormat: "gtha_…", description: "An API token: reads, and suspends devices." },
} as const;

function security({ auth, takesToken }: AnyRoute): readonly object[] {
  if (auth !== "account") return [];
  return takesToken === true ? [{ signIn: [] }, { apiToken: [] }] : [{ signIn: [] }];
}
