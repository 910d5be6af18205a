/** How every API route is declared: origin checked, body parsed, account known, errors mapped. openapi.ts describes the same table. */
import { Hono } from "hono";
import type { Context } from "hono";
import type * as z from "zod";
import { MAX_JSON_BODY_BYTES } from "../../protocol/limits.ts";
import { apiTokenAccount, bearerOf } from "../auth/api-token.ts";
import { currentSession, hasSessionCookie } from "../auth/account-session.ts";
import type { AccountSession, Audience } from "../auth/account-session.ts";
import { boundedText } from "../bounded-body.ts";
import { readConfig } from "../config.ts";
import type { Config } from "../config.ts";
import type { Env } from "../env.ts";
import { failureCode, isDatabaseError } from "../failure-code.ts";
import { noteOf } from "../request-note.ts";
import { ApiError, errorResponse } from "../respond.ts";
import { mayStrangerAsk } from "../stranger-limit.ts";

export interface Call<Body> {
  readonly env: Env;
  readonly config: Config;
  readonly request: Request;
  readonly body: Body;
  readonly session: AccountSession;
  readonly param: (name: string) => string;
  readonly query: (name: string) => string | undefined;
  /** Selector of the API token that asks; null: the person, from a page of ours. */
  readonly token: string | null;
}

/** What a handler returns: JSON, JSON with cookies, or a whole response. */
export type Answer = object | Response | { readonly json: object; readonly cookies: readonly string[] };

export interface Route<Body> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly summary: string;
  readonly body?: z.ZodType<Body>;
  /** `MAX_JSON_BODY_BYTES` unless it says more. */
  readonly maxBodyBytes?: number;
  readonly answer?: z.ZodType;
  /** `account`: the cookie of this origin is needed. `connector`: no browser may call (an Origin is refused). */
  readonly auth: "account" | "none" | "connector";
  /** Answers an API token, too: it reads or suspends (PROTOCOL.md AT). Every other route sees no credentials in one. */
  readonly takesToken?: boolean;
  /** Costs a stranger's budget (sign-in, codes). */
  readonly limited?: boolean;
  readonly run: (call: Call<Body>) => Promise<Answer>;
}

// oxlint-disable-next-line typescript/no-explicit-any -- bodies differ per route; each is parsed by its own schema before `run`
export type AnyRoute = Route<any>;

/** Keeps the body's type between schema and handler. */
export function route<Body = undefined>(definition: Route<Body>): AnyRoute {
  return definition;
}

/** Exact origin of the host itself on everything that changes state and on upgrades, JSON included (hono's csrf() ignores JSON). */
function checkOrigin(request: Request, own: string, auth: AnyRoute["auth"]): void {
  const origin = request.headers.get("origin");
  if (auth === "connector") {
    if (origin !== null) throw new ApiError("wrong-origin");
    return;
  }
  const isUpgrade = request.headers.get("upgrade") !== null;
  if (request.method === "GET" && !isUpgrade) return;
  const site = request.headers.get("sec-fetch-site");
  if (origin !== own || (site !== null && site !== "same-origin")) throw new ApiError("wrong-origin");
}

async function readBody(request: Request, schema: z.ZodType | undefined, maxBytes: number): Promise<unknown> {
  if (schema === undefined) return undefined;
  if (!(request.headers.get("content-type") ?? "").startsWith("application/json")) throw new ApiError("bad-request");
  const text = await boundedText(request, maxBytes);
  if (text === null) throw new ApiError("too-large");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError("bad-request");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ApiError("bad-request");
  return parsed.data;
}

/** Tries cost their address's budget, those of the wrong shape nothing at all. */
function ofToken(env: Env, request: Request, shown: string): Promise<AccountSession | null> {
  return apiTokenAccount(env, shown, async () => {
    if (!(await mayStrangerAsk(request, env, "token"))) throw new ApiError("too-many");
  });
}

async function handle(context: Context<{ Bindings: Env }>, each: AnyRoute, audience: Audience): Promise<Response> {
  const { env } = context;
  const request = context.req.raw;
  const note = noteOf(request);
  note.route = `${each.method} ${each.path}`;
  note.gateway = context.req.param("gateway") ?? null;
  try {
    const config = readConfig(env);
    const shown = each.takesToken === true && audience === "app" ? bearerOf(request) : null;
    // Two ways that never mix: a page sends its cookie and is of our origin; a script sends its token, and no browser adds one to another site's request.
    if (shown === null) checkOrigin(request, audience === "app" ? config.appOrigin : config.approveOrigin, each.auth);
    if (each.limited === true && !(await mayStrangerAsk(request, env))) throw new ApiError("too-many");
    const session =
      each.auth !== "account" ? null : shown === null ? await currentSession(env, request, audience) : await ofToken(env, request, shown);
    if (each.auth === "account" && session === null) {
      // A cookie that opens nothing is a try, and costs like one.
      const isTry = shown === null && hasSessionCookie(request);
      throw new ApiError(isTry && !(await mayStrangerAsk(request, env)) ? "too-many" : "not-signed-in");
    }
    if (session !== null && !(await env.ACCOUNT_LIMIT.limit({ key: session.account })).success) throw new ApiError("too-many");
    note.account = session?.account ?? null;
    const body = await readBody(request, each.body, each.maxBodyBytes ?? MAX_JSON_BODY_BYTES);
    const call = {
      env,
      config,
      request,
      body,
      session: session ?? { account: "", selector: "", expiresAtMs: 0 },
      param: (name: string) => context.req.param(name) ?? "",
      query: (name: string) => context.req.query(name),
      token: shown === null ? null : (session?.selector ?? null),
    };
    return encode(await each.run(call));
  } catch (error) {
    if (error instanceof ApiError) {
      note.decision = error.code;
      return errorResponse(error.code, error.extra);
    }
    note.decision = isDatabaseError(error) ? "unavailable" : "internal";
    note.code = failureCode(error);
    return errorResponse(note.decision === "unavailable" ? "unavailable" : "internal");
  }
}

function encode(answer: Answer): Response {
  if (answer instanceof Response) return answer;
  const withCookies = "cookies" in answer && "json" in answer;
  const headers = new Headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  if (withCookies) for (const cookie of answer.cookies) headers.append("set-cookie", cookie);
  return Response.json(withCookies ? answer.json : answer, { headers });
}

/** @returns the routes as a hono app; anything else is the constant 404 */
export function routesApp(routes: readonly AnyRoute[], audience: Audience): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>();
  for (const each of routes) app.on(each.method, each.path, (context) => handle(context, each, audience));
  app.notFound((context) => {
    noteOf(context.req.raw).decision = "not-found";
    return errorResponse("not-found");
  });
  return app;
}
