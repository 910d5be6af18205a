/** The way down over lines of any speed: browsers upload as fast as they are let, and what the room says to the connector passes in time. */
import { expect, test } from "vitest";
import { PacedDownlink } from "../../../src/connector/streams/downlink.ts";
import { Incoming } from "../../../src/connector/streams/receive-credit.ts";
import type { Downlink, StreamParts } from "../../../src/connector/streams/stream.ts";
import { SendCredit } from "../../../src/core/link/stream-credit.ts";
import { FLAG_SPLIT, FRAME_PROBE, NO_PLACE, decodeU32, encodeU32 } from "../../../src/protocol/frame.ts";
import type { Frame } from "../../../src/protocol/frame.ts";
import { HEARTBEAT_BUSY_MS, INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES, PROBE_INTERVAL_MS } from "../../../src/protocol/limits.ts"; // prettier-ignore

const STEP_MS = 10;
const KIB = 1024;
const MBIT = 125_000;

/** A way that paces nothing: what the connector did before, and does on a line that is never late. */
const UNPACED = { isSlow: false, isLate: false, canSplit: true, pieceBytes: 0, lowBytes: 0, received: () => undefined, waitForTurn: () => undefined, isWaiting: () => false, lent: () => undefined, leave: () => undefined, isReminding: () => false } satisfies Downlink; // prettier-ignore

interface LineOptions {
  /** Bytes a second. */
  readonly rate: number;
  /** There and back, beside what the rate costs. */
  readonly tripMs: number;
  readonly canSplit?: boolean;
  readonly isUnpaced?: boolean;
  /** Bytes a second that each gateway socket takes; all of it unless said. */
  readonly takes?: (stream: number) => number;
}

/** One visitor's upload in the room, as the room sends it, and what the gateway behind the connector took. */
class Upload {
  readonly credit = new SendCredit();
  readonly incoming: Incoming;
  /** Messages' bytes that wait in the room. */
  waiting: number[] = [];
  arrived = 0;
  messages = 0;
  /** Not taken by the gateway yet. */
  untaken = 0;
  isStalled = false;
  lastGrantMs = 0;
  longestWithoutWordMs = 0;

  constructor(incoming: Incoming) {
    this.incoming = incoming;
  }
}

/** A room that never holds back what it has credit for, a line of bytes, and a connector's streams. Time is virtual. */
class Line {
  nowMs = 0;
  rate: number;
  /** There and back, beside what the rate costs. */
  tripMs: number;
  beats = 0;
  credits = 0;
  readonly downlink: PacedDownlink;
  readonly uploads = new Map<number, Upload>();
  readonly #options: LineOptions;
  #items: { left: number; readonly arrive: () => void }[] = [];
  #later: { readonly atMs: number; readonly run: () => void }[] = [];
  #budget = 0;

  constructor(options: LineOptions) {
    this.rate = options.rate;
    this.tripMs = options.tripMs;
    this.#options = options;
    this.downlink = new PacedDownlink({ clock: () => this.nowMs, beat: () => this.beat(), streams: () => this.uploads.size });
    this.downlink.canSplit = options.canSplit ?? true;
    this.beat();
  }

  get queuedBytes(): number {
    return this.#items.reduce((sum, { left }) => sum + left, 0);
  }

  get arrived(): number {
    return [...this.uploads.values()].reduce((sum, { arrived }) => sum + arrived, 0);
  }

  beat(): void {
    this.beats += 1;
    this.downlink.beatSent();
    this.#after(this.tripMs / 2, () => this.#put(20, () => this.downlink.beatAnswered()));
  }

  /** A control message of the room. @returns how long it was under way, once it has arrived */
  say(): { ms: number | null } {
    const word: { ms: number | null } = { ms: null };
    const atMs = this.nowMs;
    this.#put(300, () => {
      word.ms = this.nowMs - atMs;
    });
    return word;
  }

  stream(id: number): Upload {
    const parts = {
      id,
      downlink: this.#options.isUnpaced === true ? UNPACED : this.downlink,
      sendFrame: (_type, flags, _id, payload) => {
        this.credits += 1;
        const bytes = decodeU32((payload ?? expect.unreachable()) as Uint8Array<ArrayBuffer>) ?? expect.unreachable();
        this.#after(this.tripMs / 2, () => this.#granted(upload, bytes, (flags & FLAG_SPLIT) !== 0));
      },
    } satisfies Partial<StreamParts> as unknown as StreamParts;
    const upload = new Upload(new Incoming(parts));
    this.uploads.set(id, upload);
    return upload;
  }

  /** The browser sends one message. */
  send(id: number, bytes: number): void {
    const upload = this.uploads.get(id) ?? expect.unreachable();
    upload.waiting.push(bytes);
    this.#leave(upload, false);
  }

  async until(holds: () => boolean, withinMs: number): Promise<void> {
    const endMs = this.nowMs + withinMs;
    while (!holds()) {
      if (this.nowMs >= endMs) throw new Error(`not within ${withinMs} ms`);
      this.#step();
    }
    return Promise.resolve();
  }

  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) this.#step();
  }

  #step(): void {
    this.nowMs += STEP_MS;
    this.#budget = this.#items.length === 0 ? 0 : this.#budget + (this.rate * STEP_MS) / 1_000;
    for (let first = this.#items[0]; first !== undefined && this.#budget > 0; [first] = this.#items) {
      const now = Math.min(first.left, this.#budget);
      this.#budget -= now;
      first.left -= now;
      if (first.left > 0) break;
      this.#items.shift();
      // Half the way there is the trip's; it does not use the line up.
      this.#after(this.tripMs / 2, first.arrive);
    }
    const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
    this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
    for (const { run } of due) run();
    for (const [id, upload] of this.uploads) this.#take(id, upload);
    if (this.nowMs % PROBE_INTERVAL_MS === 0) this.#tick();
    if (this.nowMs % HEARTBEAT_BUSY_MS === 0) this.beat();
  }

  #tick(): void {
    if (this.downlink.isReminding()) for (const { incoming } of this.uploads.values()) incoming.remind();
    // A browser goes on sending, so the room looks again.
    for (const upload of this.uploads.values()) if (upload.waiting.length > 0) this.#probe(upload);
  }

  #take(id: number, upload: Upload): void {
    const bytes = Math.min(upload.untaken, ((this.#options.takes?.(id) ?? Infinity) * STEP_MS) / 1_000);
    if (bytes === 0) return;
    upload.untaken -= bytes;
    upload.incoming.consumed(bytes);
  }

  #after(ms: number, run: () => void): void {
    this.#later.push({ atMs: this.nowMs + ms, run });
  }

  #put(bytes: number, arrive: () => void): void {
    this.#items.push({ left: bytes, arrive });
  }

  #granted(upload: Upload, bytes: number, isSplitting: boolean): void {
    upload.credit.grant(bytes);
    upload.longestWithoutWordMs = Math.max(upload.longestWithoutWordMs, this.nowMs - upload.lastGrantMs);
    upload.lastGrantMs = this.nowMs;
    this.#leave(upload, isSplitting);
  }

  /** As `src/worker/room/relay/ws-stream.ts` does. */
  #leave(upload: Upload, isSplitting: boolean): void {
    let mayCut = isSplitting;
    for (let left = upload.waiting[0]; left !== undefined; [left] = upload.waiting) {
      let bytes = Math.min(left, MAX_FRAME_PAYLOAD_BYTES);
      if (mayCut && upload.credit.left > 0) bytes = Math.min(bytes, upload.credit.left);
      mayCut = false;
      if (!upload.credit.spend(bytes)) return this.#probe(upload);
      const isLast = bytes === left;
      if (isLast) upload.waiting.shift();
      else upload.waiting[0] = left - bytes;
      this.#put(bytes + 8, () => this.#data(upload, bytes, isLast));
    }
  }

  #data(upload: Upload, bytes: number, isLast: boolean): void {
    if (!upload.incoming.receive(bytes)) throw new Error("more than granted");
    upload.arrived += bytes;
    if (isLast) upload.messages += 1;
    upload.untaken += bytes;
  }

  #probe(upload: Upload): void {
    const what = upload.credit.blocked(this.nowMs);
    if (what === "stalled") upload.isStalled = true;
    const left = upload.credit.probeValue();
    const frame: Frame = { type: FRAME_PROBE, flags: 0, streamId: 1, place: NO_PLACE, payload: encodeU32(left) };
    if (what === "probe") this.#put(12, () => upload.incoming.probed(frame));
  }
}

const BURST = MAX_MESSAGE_BYTES;

/** @returns the longest of some rounds of words */
async function slowestWord(line: Line, rounds: number): Promise<number> {
  let slowest = 0;
  for (let round = 0; round < rounds; round += 1) {
    const word = line.say();
    await line.until(() => word.ms !== null, 120_000);
    slowest = Math.max(slowest, word.ms ?? 0);
    line.pass(730);
  }
  return slowest;
}

test.each([
  [1, MBIT],
  [6, MBIT],
  [50, MBIT],
  [6, 8 * MBIT],
  [50, 4 * MBIT],
  [6, 32 * KIB],
  [6, 10 * KIB],
])(
  "[CR12] %d uploads fill a line of %d bytes a second: once the first windows are through, a command passes within a second, and the line is never idle",
  async (streams, rate) => {
    const line = new Line({ rate, tripMs: 40 });
    for (let id = 1; id <= streams; id += 1) {
      line.stream(id);
      for (let each = 0; each < 8; each += 1) line.send(id, BURST);
    }
    const first = line.say();
    await line.until(() => first.ms !== null, (1_100 * streams * INITIAL_CREDIT_BYTES) / rate + 1_000);
    line.pass(15_000);
    const [before, sinceMs] = [line.arrived, line.nowMs];
    const slowest = await slowestWord(line, 40);
    const used = (line.arrived - before) / ((rate * (line.nowMs - sinceMs)) / 1_000);
    expect(slowest).toBeLessThanOrEqual(1_000);
    expect(used).toBeGreaterThan(0.85);
    expect([...line.uploads.values()].some(({ isStalled }) => isStalled)).toBe(false);
  },
);

/** Six uploads over a line of 1 Mbit/s, past their first windows. */
function busy(options: Partial<LineOptions> = {}): Line {
  const line = new Line({ rate: MBIT, tripMs: 40, ...options });
  for (let id = 1; id <= 6; id += 1) {
    line.stream(id);
    for (let each = 0; each < 8; each += 1) line.send(id, BURST);
  }
  line.pass(30_000);
  return line;
}

test("[CR12] without it the same command waits behind every stream's window", async () => {
  expect(await slowestWord(busy({ isUnpaced: true }), 3)).toBeGreaterThan((1_000 * 5 * INITIAL_CREDIT_BYTES) / MBIT);
});

test("[CR12] streams take turns: six uploads get the same, and each message of 25 MiB arrives whole", async () => {
  const line = busy();
  const before = [...line.uploads.values()].map(({ arrived }) => arrived);
  line.pass(60_000);
  const came = [...line.uploads.values()].map(({ arrived }, i) => arrived - (before[i] ?? 0));
  expect(Math.max(...came) - Math.min(...came)).toBeLessThanOrEqual(2 * MAX_FRAME_PAYLOAD_BYTES);
  await line.until(() => [...line.uploads.values()].every(({ messages }) => messages >= 1), (1_100 * 6 * BURST) / MBIT + 60_000);
});

test("[CR12] a neighbour's small messages pass within a second, too, and do not need a turn for each", async () => {
  const line = busy();
  const neighbour = line.stream(9);
  for (let sent = 1; sent <= 300; sent += 1) {
    line.send(9, 2_000);
    await line.until(() => neighbour.messages === sent, 1_000);
  }
});

test("[CR12] [CR4] a room that cuts no pieces is served in whole ones: slower to react, but nobody stalls", async () => {
  const line = busy({ canSplit: false });
  expect(await slowestWord(line, 40)).toBeLessThanOrEqual(2_000);
  expect([...line.uploads.values()].some(({ isStalled }) => isStalled)).toBe(false);
});

test.each([1, 8])(
  "[CR12] a fast line is used as it is: %d uploads of 25 MiB make the same grants in the same time, and no heartbeat more",
  async (streams) => {
    const [paced, unpaced] = [false, true].map((isUnpaced) => {
      const line = new Line({ rate: 200 * KIB * KIB, tripMs: 40, isUnpaced });
      for (let id = 1; id <= streams; id += 1) {
        line.stream(id);
        line.send(id, BURST);
      }
      return line;
    }) as [Line, Line];
    for (const line of [paced, unpaced]) await line.until(() => [...line.uploads.values()].every(({ messages }) => messages === 1), 20_000);
    expect([paced.nowMs, paced.credits, paced.beats]).toEqual([unpaced.nowMs, unpaced.credits, unpaced.beats]);
  },
);

test("[CR12] a line that gets faster is used as it is again", async () => {
  const line = busy();
  expect(line.downlink.isSlow).toBe(true);
  line.rate = 20 * KIB * KIB;
  await line.until(() => !line.downlink.isSlow, 3_000);
  const [before, beats] = [line.arrived, line.beats];
  line.pass(1_000);
  expect(line.arrived - before).toBeGreaterThan(0.95 * line.rate);
  expect(line.beats - beats).toBeLessThanOrEqual(1);
});

test("[CR12] a line that gets slower: what is under way is late once, then a command passes within a second", async () => {
  const line = new Line({ rate: 20 * KIB * KIB, tripMs: 40 });
  for (let id = 1; id <= 6; id += 1) {
    line.stream(id);
    for (let each = 0; each < 40; each += 1) line.send(id, BURST);
  }
  line.pass(5_000);
  expect(line.downlink.isSlow).toBe(false);
  line.rate = MBIT;
  line.pass(25_000);
  expect(await slowestWord(line, 40)).toBeLessThanOrEqual(1_000);
});

test("[CR12] a gateway that takes little leaves the others' credit as it is", async () => {
  const line = new Line({ rate: 20 * KIB * KIB, tripMs: 40, takes: (id) => (id === 1 ? 20 * KIB : Infinity) });
  for (let id = 1; id <= 6; id += 1) {
    line.stream(id);
    for (let each = 0; each < 20; each += 1) line.send(id, BURST);
  }
  for (let second = 0; second < 20; second += 1) {
    line.pass(1_000);
    expect(line.downlink.isSlow).toBe(false);
  }
});

test("[CR12] others who keep the line's queue full are part of the way: the streams go on", async () => {
  const line = busy({ rate: 2 * KIB * KIB });
  line.tripMs = 1_500;
  // Found out by giving way to them, as far as it goes, first.
  line.pass(120_000);
  const before = line.arrived;
  line.pass(20_000);
  expect(line.arrived - before).toBeGreaterThan((0.5 * 20 * 6 * INITIAL_CREDIT_BYTES) / 1.5);
});

test("[CR12] [CR4] whoever waits only because the line is slow hears a word every few seconds", async () => {
  const line = new Line({ rate: MBIT, tripMs: 40 });
  for (let id = 1; id <= 50; id += 1) {
    line.stream(id);
    for (let each = 0; each < 8; each += 1) line.send(id, BURST);
  }
  line.pass(180_000);
  for (const { longestWithoutWordMs, isStalled } of line.uploads.values()) {
    expect(longestWithoutWordMs).toBeLessThan(10_000);
    expect(isStalled).toBe(false);
  }
});

test("[CR12] a stream that ends while it waits for its turn has none; what it was lent is the others'", () => {
  let nowMs = 0;
  const downlink: PacedDownlink = new PacedDownlink({ clock: () => nowMs, beat: () => downlink.beatSent(), streams: () => 3 });
  downlink.beatSent();
  downlink.received(1, INITIAL_CREDIT_BYTES);
  nowMs = 2_000;
  downlink.beatAnswered();
  expect(downlink.isSlow).toBe(true);
  downlink.lent(1, INITIAL_CREDIT_BYTES);
  const turns: string[] = [];
  const [ended, other] = [() => turns.push("ended"), () => turns.push("other")];
  downlink.waitForTurn(ended);
  downlink.waitForTurn(other);
  expect([turns, downlink.isWaiting(ended)]).toEqual([[], true]);
  downlink.leave(2, ended);
  downlink.leave(1, () => undefined);
  expect(turns).toEqual(["other"]);
});
