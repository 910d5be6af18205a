/** What the demo gateway answers over HTTP (openclaw.md 6): probes, its page under every path that is nobody else's, 404 for the rest. */
import type http from "node:http";
import type { Ingress } from "./ingress.ts";
import { DEMO_PAGE } from "./page.ts";

export const NOT_ATTRIBUTED = JSON.stringify({
  error: { type: "proxy_attribution_required", message: "Name this proxy in gateway.trustedProxies and let it set X-Forwarded-For." },
});

const PROBES: Readonly<Record<string, string>> = {
  "/healthz": '{"ok":true,"status":"live"}',
  "/health": '{"ok":true,"status":"live"}',
  "/readyz": '{"ready":true}',
  "/ready": '{"ready":true}',
};
/** Paths of OpenClaw's that never fall back to the page. */
const NO_PAGE = /^\/(assets|api|v1|plugins|share|j|__openclaw__)(\/|$)/;
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

/** Answers one request. @param ingress who sent it; for `unattributable-proxy` everything but `/healthz` is 403 */
export function answerHttp(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  ingress: Ingress,
  onRequest?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean,
): void {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const text = (status: number, body: string): unknown =>
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(body);
  if (ingress.kind === "unattributable-proxy" && path !== "/healthz") return void response.writeHead(403, JSON_TYPE).end(NOT_ATTRIBUTED);
  const isRead = request.method === "GET" || request.method === "HEAD";
  const probe = PROBES[path];
  if (probe !== undefined) return void (isRead ? response.writeHead(200, JSON_TYPE).end(probe) : text(405, "Method Not Allowed"));
  if (onRequest?.(request, response) === true) return;
  if (!isRead || NO_PAGE.test(path)) return void text(404, "Not Found");
  if (path === "/demo.js") return void response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(DEMO_PAGE.script);
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy":
      "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
  };
  response.writeHead(200, headers).end(DEMO_PAGE.html);
}
