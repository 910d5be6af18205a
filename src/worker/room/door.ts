/** The room's side of the door: challenges, sessions, and devices that wait for the owner. */
import { activationHash, deviceId, keyThumbprint, matchCode, requestId } from "../../core/digests.ts";
import { firstToken, judgeToken, rotatedToken } from "../../core/device-token-policy.ts";
import { CLOCK_SKEW_MS } from "../../core/grant-policy.ts";
import { isSoundKey, verifyTagged } from "../../core/public-key.ts";
import { readAsk, readGrant, readSession } from "../../core/statement.ts";
import type { ReadStatement } from "../../core/statement.ts";
import { challengeRequestSchema, fromDoorSchema, sessionRequestSchema } from "../../protocol/door-messages.ts";
import type { ChallengeResponse, DoorError, FromDoor, ToDoor } from "../../protocol/door-messages.ts";
import {
  ACTIVATION_MS,
  MAX_JSON_BODY_BYTES,
  MAX_REQUESTS_PER_GATEWAY,
  MAX_WAIT_SOCKETS,
  NONCE_MS,
  REQUEST_SILENCE_MS,
  SESSION_MS,
} from "../../protocol/limits.ts";
import type { AskStatement, SessionStatement } from "../../protocol/statements.ts";
import { toBase64url } from "../../protocol/statement-encoding.ts";
import { DEVICE_TOKEN_COOKIE } from "../../protocol/words.ts";
import { deviceTokenCookie, deviceTokenMac, mintDeviceToken, successorOf } from "../auth/device-token.ts";
import { cookieValue, sealSessionCookie } from "../auth/session-cookie.ts";
import type { Admission } from "./admission.ts";
import { closeQuietly } from "./attachments.ts";
import type { WaitAttachment } from "./attachments.ts";
import { endRequest, showCard } from "./pairing-requests.ts";
import type { DeviceRow, GrantRow, RequestRow, SessionRow } from "./storage.ts";

/** Nonces that may be open at once: a flood of challenges cannot fill the room. */
const MAX_OPEN_NONCES = 500;

const STATUS: Readonly<Record<DoorError, number>> = {
  "bad-request": 400,
  "not-allowed": 403,
  "gateway-away": 503,
  "token-missing": 403,
  "token-frozen": 403,
  clock: 400,
  "refused-by-gateway": 403,
  "too-many": 429,
};

function failure(code: DoorError): Response {
  return Response.json({ error: { code, message: code } }, { status: STATUS[code], headers: { "cache-control": "no-store" } });
}

async function bodyOf(request: Request): Promise<unknown> {
  const text = await request.text();
  if (text.length > MAX_JSON_BODY_BYTES) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

export class Door {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Everything that the page needs to decide what to show, with fresh nonces of room and connector. */
  async challenge(request: Request): Promise<Response> {
    const parsed = challengeRequestSchema.safeParse(await bodyOf(request));
    const admission = this.#admission;
    const meta = admission.storage.meta();
    if (!parsed.success || meta === null || !isSoundKey(parsed.data.key)) return failure("bad-request");
    const { now, config } = admission.options;
    if (admission.storage.nonceCount() >= MAX_OPEN_NONCES) return failure("too-many");
    const device = await deviceId(meta.gateway, parsed.data.key);
    const connector = admission.state() === "online" ? await admission.relay.nonce() : null;
    const roomNonce = admission.newNonce();
    admission.storage.addNonce(roomNonce, now() + NONCE_MS);
    admission.options.wakeBy(now() + NONCE_MS);
    const row = admission.device(device);
    const isGood = row !== null && row.state !== "cut" && row.notAfterMs > now();
    const standing = admission.storage.isBlocked(device)
      ? "blocked"
      : !isGood
        ? "unknown"
        : row.state === "allowed"
          ? "allowed"
          : "decided";
    const answer: ChallengeResponse = {
      gateway: meta.gateway,
      gatewayName: meta.name,
      gatewayState: admission.state(),
      lastSeenMs: meta.lastSeenMs,
      approveOrigin: config.approveOrigin,
      serverTimeMs: now(),
      roomNonce,
      connector: connector === null ? null : { nonce: connector.nonce, key: connector.connectorKey },
      device,
      standing,
      grant: isGood ? { id: row.grant, access: row.access, notAfterMs: row.notAfterMs } : null,
    };
    return Response.json(answer, { headers: { "cache-control": "no-store" } });
  }

  /** PROTOCOL.md SE1: room first, then the connector; only its yes makes the cookie. */
  async session(request: Request): Promise<Response> {
    const parsed = sessionRequestSchema.safeParse(await bodyOf(request));
    const statement = parsed.success ? readSession(parsed.data.signed.statement) : null;
    if (!parsed.success || statement === null) return failure("bad-request");
    const admission = this.#admission;
    const { now, env } = admission.options;
    const checked = await this.#checkSession(statement, parsed.data.signed.signature, parsed.data.activationCode);
    if (typeof checked === "string") return failure(checked);
    const token = await this.#renewToken(checked, cookieValue(request.headers.get("cookie"), DEVICE_TOKEN_COOKIE));
    if (typeof token === "string") return failure(token);
    const session = toBase64url(admission.options.random(24));
    const result = await admission.relay.command({
      type: "session",
      id: `session-${session}`,
      session,
      signed: parsed.data.signed,
      ...(parsed.data.activationCode === undefined ? {} : { activationCode: parsed.data.activationCode }),
    });
    if (result === null) return failure("gateway-away");
    if (!result.ok) return failure(result.refusal === "not-serving" ? "gateway-away" : "refused-by-gateway");
    // The connector's answer took time: the owner may have cut the device meanwhile.
    const current = admission.device(checked.id);
    if (current === null || current.state !== "allowed" || current.grant !== checked.grant) return failure("not-allowed");
    const expiresAtMs = statement.body.expMs;
    const row: SessionRow = { id: session, device: checked.id, grant: checked.grant, access: checked.access, expiresAtMs };
    admission.storage.transaction(() => {
      admission.storage.put("sessions", session, row);
      admission.saveDevice({ ...current, token: token.state, activation: null, lastSeenMs: now() });
      if (current.token?.current !== token.state.current)
        admission.audit("device", "token-rotated", checked.id, { isFirst: current.token === null });
      admission.audit("device", "session-opened", checked.id, { access: checked.access });
    });
    admission.options.wakeBy(expiresAtMs);
    const headers = new Headers({ "cache-control": "no-store" });
    const { gateway } = admission.mustMeta();
    headers.append("set-cookie", await sealSessionCookie(env, { session, gateway, device: checked.id, expiresAtMs }, now()));
    headers.append("set-cookie", deviceTokenCookie(token.value, Math.floor((checked.notAfterMs - now()) / 1000)));
    return Response.json({ expiresAtMs, access: checked.access }, { headers });
  }

  async #checkSession(
    statement: ReadStatement<SessionStatement>,
    signature: string,
    activationCode: string | undefined,
  ): Promise<DeviceRow | DoorError> {
    const admission = this.#admission;
    const identity = admission.identity();
    const { body } = statement;
    const nowMs = admission.options.now();
    if (identity === null || body.gateway !== identity.gateway || body.origin !== identity.origin) return "bad-request";
    if (!admission.storage.takeNonce(body.roomNonce, nowMs)) return "bad-request";
    if (Math.abs(body.iatMs - nowMs) > CLOCK_SKEW_MS) return "clock";
    const row = admission.device(body.device);
    if (
      row === null ||
      row.state !== "allowed" ||
      row.grant !== body.grant ||
      row.notAfterMs <= nowMs ||
      admission.storage.isBlocked(row.id)
    )
      return "not-allowed";
    if (body.expMs > Math.min(row.notAfterMs, body.iatMs + SESSION_MS) || body.expMs <= nowMs) return "bad-request";
    if (body.connectorKey !== (await keyThumbprint(identity.key))) return "bad-request";
    if (!(await verifyTagged(row.key, "session", statement.bytes, signature))) return "not-allowed";
    if (row.activation !== null) {
      const grant = admission.storage.get<GrantRow>("grants", row.grant);
      if (activationCode === undefined || grant === null || (await activationHash(activationCode)) !== row.activation) return "not-allowed";
      const issuedAtMs = readGrant(grant.signed.statement)?.body.issuedAtMs ?? 0;
      if (nowMs > issuedAtMs + ACTIVATION_MS) return "not-allowed";
    }
    return row;
  }

  /** PROTOCOL.md TK1-3. */
  async #renewToken(
    row: DeviceRow,
    presented: string | null,
  ): Promise<{ value: string; state: NonNullable<DeviceRow["token"]> } | DoorError> {
    const admission = this.#admission;
    const { env, now } = admission.options;
    const { gateway } = admission.mustMeta();
    const macOf = (token: string): Promise<string | null> => deviceTokenMac(env, gateway, row.id, token);
    if (row.token === null) {
      const value = mintDeviceToken();
      return { value, state: firstToken((await macOf(value)) ?? "", now()) };
    }
    const mac = presented === null ? null : await macOf(presented);
    if (presented === null || mac === null) return "token-missing";
    const { verdict } = judgeToken(mac, row.token, now());
    const value = await successorOf(env, presented);
    if (verdict === "rotate") return { value, state: rotatedToken(row.token, (await macOf(value)) ?? "", now()) };
    if (verdict === "repeat") return { value, state: row.token };
    if (verdict === "freeze") {
      const frozen = { ...row, token: { ...row.token, isFrozen: true } };
      admission.storage.transaction(() => {
        admission.saveDevice(frozen);
        admission.audit("device", "token-copied", row.id, {});
      });
      admission.relay.endDevice(row.id, 4403, "this device's access was frozen");
    }
    return verdict === "freeze" || row.token.isFrozen ? "token-frozen" : "token-missing";
  }

  // --- waiting -----------------------------------------------------------------------------------------------------------------

  /** Accepts a door page's socket and hands it a nonce to prove its key with. */
  wait(address: string, country: string | null): Response {
    const admission = this.#admission;
    const { ctx, now } = admission.options;
    if (admission.storage.meta() === null) return failure("bad-request");
    if (ctx.getWebSockets("wait").filter((ws) => ws.readyState === WebSocket.OPEN).length >= MAX_WAIT_SOCKETS) return failure("too-many");
    const { 0: client, 1: server } = new WebSocketPair();
    const nonce = admission.newNonce();
    ctx.acceptWebSocket(server, ["wait"]);
    server.serializeAttachment({
      kind: "wait",
      nonce,
      acceptedAtMs: now(),
      address,
      country,
      device: null,
      request: null,
    } satisfies WaitAttachment);
    tell(server, { type: "hello", roomNonce: nonce, gatewayState: admission.state() });
    return new Response(null, { status: 101, webSocket: client });
  }

  async message(ws: WebSocket, attachment: WaitAttachment, data: string | ArrayBuffer): Promise<void> {
    const message = readDoor(data);
    if (message === null) return closeQuietly(ws, 1008, "bad message");
    if (message.type === "withdraw") {
      const row = attachment.request === null ? null : this.#admission.storage.get<RequestRow>("requests", attachment.request);
      if (row !== null) endRequest(this.#admission, row, "withdrawn", { type: "ended", why: "withdrawn" });
      return closeQuietly(ws, 1000, "");
    }
    await this.#ask(ws, attachment, message);
  }

  /** The page went away: its request stays for five minutes. */
  closed(attachment: WaitAttachment): void {
    const row = attachment.request === null ? null : this.#admission.storage.get<RequestRow>("requests", attachment.request);
    if (row === null) return;
    const lastSeenMs = this.#admission.options.now();
    this.#admission.storage.put("requests", row.id, { ...row, lastSeenMs });
    showCard(this.#admission, { ...row, lastSeenMs });
    this.#admission.options.wakeBy(lastSeenMs + REQUEST_SILENCE_MS);
  }

  async #ask(ws: WebSocket, attachment: WaitAttachment, message: Extract<FromDoor, { type: "ask" }>): Promise<void> {
    const admission = this.#admission;
    const identity = admission.identity();
    const statement = readAsk(message.signed.statement);
    if (identity === null || statement === null || attachment.device !== null) return tell(ws, { type: "error", code: "bad-request" });
    const { body, bytes } = statement;
    if (body.gateway !== identity.gateway || body.origin !== identity.origin || body.roomNonce !== attachment.nonce)
      return tell(ws, { type: "error", code: "bad-request" });
    if (!(await verifyTagged(body.key, "ask", bytes, message.signed.signature))) return tell(ws, { type: "error", code: "bad-request" });
    const device = await deviceId(identity.gateway, body.key);
    if (admission.storage.isBlocked(device)) return tell(ws, { type: "refused", blocked: true });
    const known = admission.device(device);
    if (
      known !== null &&
      known.state !== "cut" &&
      known.notAfterMs > admission.options.now() &&
      known.token?.isFrozen !== true &&
      known.activation === null
    ) {
      // Lets a page that slept through the decision go on; a lost token makes it ask anew below.
      if (known.state === "waiting") return this.#join(ws, attachment, device, null, { type: "allowed", live: false });
    }
    const row = await this.#requestFor(device, body, message.claims, attachment);
    if (ws.readyState !== WebSocket.OPEN) return;
    if (row === null) return tell(ws, { type: "busy" });
    this.#join(ws, attachment, device, row.id, { type: "waiting", request: row.id, matchCode: row.code, ownerSeen: false });
    showCard(admission, row);
    admission.options.wakeBy(admission.options.now() + REQUEST_SILENCE_MS);
  }

  /** One live request per key; a page that comes back takes its own up again (PROTOCOL.md RQ1, RQ3). */
  async #requestFor(device: string, body: AskStatement, claims: RequestRow["claims"], from: WaitAttachment): Promise<RequestRow | null> {
    const { storage, options } = this.#admission;
    const { gateway } = this.#admission.mustMeta();
    for (let draw = 0; draw < 20; draw += 1) {
      // Drawn after the key was proven, so that no key can be ground towards a code (PROTOCOL.md MC1).
      const nonce = this.#admission.newNonce();
      const [code, id] = await Promise.all([matchCode(gateway, body.key, nonce), requestId(gateway, body.key, body.access, nonce)]);
      const live = storage.all<RequestRow>("requests");
      const own = live.find((row) => row.device === device && row.access === body.access);
      if (own !== undefined) {
        const resumed = { ...own, lastSeenMs: options.now() };
        storage.put("requests", own.id, resumed);
        return resumed;
      }
      const others = live.filter((row) => row.device !== device);
      if (others.length >= MAX_REQUESTS_PER_GATEWAY) return null;
      if (others.some((row) => row.code === code)) continue;
      for (const older of live)
        if (older.device === device) endRequest(this.#admission, older, "withdrawn", { type: "ended", why: "replaced" });
      const nowMs = options.now();
      const row: RequestRow = {
        id,
        device,
        key: body.key,
        claims,
        address: from.address,
        country: from.country,
        access: body.access,
        nonce,
        code,
        tries: 0,
        createdAtMs: nowMs,
        lastSeenMs: nowMs,
      };
      storage.put("requests", id, row);
      this.#admission.audit("device", "asked", device, { access: body.access });
      return row;
    }
    return null;
  }

  #join(ws: WebSocket, attachment: WaitAttachment, device: string, request: string | null, message: ToDoor): void {
    ws.serializeAttachment({ ...attachment, device, request } satisfies WaitAttachment);
    tell(ws, message);
  }
}

function tell(ws: WebSocket, message: ToDoor): void {
  if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
}

function readDoor(data: string | ArrayBuffer): FromDoor | null {
  if (typeof data !== "string" || data.length > MAX_JSON_BODY_BYTES) return null;
  try {
    const parsed = fromDoorSchema.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
