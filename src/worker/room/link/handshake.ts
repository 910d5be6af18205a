/** Sockets that say they are the connector's and have not proven it: how many, how long, and the proof (PROTOCOL.md LINK). */
import { addressGroup } from "../../../core/http/client-ip.ts";
import { linkProofFields } from "../../../core/trust/key-log.ts";
import { linkKey } from "../../../core/trust/key-rotation.ts";
import { placeToFree } from "../../../core/link/handshake-places.ts";
import { verifyTagged } from "../../../core/trust/public-key.ts";
import { CLOSE_GATEWAY_GONE } from "../../../protocol/close-codes.ts";
import { LINK_HELLO_MS, MAX_UNPROVEN_LINKS, MAX_UNPROVEN_PER_ADDRESS } from "../../../protocol/limits.ts";
import type { ToConnector, ToRoom } from "../../../protocol/link-messages.ts";
import { joined, toBase64url } from "../../../protocol/statement-encoding.ts";
import { LINK_PROTOCOL, MIN_LINK_PROTOCOL } from "../../../protocol/version.ts";
import { attachmentOf, closeQuietly } from "../storage/attachments.ts";
import type { LinkAttachment } from "../storage/attachments.ts";
import type { AdmissionForRelay } from "../ports.ts";

export interface LinkHandshakeOptions {
  readonly ctx: DurableObjectState;
  readonly admission: AdmissionForRelay;
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** Asks for an alarm not later than this. */
  readonly wakeBy: (atMs: number) => void;
}

export type Hello = Extract<ToRoom, { type: "hello" }>;
type Identity = NonNullable<ReturnType<AdmissionForRelay["identity"]>>;

/** A key changes once while a proof is checked; more often is no connector of ours. */
const PROOF_TRIES = 3;

export class LinkHandshake {
  readonly #options: LinkHandshakeOptions;
  readonly #verifying = new WeakSet<WebSocket>();

  constructor(options: LinkHandshakeOptions) {
    this.#options = options;
  }

  /** Accepts a connector's socket and challenges it; nothing else happens before the proof (PROTOCOL.md LINK1). */
  accept(clientIp: string): Response {
    const { ctx, now, random, wakeBy } = this.#options;
    const group = addressGroup(clientIp);
    const taken = this.#unproven().map(({ ws, attachment }) => ({
      ws,
      group: attachment.addressGroup,
      acceptedAtMs: attachment.acceptedAtMs,
    }));
    const freed = placeToFree(taken, group, { all: MAX_UNPROVEN_LINKS, perGroup: MAX_UNPROVEN_PER_ADDRESS });
    if (freed !== null) closeQuietly(freed.ws, CLOSE_GATEWAY_GONE, "too many links at once");
    const { 0: client, 1: server } = new WebSocketPair();
    const nonce = toBase64url(random(32));
    const acceptedAtMs = now();
    ctx.acceptWebSocket(server, ["link"]);
    const attachment: LinkAttachment = {
      kind: "link",
      phase: "hello",
      nonce,
      acceptedAtMs,
      addressGroup: group,
      generation: 0,
      version: "",
      report: null,
      nextBlock: 0,
      busySinceMs: null,
    };
    server.serializeAttachment(attachment);
    server.send(
      JSON.stringify({ type: "challenge", nonce, minProtocol: MIN_LINK_PROTOCOL, maxProtocol: LINK_PROTOCOL } satisfies ToConnector),
    );
    wakeBy(acceptedAtMs + LINK_HELLO_MS);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** A socket says `hello`. @returns whether for the first time: again is no connector of ours */
  noteHello(ws: WebSocket): boolean {
    const isFirst = !this.#verifying.has(ws);
    this.#verifying.add(ws);
    return isFirst;
  }

  /** @returns the connector's standing at this moment, when the hello proves that it is the one; else null */
  async prove(attachment: LinkAttachment, hello: Hello): Promise<Identity | null> {
    const { admission, now } = this.#options;
    const { gateway, connectorNonce, generation, protocol, head } = hello;
    const signed = joined(linkProofFields({ gateway, roomNonce: attachment.nonce, connectorNonce, generation, protocol, head }));
    for (let tries = 0; tries < PROOF_TRIES; tries += 1) {
      const claimed = admission.identity();
      if (claimed === null || gateway !== claimed.gateway) return null;
      const key = await linkKey(claimed, hello, now());
      if (key === null || !(await verifyTagged(key, "link", signed, hello.signature))) return null;
      // The check waited: a new enrolment, a newer link or the rotation itself may have come between. Judged again under another key.
      const identity = admission.identity();
      if (identity?.key.x === claimed.key.x) return identity;
    }
    return null;
  }

  /**
   * Closes sockets that did not prove themselves in time: a slow network is no refusal, they may dial again.
   *
   * @returns until when each of the others has, in ms
   */
  closeLate(nowMs: number): number[] {
    const pending: number[] = [];
    for (const { ws, attachment } of this.#unproven()) {
      const deadlineMs = attachment.acceptedAtMs + LINK_HELLO_MS;
      if (deadlineMs <= nowMs) closeQuietly(ws, CLOSE_GATEWAY_GONE, "no proof in time");
      else pending.push(deadlineMs);
    }
    return pending;
  }

  #unproven(): { readonly ws: WebSocket; readonly attachment: LinkAttachment }[] {
    const found = [];
    for (const ws of this.#options.ctx.getWebSockets("link")) {
      const attachment = attachmentOf(ws);
      if (attachment?.kind === "link" && attachment.phase === "hello" && ws.readyState === WebSocket.OPEN) found.push({ ws, attachment });
    }
    return found;
  }
}
