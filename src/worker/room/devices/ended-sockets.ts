/** Sockets of sessions that the room ended: the page there is told, and nothing of it goes further (PROTOCOL.md EA). */
import { challengeFrame, endedFrame } from "../../../core/trust/ended-socket.ts";
import { accessEndText } from "../../../core/trust/access-end.ts";
import { CLOSE_POLICY } from "../../../protocol/close-codes.ts";
import { ENDED_SOCKET_MS, MAX_ENDED_CHARS, MAX_ENDED_SOCKETS } from "../../../protocol/limits.ts";
import { endOf } from "./access-ends.ts";
import type { Admission } from "../context.ts";
import { attachmentOf, closeQuietly } from "../storage/attachments.ts";
import type { EndedAttachment } from "../storage/attachments.ts";
import { isUpgrade } from "../relay/open-payload.ts";

/** A session as the Worker read it from its own cookie. */
export interface CookieSession {
  readonly session: string;
  readonly device: string;
  /** When the cookie ends, in ms. */
  readonly expiresAtMs: string;
}

export class EndedSockets {
  readonly #admission: Admission;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** @returns a socket that says what happened, or null: the session lasts, or the request is no stock page's, or the places are taken */
  accept(request: Request, cookie: CookieSession): Response | null {
    const { ctx, now, wakeBy } = this.#admission.options;
    if (cookie.device === "" || !isUpgrade(request) || new URL(request.url).pathname !== "/" || this.#lasts(cookie)) return null;
    const open = this.#open();
    if (open.length >= MAX_ENDED_SOCKETS || open.some(({ attachment }) => attachment.device === cookie.device)) return null;
    const { 0: client, 1: server } = new WebSocketPair();
    ctx.acceptWebSocket(server, ["ended"]);
    const { device, expiresAtMs: ended } = cookie;
    server.serializeAttachment({ kind: "ended", device, ended, acceptedAtMs: now() } satisfies EndedAttachment);
    wakeBy(now() + ENDED_SOCKET_MS);
    server.send(challengeFrame(this.#admission.newNonce(), now()));
    return new Response(null, { status: 101, webSocket: client });
  }

  /** One message, one answer. */
  message(ws: WebSocket, { device, ended }: EndedAttachment, data: string | ArrayBuffer): void {
    const text = typeof data === "string" && data.length <= MAX_ENDED_CHARS ? data : "";
    const frame = endedFrame(text, ended, this.#sentence(device));
    if (frame !== null && ws.readyState === WebSocket.OPEN) ws.send(frame);
    closeQuietly(ws, CLOSE_POLICY, "this session has ended");
  }

  /** Closes those that say nothing. @returns when the next one is due, in ms, or null */
  endSilent(nowMs: number): number | null {
    let next: number | null = null;
    for (const { ws, attachment } of this.#open()) {
      const endsAtMs = attachment.acceptedAtMs + ENDED_SOCKET_MS;
      if (endsAtMs <= nowMs) closeQuietly(ws, CLOSE_POLICY, "this session has ended");
      else next = Math.min(next ?? endsAtMs, endsAtMs);
    }
    return next;
  }

  #lasts({ session, device }: CookieSession): boolean {
    const known = this.#admission.session(session, this.#admission.options.now());
    return known !== null && !this.#admission.isCut(device);
  }

  #sentence(device: string): string {
    const end = endOf(this.#admission, device);
    const said =
      end === null
        ? "This session has ended."
        : accessEndText(end, (ms) => `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`);
    return `${said} Load this page again to go on.`;
  }

  #open(): { readonly ws: WebSocket; readonly attachment: EndedAttachment }[] {
    return this.#admission.options.ctx.getWebSockets("ended").flatMap((ws) => {
      const attachment = ws.readyState === WebSocket.OPEN ? attachmentOf(ws) : null;
      return attachment?.kind === "ended" ? [{ ws, attachment }] : [];
    });
  }
}
