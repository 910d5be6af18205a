/** Composes routes by host: app origin, approval origin, gateway origins. Exported so that tests call it without a network. */
import { configProblem, hostKind, isHttpsOnly } from "./config.ts";
import type { Defer } from "./edge-cache.ts";
import type { Env } from "./env.ts";
import { failureCode } from "./failure-code.ts";
import { observe } from "./observe.ts";
import { approveHeaders, dashboardHeaders } from "./page-headers.ts";
import { noteOf } from "./request-note.ts";
import { errorResponse } from "./respond.ts";
import { activityRoutes } from "./routes/activity.ts";
import { authRoutes } from "./routes/auth.ts";
import { routesApp } from "./routes/checked-route.ts";
import { connectorPackage } from "./routes/connector-package.ts";
import { decisionRoutes } from "./routes/decisions.ts";
import { approveAgainRoutes } from "./routes/approve-again.ts";
import { ownerRoutes } from "./routes/owners.ts";
import { connectorRoutes } from "./routes/connector-enrolment.ts";
import { appEnrolmentRoutes, approveEnrolmentRoutes } from "./routes/enrolment.ts";
import { handleGatewayOrigin } from "./routes/gateway-origin.ts";
import { accountRoutes } from "./routes/account.ts";
import { deviceRoutes } from "./routes/devices.ts";
import { gatewayRoutes } from "./routes/gateways.ts";
import { handleLink } from "./routes/link.ts";
import { localActRoutes } from "./routes/local-acts.ts";
import { ready } from "./routes/ready.ts";
import { appPersonRoutes, approvePersonRoutes } from "./routes/members.ts";
import { appProposalRoutes, approveProposalRoutes } from "./routes/proposals.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { VERSION } from "./version.ts";

/** Every route of the app origin's API; tests walk this table. */
export const appRoutes = [
  ...accountRoutes,
  ...gatewayRoutes,
  ...deviceRoutes,
  ...activityRoutes,
  ...appPersonRoutes,
  ...appProposalRoutes,
  ...tokenRoutes,
  ...appEnrolmentRoutes,
  ...connectorRoutes,
];
/** Every route of the approval origin's API. */
export const approveRoutes = [
  ...authRoutes,
  ...ownerRoutes,
  ...approveEnrolmentRoutes,
  ...decisionRoutes,
  ...approveAgainRoutes,
  ...localActRoutes,
  ...approvePersonRoutes,
  ...approveProposalRoutes,
];

const appApi = routesApp(appRoutes, "app");
const approveApi = routesApp(approveRoutes, "approve");

/** A page of ours: one HTML file for every path without a dot. @param own files beside it, by path */
async function page(request: Request, env: Env, folder: string, headers: Headers, own: readonly string[] = []): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return errorResponse("not-found");
  const { pathname } = new URL(request.url);
  const name = own.includes(pathname) ? pathname : "/";
  if (name === "/" && pathname.includes(".")) return errorResponse("not-found");
  const file = await env.ASSETS.fetch(new URL(`/${folder}${name}`, request.url).href);
  if (!file.ok) return errorResponse("not-found");
  if (name !== "/") headers.set("content-type", file.headers.get("content-type") ?? "");
  return new Response(file.body, { headers });
}

/** The API's own description, as the build wrote it. */
async function apiDescription(request: Request, env: Env): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return errorResponse("not-found");
  const known = request.headers.get("if-none-match");
  const file = await env.ASSETS.fetch(new URL("/app/openapi.json", request.url).href, {
    headers: known === null ? {} : { "if-none-match": known },
  });
  if (!file.ok && file.status !== 304) return errorResponse("not-found");
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-cache", "x-content-type-options": "nosniff" });
  const etag = file.headers.get("etag");
  if (etag !== null) headers.set("etag", etag);
  return new Response(request.method === "HEAD" ? null : file.body, { status: file.status, headers });
}

async function appOrigin(request: Request, env: Env): Promise<Response> {
  const { pathname } = new URL(request.url);
  const note = noteOf(request);
  const own = await healthOf(request, env);
  if (own !== null) return own;
  if (pathname.startsWith("/link/")) note.route = "GET /link/:gateway";
  if (pathname === "/api/openapi.json") return apiDescription(request, env);
  if (pathname.startsWith("/api/")) return appApi.fetch(request, env);
  if (pathname.startsWith("/link/")) return handleLink(request, env, pathname.slice("/link/".length));
  if (/^\/connector-[^/]*\.tgz$/.test(pathname)) return connectorPackage(request, env, pathname.slice(1));
  return page(request, env, "app", dashboardHeaders(env), ["/app.js", "/app.css"]);
}

async function approveOrigin(request: Request, env: Env): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith("/api/")) return approveApi.fetch(request, env);
  return page(request, env, "approve", approveHeaders(env));
}

/** @returns the answer to whoever watches over this deployment, or null for every other path */
async function healthOf(request: Request, env: Env): Promise<Response | null> {
  const { pathname } = new URL(request.url);
  if (pathname !== "/healthz" && pathname !== "/readyz") return null;
  noteOf(request).route = `GET ${pathname}`;
  if (pathname === "/healthz") return Response.json({ ok: true, version: VERSION }, { headers: { "cache-control": "no-store" } });
  const answer = await ready(env, Date.now());
  if (!answer.ok) noteOf(request).decision = "unavailable";
  return answer;
}

/** Over plain http cookies and passkeys would be anybody's who listens (PROTOCOL.md OP5). @returns null when the request may go on */
function overTls(request: Request, env: Env): Response | null {
  const url = new URL(request.url);
  if (!isHttpsOnly(env) || url.protocol === "https:") return null;
  noteOf(request).decision = "https-only";
  const isPlainRead = (request.method === "GET" || request.method === "HEAD") && !request.headers.has("upgrade");
  if (!isPlainRead) return errorResponse("https-only");
  url.protocol = "https:";
  return new Response(null, { status: 308, headers: { location: url.href, "cache-control": "no-store" } });
}

async function answerOf(request: Request, env: Env, defer: Defer): Promise<Response> {
  const note = noteOf(request);
  try {
    const problem = configProblem(env);
    if (problem !== null) {
      // Whatever the host: which one is ours is not known either.
      const health = await healthOf(request, env);
      if (health !== null) return health;
      note.decision = "not-configured";
      note.code = problem;
      return errorResponse("not-configured");
    }
    const host = hostKind(env, new URL(request.url).host);
    // Refined on the way; anything that is not is a page, or nothing.
    note.route = `${host.kind} *`;
    const elsewhere = host.kind === "other" ? null : overTls(request, env);
    if (elsewhere !== null) return elsewhere;
    if (host.kind === "app") return await appOrigin(request, env);
    if (host.kind === "approve") return await approveOrigin(request, env);
    if (host.kind === "gateway") return await handleGatewayOrigin(request, env, host.label, defer);
    note.decision = "not-found";
    return errorResponse("not-found");
  } catch (error) {
    note.decision = "internal";
    note.code = failureCode(error);
    return errorResponse("internal");
  }
}

/** Answers every request of the Worker; never throws. @param defer for work that goes on after the answer: the platform's `waitUntil` */
export async function handle(request: Request, env: Env, defer: Defer = () => undefined): Promise<Response> {
  const startMs = Date.now();
  const response = await answerOf(request, env, defer);
  observe(request, env, { status: response.status, ms: Date.now() - startMs, draw: Math.random() }, defer);
  return response;
}
