/**
 * Sockets of cut devices that do not answer their close. Nothing of theirs crosses any more, but the platform has no way to end one socket that
 * does not want to: only the whole room can be restarted, which ends every stream and link; honest ones are back in a moment (PROTOCOL.md CUT6).
 */
import { ABORT_PAUSE_MS, CLOSE_ANSWER_MS, MAX_BYTES_AFTER_CUT, MAX_FRAMES_AFTER_CUT } from "../../../protocol/limits.ts";
import { attachmentOf } from "../storage/attachments.ts";

const RESTARTED = "gatehouse-stragglers-ended";
const LOOK_AGAIN_MS = 60_000;

export class Stragglers {
  readonly #ctx: DurableObjectState;
  readonly #now: () => number;
  readonly #sent = new Map<string, { frames: number; bytes: number }>();

  constructor(ctx: DurableObjectState, now: () => number) {
    this.#ctx = ctx;
    this.#now = now;
  }

  /** A message on a socket whose stream is over. Fifty, or a megabyte, of a cut device on all its sockets together are enough. */
  sent(ws: WebSocket, data: string | ArrayBuffer): void {
    const attachment = attachmentOf(ws);
    if (attachment?.kind !== "stream" || attachment.cutAtMs === undefined) return;
    const count = this.#sent.get(attachment.device) ?? { frames: 0, bytes: 0 };
    count.frames += 1;
    count.bytes += typeof data === "string" ? data.length : data.byteLength;
    this.#sent.set(attachment.device, count);
    if (count.frames > MAX_FRAMES_AFTER_CUT || count.bytes > MAX_BYTES_AFTER_CUT) this.restart();
  }

  /**
   * Silent ones: as soon as nobody else is disturbed by it, and at the latest after ten minutes.
   *
   * @returns when to look again, in ms, or null when every close was answered
   */
  end(nowMs: number, isBusy: boolean): number | null {
    let oldestMs: number | null = null;
    for (const ws of this.#ctx.getWebSockets("stream")) {
      if (ws.readyState === WebSocket.CLOSED) continue;
      const attachment = attachmentOf(ws);
      if (attachment?.kind !== "stream" || attachment.cutAtMs === undefined) continue;
      oldestMs = Math.min(oldestMs ?? attachment.cutAtMs, attachment.cutAtMs);
    }
    if (oldestMs === null) return null;
    if (oldestMs + CLOSE_ANSWER_MS > nowMs) return oldestMs + CLOSE_ANSWER_MS;
    if (!isBusy || oldestMs + ABORT_PAUSE_MS <= nowMs) this.restart();
    return nowMs + LOOK_AGAIN_MS;
  }

  /** At most once in ten minutes: whoever is cut must not be able to end the others' streams as often as it likes. */
  restart(): void {
    const nowMs = this.#now();
    const { kv } = this.#ctx.storage;
    if ((kv.get<number>(RESTARTED) ?? Number.NEGATIVE_INFINITY) + ABORT_PAUSE_MS > nowMs) return;
    kv.put(RESTARTED, nowMs);
    // What was committed before must be on disk: the restart forgets what is not.
    void this.#ctx.storage.sync().then(() => this.#ctx.abort("a cut device did not answer its close"));
  }
}
