/** The room's side of a waiting page: its key is proven, then it asks the owner (PROTOCOL.md RQ, MC). */
import { withNewAsk } from "../../../core/trust/ask-budget.ts";
import { addressGroup } from "../../../core/http/client-ip.ts";
import { deviceId, matchCode, requestId } from "../../../core/trust/digests.ts";
import { verifyTagged } from "../../../core/trust/public-key.ts";
import { readAsk } from "../../../core/trust/statement.ts";
import { mayAskAgain } from "../../../core/trust/access-end.ts";
import { fromDoorSchema } from "../../../protocol/door-messages.ts";
import type { FromDoor, ToDoor } from "../../../protocol/door-messages.ts";
import {
  MAX_DOOR_MESSAGES,
  MAX_JSON_BODY_BYTES,
  MAX_REQUESTS_PER_ADDRESS,
  MAX_REQUESTS_PER_GATEWAY,
  MAX_UNPROVEN_MESSAGES,
  MAX_UNPROVEN_PER_ADDRESS,
  MAX_UNPROVEN_WAITS,
  MAX_WAIT_SOCKETS_PER_DEVICE,
  REQUEST_SILENCE_MS,
  WAIT_PROOF_MS,
} from "../../../protocol/limits.ts";
import type { AskStatement } from "../../../protocol/statements.ts";
import { endOf } from "../devices/access-ends.ts";
import type { Admission } from "../context.ts";
import { attachmentOf, closeQuietly } from "../storage/attachments.ts";
import type { WaitAttachment } from "../storage/attachments.ts";
import { doorRefusal } from "./door-errors.ts";
import { endRequest, showCard } from "./requests.ts";
import type { RequestRow } from "../storage/rows.ts";

const CLOSE_POLICY = 1008;

type BusyLimit = Extract<ToDoor, { type: "busy" }>["limit"];

export class Door {
  readonly #admission: Admission;
  /** Sockets whose proof is being checked: a second message does not overtake it. */
  readonly #checking = new WeakSet<WebSocket>();

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Accepts a door page's socket and hands it a nonce to prove its key with. */
  wait(address: string, country: string | null): Response {
    const admission = this.#admission;
    const { ctx, now, wakeBy } = admission.options;
    if (admission.storage.meta() === null) return doorRefusal("bad-request");
    const unproven = this.#unproven();
    const group = addressGroup(address);
    const own = unproven.filter(({ attachment }) => addressGroup(attachment.address) === group).length;
    if (unproven.length >= MAX_UNPROVEN_WAITS || own >= MAX_UNPROVEN_PER_ADDRESS) return doorRefusal("too-many");
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
      messages: 0,
    } satisfies WaitAttachment);
    wakeBy(now() + WAIT_PROOF_MS);
    tell(server, { type: "hello", roomNonce: nonce, gatewayState: admission.state(), ...admission.restart() });
    return new Response(null, { status: 101, webSocket: client });
  }

  async message(ws: WebSocket, attachment: WaitAttachment, data: string | ArrayBuffer): Promise<void> {
    const counted = { ...attachment, messages: attachment.messages + 1 };
    const most = attachment.device === null ? MAX_UNPROVEN_MESSAGES : MAX_DOOR_MESSAGES;
    if (counted.messages > most || this.#checking.has(ws)) return closeQuietly(ws, CLOSE_POLICY, "too many messages");
    ws.serializeAttachment(counted);
    const message = readDoor(data);
    if (message === null) return closeQuietly(ws, CLOSE_POLICY, "bad message");
    if (message.type === "withdraw") {
      const row = attachment.request === null ? null : this.#admission.storage.get<RequestRow>("requests", attachment.request);
      if (row !== null) endRequest(this.#admission, row, "withdrawn", { type: "ended", why: "withdrawn" });
      return closeQuietly(ws, 1000, "");
    }
    this.#checking.add(ws);
    try {
      await this.#ask(ws, counted, message);
    } finally {
      this.#checking.delete(ws);
    }
  }

  /** Closes sockets that proved no key in time: silence must not hold a place. @returns when the next one is due, in ms, or null */
  endSilent(nowMs: number): number | null {
    let next: number | null = null;
    for (const { ws, attachment } of this.#unproven()) {
      const endsAtMs = attachment.acceptedAtMs + WAIT_PROOF_MS;
      if (endsAtMs <= nowMs) closeQuietly(ws, CLOSE_POLICY, "no proof in time");
      else next = next === null ? endsAtMs : Math.min(next, endsAtMs);
    }
    return next;
  }

  #unproven(): { readonly ws: WebSocket; readonly attachment: WaitAttachment }[] {
    const found = [];
    for (const ws of this.#admission.options.ctx.getWebSockets("wait")) {
      const attachment = ws.readyState === WebSocket.OPEN ? attachmentOf(ws) : null;
      if (attachment?.kind === "wait" && attachment.device === null) found.push({ ws, attachment });
    }
    return found;
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
    const end = endOf(admission, device);
    if (!mayAskAgain(end)) return tell(ws, { type: "refused", end });
    if (admission.notices.waitingPages(device).length >= MAX_WAIT_SOCKETS_PER_DEVICE) return tell(ws, { type: "error", code: "too-many" });
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
    if (typeof row === "string") return tell(ws, { type: "busy", limit: row });
    this.#join(ws, attachment, device, row.id, {
      type: "waiting",
      request: row.id,
      matchCode: row.code,
      ownerSeen: row.isOwnerThere === true,
    });
    showCard(admission, row);
    admission.options.wakeBy(admission.options.now() + REQUEST_SILENCE_MS);
  }

  /** One live request per key; a page that comes back takes its own up again (PROTOCOL.md RQ1, RQ3). */
  async #requestFor(
    device: string,
    body: AskStatement,
    claims: RequestRow["claims"],
    from: WaitAttachment,
  ): Promise<RequestRow | BusyLimit> {
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
      const group = addressGroup(from.address);
      const neighbours = others.filter((row) => addressGroup(row.address) === group).length;
      if (neighbours >= MAX_REQUESTS_PER_ADDRESS) return "address";
      if (others.length >= MAX_REQUESTS_PER_GATEWAY) return "gateway";
      if (others.some((row) => row.code === code)) continue;
      const asks = withNewAsk(storage.asksMade, group, options.now());
      if (asks === null) return "hour";
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
      storage.asksMade = asks;
      storage.put("requests", id, row);
      this.#admission.audit("device", "asked", device, { access: body.access });
      return row;
    }
    // Twenty codes that are all taken: as good as full.
    return "gateway";
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
