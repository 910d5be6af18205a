/** A gateway's own origin: the door under /.gatehouse/, everything else the gateway's, byte for byte, for allowed devices only. */
import { visitorAddress } from "../../core/http/client-ip.ts";
import { localCoding } from "../../core/http/local-coding.ts";
import { MAX_JSON_BODY_BYTES } from "../../protocol/limits.ts";
import { DOOR_PREFIX } from "../../protocol/words.ts";
import { isGatewayId } from "../auth/gateway-id.ts";
import { openSessionCookie } from "../auth/session-cookie.ts";
import { boundedText } from "../bounded-body.ts";
import { isLocalOrigin, readConfig } from "../config.ts";
import { EdgeCache } from "../edge-cache.ts";
import type { Defer } from "../edge-cache.ts";
import type { Env } from "../env.ts";
import { doorHeaders } from "../page-headers.ts";
import { noteOf } from "../request-note.ts";
import { errorResponse } from "../respond.ts";
import { mayStrangerAsk } from "../stranger-limit.ts";
import { FAILED_HEADER, INTERNAL_HEADER_PREFIX, REFUSED_BY_BUDGET, REFUSED_HEADER } from "../room/ports.ts";

const ASSETS: Readonly<Record<string, string>> = {
  "door.js": "/door/door.js",
  "door.css": "/door/door.css",
  "status.js": "/door/status.js",
};

/**
 * The one place of a service worker, the stock page's own. A worker from anywhere else, say from what an agent wrote into its canvas, would stand
 * before the door of this browser for good, also after a cut.
 */
const SERVICE_WORKER = "/sw.js";

function plain(status: number, text: string): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" } });
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** @param activation code and state that the approval page posted, for the page's script */
async function doorPage(
  env: Env,
  request: Request,
  { activation, refused }: { readonly activation?: { readonly code: string; readonly state: string }; readonly refused?: Response } = {},
): Promise<Response> {
  const page = await env.ASSETS.fetch(new URL("/door/", request.url).href);
  let html = await page.text();
  // A function: in a replacement text `$&` and its kin would mean something.
  if (activation !== undefined)
    html = html.replace("<body", () => `<body data-code="${escaped(activation.code)}" data-state="${escaped(activation.state)}"`);
  // In the place of a gateway that is away: the page says why, the status says so to everything that is no person.
  if (refused === undefined || refused.status < 500) return new Response(html, { headers: doorHeaders(env) });
  const headers = new Headers(doorHeaders(env));
  headers.set("retry-after", refused.headers.get("retry-after") ?? "5");
  return new Response(html, { status: 503, headers });
}

/** For an address that is no gateway's: a page for people, the same for every such address and path (PROTOCOL.md AB8). */
async function unknownGateway(env: Env, request: Request): Promise<Response> {
  if (!isNavigation(request)) return errorResponse("not-found");
  const page = await env.ASSETS.fetch(new URL("/door/unknown", request.url).href);
  return new Response(page.body, { status: 404, headers: doorHeaders(env) });
}

/** In the place of a gateway whose budget of today is used up (PROTOCOL.md BU4). */
async function usedUpPage(env: Env, request: Request, refused: Response): Promise<Response> {
  const page = await env.ASSETS.fetch(new URL("/door/used-up", request.url).href);
  const headers = new Headers(doorHeaders(env));
  headers.set("retry-after", refused.headers.get("retry-after") ?? "");
  return new Response(page.body, { status: 503, headers });
}

/** @param body what was read of it already; else it goes on as it comes */
function toRoom(request: Request, env: Env, gateway: string, extra: Readonly<Record<string, string>>, body?: string): Promise<Response> {
  // Taken out first and all at once: deleting while reading may skip a neighbour.
  const headers = new Headers([...request.headers].filter(([name]) => !name.startsWith(INTERNAL_HEADER_PREFIX)));
  const observed = request.headers.get("cf-connecting-ip");
  headers.set("x-gatehouse-client-ip", visitorAddress(observed));
  const { country } = (request.cf ?? {}) as { country?: unknown };
  if (typeof country === "string") headers.set("x-gatehouse-country", country);
  for (const [name, value] of Object.entries(extra)) headers.set(`x-gatehouse-${name}`, value);
  const forwarded = new Request(request, { headers, redirect: "manual", ...(body === undefined ? {} : { body }) });
  return env.ROOM.getByName(gateway).fetch(forwarded);
}

/** The request, on this machine with the one coding that its runtime hands on, so that no body is unpacked and packed on the way. */
function withLocalCoding(request: Request, origin: string): Request {
  const { clientAcceptEncoding } = (request.cf ?? {}) as { clientAcceptEncoding?: unknown };
  if (typeof clientAcceptEncoding !== "string" || !isLocalOrigin(origin)) return request;
  const headers = new Headers(request.headers);
  headers.set("accept-encoding", localCoding(clientAcceptEncoding));
  return new Request(request, { headers });
}

function isNavigation(request: Request): boolean {
  if (request.method !== "GET") return false;
  const mode = request.headers.get("sec-fetch-mode");
  return mode === null ? (request.headers.get("accept") ?? "").includes("text/html") : mode === "navigate";
}

/**
 * Whether a page of another origin loads this as its part: image, script, frame. Gateways share a registrable domain, so SameSite does not keep
 * a hostile one from that; coming here as a person does (a link) is fine. Browsers say so in Sec-Fetch-*; others carry no cookie of ours.
 */
function isEmbeddedElsewhere(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== "same-site" && site !== "cross-site") return false;
  return request.headers.get("sec-fetch-mode") !== "navigate" || request.headers.get("sec-fetch-dest") !== "document";
}

/**
 * Answers any request to `<label>.<GATEWAY_DOMAIN>`.
 *
 * @param label first label of the host; anything but an id of ours ends here, before a room exists
 * @param defer for work that goes on after the answer
 */
export async function handleGatewayOrigin(request: Request, env: Env, label: string, defer: Defer): Promise<Response> {
  const note = noteOf(request);
  const decided = (decision: string, response: Response): Response => {
    note.decision = decision;
    return response;
  };
  if (!(await isGatewayId(env, label))) return decided("not-found", await unknownGateway(env, request));
  note.gateway = label;
  const url = new URL(request.url);
  const origin = readConfig(env).gatewayOrigin(label);
  const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  const isSafe = request.method === "GET" || request.method === "HEAD";
  // Browsers mark the loading of a service worker's script, and no page can leave the mark out.
  if (request.headers.has("service-worker") && url.pathname !== SERVICE_WORKER) return decided("not-found", plain(404, "Not found.\n"));
  if (url.pathname === "/.gatehouse" || url.pathname.startsWith(DOOR_PREFIX)) {
    note.route = `gateway ${doorRoute(url.pathname)}`;
    const answer = await handleDoor(request, env, label, origin, url);
    return decided(hasFailed(answer) ? ROOM_FAILED : answer.status < 400 ? "door" : `door-${answer.status}`, toVisitor(answer));
  }
  const cookie = await openSessionCookie(env, request, label, Date.now());
  if (cookie === null) {
    if (!isUpgrade && isNavigation(request)) return decided("door", await doorPage(env, request));
    return decided("no-session", plain(401, "Open this address in a browser to sign this device in.\n"));
  }
  // Another page must not use the cookie: exact Origin on upgrades and on everything that may change something.
  if (((isUpgrade || !isSafe) && request.headers.get("origin") !== origin) || isEmbeddedElsewhere(request))
    return decided("wrong-origin", plain(403, "This request came from another site.\n"));
  const stream = { kind: "stream", session: cookie.session };
  if (isUpgrade) {
    const named = { device: cookie.device, "session-ends": String(cookie.expiresAtMs) };
    const answer = await toRoom(request, env, label, { ...stream, ...named });
    return decided(ofRoom(answer), toVisitor(answer));
  }
  const asked = withLocalCoding(request, origin);
  const edge = new EdgeCache({ request: asked, origin, cookie, isNavigation: isNavigation(request), defer });
  const kept = await edge.hit(Date.now());
  if (kept !== null) return decided("edge-hit", kept);
  const answer = await toRoom(asked, env, label, edge.asksBuild ? { ...stream, edge: "1" } : stream);
  const taken = await edge.take(answer, Date.now());
  note.decision = ofRoom(taken);
  // Session over, device cut, gateway away: a person sees the door, which says so and goes on by itself.
  const refused = taken.headers.get(REFUSED_HEADER);
  // The stock page asks so whether it can load itself anew, and loads what a navigation gets (PROTOCOL.md EA5).
  if (refused !== null && request.method === "HEAD" && taken.status < 500) return headOf(await doorPage(env, request));
  if (refused === null || !isNavigation(request)) return toVisitor(taken);
  return refused === REFUSED_BY_BUDGET ? usedUpPage(env, request, taken) : doorPage(env, request, { refused: taken });
}

/** What the door's script asks of its room, by path. */
const POSTED: ReadonlyMap<string, string> = new Map([
  ["api/challenge", "challenge"],
  ["api/standing", "standing"],
  ["api/session", "session"],
]);

/** Paths of the door as the log knows them; anything else below it is whatever somebody tried. */
const DOOR_ROUTES: readonly string[] = ["", "wait", "activate", "status", ...POSTED.keys(), "api/status", ...Object.keys(ASSETS)];

function doorRoute(pathname: string): string {
  const path = pathname.slice(DOOR_PREFIX.length);
  return DOOR_PREFIX + (DOOR_ROUTES.includes(path) ? path : "*");
}

/** What the log says of a room that failed itself. */
const ROOM_FAILED = "room-failed";

function hasFailed(answer: Response): boolean {
  return answer.headers.has(FAILED_HEADER);
}

/** What became of a visitor's request, for its line. */
function ofRoom(answer: Response): string {
  if (hasFailed(answer)) return ROOM_FAILED;
  return answer.headers.has(REFUSED_HEADER) ? `refused-${answer.status}` : "relayed";
}

function headOf(answer: Response): Response {
  return new Response(null, { status: answer.status, headers: answer.headers });
}

/** Our own marks end here. */
function toVisitor(answer: Response): Response {
  if (!answer.headers.has(REFUSED_HEADER) && !hasFailed(answer)) return answer;
  const headers = new Headers(answer.headers);
  headers.delete(REFUSED_HEADER);
  headers.delete(FAILED_HEADER);
  return new Response(answer.body, { status: answer.status, headers });
}

async function handleDoor(request: Request, env: Env, gateway: string, origin: string, url: URL): Promise<Response> {
  const path = url.pathname.slice(DOOR_PREFIX.length);
  if (request.method === "GET") {
    if (path === "" || url.pathname === "/.gatehouse") return doorPage(env, request);
    const asset = ASSETS[path];
    if (asset !== undefined) {
      const file = await env.ASSETS.fetch(new URL(asset, request.url).href);
      return new Response(file.body, {
        status: file.status,
        headers: {
          "content-type": file.headers.get("content-type") ?? "",
          "cache-control": "no-cache",
          "x-content-type-options": "nosniff",
        },
      });
    }
    if (path === "status" || path === "api/status") return status(request, env, gateway, path === "status");
    if (path !== "wait" || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return errorResponse("not-found");
    if (request.headers.get("origin") !== origin) return errorResponse("wrong-origin");
    if (!(await mayStrangerAsk(request, env))) return errorResponse("too-many");
    return toRoom(request, env, gateway, { kind: "wait" });
  }
  if (request.method !== "POST") return errorResponse("not-found");
  if (path === "activate") return activate(request, env);
  const kind = POSTED.get(path);
  if (kind === undefined) return errorResponse("not-found");
  const site = request.headers.get("sec-fetch-site");
  if (request.headers.get("origin") !== origin || (site !== null && site !== "same-origin")) return errorResponse("wrong-origin");
  if (!(await mayStrangerAsk(request, env))) return errorResponse("too-many");
  const body = await boundedText(request, MAX_JSON_BODY_BYTES);
  return body === null ? errorResponse("too-large") : toRoom(request, env, gateway, { kind }, body);
}

/**
 * How the gateway stands, page and JSON, for devices that are allowed on it. Room and cookie are asked for both; to everybody else, and to pages
 * of other origins, there is nothing here.
 */
async function status(request: Request, env: Env, gateway: string, isPage: boolean): Promise<Response> {
  const cookie = await openSessionCookie(env, request, gateway, Date.now());
  if (cookie === null || isEmbeddedElsewhere(request)) return errorResponse("not-found");
  const answer = await toRoom(request, env, gateway, { kind: "status", session: cookie.session });
  if (!answer.ok) return errorResponse("not-found");
  if (!isPage) return answer;
  const page = await env.ASSETS.fetch(new URL("/door/status", request.url).href);
  return new Response(page.body, { headers: doorHeaders(env) });
}

/** Way back from the approval page: the code travels in a body, and the page compares `state` with what it kept. */
async function activate(request: Request, env: Env): Promise<Response> {
  if (request.headers.get("origin") !== readConfig(env).approveOrigin) return errorResponse("wrong-origin");
  const text = await boundedText(request, MAX_JSON_BODY_BYTES);
  if (text === null) return errorResponse("too-large");
  const form = new URLSearchParams(text);
  return doorPage(env, request, { activation: { code: form.get("code") ?? "", state: form.get("state") ?? "" } });
}
