/** The way up over lines of any speed: what is small goes ahead, streams take turns, nothing piles up where nobody can take it back. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Outgoing } from "../../../src/connector/streams/send-queue.ts";
import type { StreamParts } from "../../../src/connector/streams/stream.ts";
import { TurnSender } from "../../../src/connector/streams/uplink.ts";
import type { LinkMark } from "../../../src/core/link/link-window.ts";
import { piecesOf } from "../../../src/core/link/message-frames.ts";
import { ReceiveCredit } from "../../../src/core/link/stream-credit.ts";
import {
  FLAG_FIN,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_PROBE,
  FRAME_RESET,
  decodeFrame,
  framesOf,
  isBatch,
} from "../../../src/protocol/frame.ts";
import type { Frame } from "../../../src/protocol/frame.ts";
import {
  INITIAL_CREDIT_BYTES,
  LINK_MARK_BYTES,
  LINK_UNSENT_HIGH_BYTES,
  MAX_FRAME_BYTES,
  MAX_MESSAGE_BYTES,
} from "../../../src/protocol/limits.ts";

const STEP_MS = 10;
const BEAT_BYTES = 20;

/** What the room has got of one stream. */
class Got {
  bytes = 0;
  messages = 0;
  lastMs = 0;
  readonly types: number[] = [];
  readonly credit = new ReceiveCredit();
}

interface LineOptions {
  /** Bytes a second. */
  readonly rate: number;
  /** There and back, beside what the rate costs. */
  readonly tripMs: number;
  /** What the system takes of the socket before the line has carried it; all of it unless said, as a long queue on the way does. */
  readonly kernelBytes?: number;
  /** Whether the room grants what it got. */
  readonly isGranting?: boolean;
}

/** A connector's sender, a line of bytes, and a room that grants what it gets. Time is virtual. */
class Line {
  nowMs = 0;
  /** Bytes a second from now on. */
  rate: number;
  beats = 0;
  readonly sender: TurnSender;
  readonly got = new Map<number, Got>();
  mostUnsent = 0;
  readonly #options: Required<LineOptions>;
  readonly #outgoing = new Map<number, Outgoing>();
  /** On the line, in order. */
  #items: { left: number; readonly bytes: number; isTaken: boolean; readonly taken: () => void; readonly arrive: () => void }[] = [];
  #later: { readonly atMs: number; readonly run: () => void }[] = [];
  #budget = 0;

  constructor(options: LineOptions) {
    this.rate = options.rate;
    this.#options = { kernelBytes: Infinity, isGranting: true, ...options };
    this.sender = new TurnSender({
      transmit: (message, sent) => {
        // As every socket here does; the sender's memory is its next message's.
        const copy = new Uint8Array(message);
        this.#put(copy.byteLength, sent, () => this.#room(copy));
      },
      unsentBytes: () => this.unsentBytes,
      beat: () => this.beat(),
    });
    this.sender.isBatching = true;
  }

  /** A control message, or anything else that the link sends beside frames. @returns how long it was under way, once it has arrived */
  say(bytes: number): { ms: number | null } {
    const word: { ms: number | null } = { ms: null };
    const atMs = this.nowMs;
    this.sender.flush();
    this.#put(bytes, () => undefined, () => {
      word.ms = this.nowMs - atMs;
    }); // prettier-ignore
    return word;
  }

  beat(): void {
    this.beats += 1;
    const mark: LinkMark = this.sender.mark();
    const atMs = this.nowMs;
    this.#put(BEAT_BYTES, () => undefined, () => this.#after(() => this.sender.answered(mark, this.nowMs - atMs))); // prettier-ignore
  }

  stream(id: number): Outgoing {
    this.got.set(id, new Got());
    const { sender } = this;
    const parts = {
      id,
      uplink: sender,
      sendFrame: (...args) => sender.send(...args),
      sendData: (...args) => sender.sendData(...args),
      now: () => this.nowMs,
      forget: () => undefined,
    } satisfies Partial<StreamParts> as unknown as StreamParts;
    const outgoing = new Outgoing(parts, new ReceiveCredit(), () => undefined, () => outgoing.stop()); // prettier-ignore
    this.#outgoing.set(id, outgoing);
    return outgoing;
  }

  of(id: number): Got {
    return this.got.get(id) ?? expect.unreachable();
  }

  get unsentBytes(): number {
    return this.#items.filter(({ isTaken }) => !isTaken).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Virtual time goes by until something holds; a bound on it is the test's patience. */
  async until(holds: () => boolean, withinMs: number): Promise<void> {
    const endMs = this.nowMs + withinMs;
    while (!holds()) {
      if (this.nowMs >= endMs) throw new Error(`not within ${withinMs} ms`);
      await this.pass(STEP_MS);
    }
  }

  async pass(ms: number): Promise<void> {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs += STEP_MS;
      this.#budget = this.#items.length === 0 ? 0 : this.#budget + (this.rate * STEP_MS) / 1_000;
      this.#carry();
      for (const { run } of this.#due()) run();
      if (this.nowMs % 1_000 === 0) for (const each of this.#outgoing.values()) each.tick();
      await nextTurn();
    }
  }

  #due(): { run: () => void }[] {
    const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
    this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
    return due;
  }

  #after(run: () => void): void {
    this.#later.push({ atMs: this.nowMs + this.#options.tripMs, run });
  }

  #put(bytes: number, taken: () => void, arrive: () => void): void {
    this.#items.push({ left: bytes, bytes, isTaken: false, taken, arrive });
    this.#take();
    this.mostUnsent = Math.max(this.mostUnsent, this.unsentBytes);
  }

  /** The system takes whole messages while it has room. */
  #take(): void {
    let kernel = 0;
    for (const item of this.#items) {
      kernel += item.left;
      if (item.isTaken) continue;
      if (kernel > this.#options.kernelBytes) return;
      item.isTaken = true;
      // As Node does: never in the turn that sends.
      setImmediate(item.taken);
    }
  }

  #carry(): void {
    for (;;) {
      const [first] = this.#items;
      if (first === undefined || this.#budget <= 0) return;
      const now = Math.min(first.left, this.#budget);
      this.#budget -= now;
      first.left -= now;
      this.#take();
      if (first.left > 0) return;
      this.#items.shift();
      first.arrive();
    }
  }

  #room(message: Uint8Array<ArrayBuffer>): void {
    for (const frame of isBatch(message) ? framesOf(message) : [decodeFrame(message) as Frame]) {
      const got = this.of(frame.streamId);
      got.types.push(frame.type);
      got.lastMs = this.nowMs;
      if (frame.type !== FRAME_DATA) continue;
      got.bytes += frame.payload.byteLength;
      if ((frame.flags & FLAG_FIN) !== 0) got.messages += 1;
      if (!got.credit.receive(frame.payload.byteLength)) throw new Error("more than granted");
      const grant = this.#options.isGranting ? got.credit.consume(frame.payload.byteLength) : 0;
      if (grant > 0) this.#after(() => this.#outgoing.get(frame.streamId)?.granted(grant));
    }
  }
}

const large = (): Uint8Array => new Uint8Array(MAX_MESSAGE_BYTES);
const BURST_STREAMS = 6;

test("[CR10] [case 20] over 10 KiB/s that six bursts of 25 MiB fill, a control message passes within a second; in the first burst within four", async () => {
  const line = new Line({ rate: 10 * 1024, tripMs: 40 });
  for (let id = 1; id <= BURST_STREAMS; id += 1) line.stream(id).send(piecesOf(large(), false));
  const early = line.say(300);
  await line.until(() => early.ms !== null, 4_000);
  await line.pass(10_000);
  for (let round = 0; round < 20; round += 1) {
    const word = line.say(300);
    await line.until(() => word.ms !== null, 1_000);
    await line.pass(730);
  }
  // The line was never idle: what it carried in that time is there.
  const arrived = [...line.got.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  expect(arrived).toBeGreaterThan(0.85 * ((10 * 1024 * line.nowMs) / 1_000));
});

test("[CR10] over the same line a neighbour's small messages do not wait for the burst, and each keeps its order", async () => {
  const line = new Line({ rate: 10 * 1024, tripMs: 40 });
  for (let id = 1; id <= BURST_STREAMS; id += 1) line.stream(id).send(piecesOf(large(), false));
  const neighbour = line.stream(9);
  await line.pass(10_000);
  for (let sent = 1; sent <= 10; sent += 1) {
    neighbour.send(piecesOf(new Uint8Array(200), false));
    // Its turn comes after one piece of each of the others.
    await line.until(() => line.of(9).messages === sent, 2_500);
  }
});

test("[CR10] streams take turns: of two bursts each has got half at any time", async () => {
  const line = new Line({ rate: 1024 * 1024, tripMs: 20 });
  for (const id of [1, 2]) line.stream(id).send(piecesOf(large(), false));
  for (let look = 0; look < 10; look += 1) {
    await line.pass(1_000);
    expect(Math.abs(line.of(1).bytes - line.of(2).bytes)).toBeLessThanOrEqual(2 * INITIAL_CREDIT_BYTES);
  }
  expect(line.of(1).bytes).toBeGreaterThan(4 * 1024 * 1024);
});

test("[CR10] a fast line is used as it is: 25 MiB at a round trip of 40 ms take what their credit takes, with few marks", async () => {
  const line = new Line({ rate: 200 * 1024 * 1024, tripMs: 40 });
  for (let id = 1; id <= 8; id += 1) line.stream(id).send(piecesOf(large(), false));
  // One window of credit a round trip: 100 of them, 50 ms each as time passes here; with and without the window of the line.
  await line.until(() => [...line.got.values()].every(({ messages }) => messages === 1), 7_000);
  expect(line.beats).toBeLessThan((1.1 * 8 * MAX_MESSAGE_BYTES) / LINK_MARK_BYTES);
});

test("[CR10] a line that gets slower: the window follows, and a control message passes within a second again", async () => {
  const line = new Line({ rate: 10 * 1024 * 1024, tripMs: 30 });
  for (let id = 1; id <= BURST_STREAMS; id += 1) line.stream(id).send(piecesOf(large(), false));
  await line.pass(2_000);
  const wide = line.sender.pieceBytes;
  line.rate = 20 * 1024;
  // What was under way at the old rate has to go first; each answer then halves the window.
  await line.until(() => line.sender.pieceBytes <= 4 * 1024, 120_000);
  expect(wide).toBeGreaterThan(64 * 1024);
  await line.pass(1_000);
  const word = line.say(300);
  await line.until(() => word.ms !== null, 1_000);
});

test("[CR10] a socket that the system does not empty is given little; a stream that ends takes what waits along, and its end goes ahead", async () => {
  const line = new Line({ rate: 1_000, tripMs: 10, kernelBytes: 64 * 1024 });
  // A line that was fast until now.
  for (let each = 0; each < 3; each += 1) line.sender.answered({ upTo: 0, aheadBytes: 8 * 1024 * 1024 }, 1);
  const burst = line.stream(1);
  const other = line.stream(2);
  const third = line.stream(3);
  for (const each of [burst, other, third]) each.send(piecesOf(large(), false));
  await line.pass(100);
  // One stream's credit at most beyond the bound.
  const bound = LINK_UNSENT_HIGH_BYTES + INITIAL_CREDIT_BYTES + MAX_FRAME_BYTES;
  expect(line.mostUnsent).toBeLessThanOrEqual(bound);
  burst.stop();
  line.sender.send(FRAME_RESET, 0, 1, new Uint8Array([16, 19]));
  await line.until(() => line.of(1).types.at(-1) === FRAME_RESET, 1_000_000);
  const { bytes } = line.of(1);
  await line.pass(100_000);
  expect(line.of(1).bytes).toBe(bytes);
  expect(line.of(2).bytes).toBeGreaterThan(0);
  expect(line.mostUnsent).toBeLessThanOrEqual(bound);
});

test("[CR10] [ST5] what ends a stream, and a probe, stay behind its data however long that waits", async () => {
  const line = new Line({ rate: 20 * 1024, tripMs: 10 });
  const first = line.stream(1);
  first.send(piecesOf(new Uint8Array(100_000), false));
  first.finish(FRAME_CLOSE, new Uint8Array([3, 232]));
  line.stream(2).send(piecesOf(new Uint8Array(300_000), false));
  await line.until(() => line.of(1).types.includes(FRAME_CLOSE), 30_000);
  expect([line.of(1).types.at(-1), line.of(1).bytes, line.of(1).messages]).toEqual([FRAME_CLOSE, 100_000, 1]);
  const full = new Line({ rate: 20 * 1024, tripMs: 10, isGranting: false });
  full.stream(1).send(piecesOf(new Uint8Array(300_000), false));
  await full.until(() => full.of(1).types.includes(FRAME_PROBE), 30_000);
  expect(full.of(1).bytes).toBeGreaterThan(INITIAL_CREDIT_BYTES - MAX_FRAME_BYTES);
});

test("[CR4] [ST9] over a line on which the probe itself takes longer than ten seconds nobody is called too slow", async () => {
  const line = new Line({ rate: 3 * 1024, tripMs: 10 });
  for (let id = 1; id <= 3; id += 1) line.stream(id).send(piecesOf(new Uint8Array(600_000), false));
  await line.until(() => [...line.got.values()].every(({ messages }) => messages === 1), 700_000);
});
