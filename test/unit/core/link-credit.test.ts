/** Credit on a line that is slow downwards: what is lent, to whom, and when it is lent no more. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LinkCredit } from "../../../src/core/link/link-credit.ts";
import { ReceiveCredit } from "../../../src/core/link/stream-credit.ts";
import { INITIAL_CREDIT_BYTES, LENT_PIECE_MIN_BYTES, LENT_WINDOW_MIN_BYTES, LINK_QUEUE_MS, MARK_EVERY_MS, MAX_FRAME_PAYLOAD_BYTES } from "../../../src/protocol/limits.ts"; // prettier-ignore

const KIB = 1024;

/** One that has seen a heartbeat two seconds late behind 256 KiB. */
function lending(): LinkCredit {
  const credit = new LinkCredit();
  credit.beat(0);
  credit.answered(20);
  credit.beat(1_000);
  credit.received(1, 256 * KIB, 1_010, 1);
  credit.answered(3_000);
  return credit;
}

test("[CR12] a heartbeat that is late behind data: from then on what the line carries in half a second is lent", () => {
  const credit = lending();
  expect(credit.isLending).toBe(true);
  expect(credit.freeBytes(3_000)).toBe(Math.floor((256 * KIB * (LINK_QUEUE_MS + 20)) / 2_000));
});

test("[CR12] it need not be answered for that: while it is overdue nothing is lent at all", () => {
  const credit = new LinkCredit();
  credit.beat(0);
  credit.answered(20);
  credit.beat(1_000);
  credit.received(1, 64 * KIB, 1_000 + LINK_QUEUE_MS + 20, 1);
  expect([credit.isLending, credit.isLate(1_000 + LINK_QUEUE_MS + 20)]).toEqual([false, false]);
  credit.received(1, 64 * KIB, 1_000 + LINK_QUEUE_MS + 21, 1);
  expect([credit.isLending, credit.freeBytes(1_000 + LINK_QUEUE_MS + 21)]).toEqual([true, 0]);
  credit.answered(9_000);
  expect(credit.freeBytes(9_000)).toBeGreaterThan(0);
});

test("[CR12] late with hardly anything behind it is no sign of a slow line, nor is a long way", () => {
  const late = new LinkCredit();
  late.beat(0);
  late.answered(20);
  late.beat(1_000);
  late.received(1, 4_000, 1_500, 1);
  late.answered(60_000);
  expect(late.isLending).toBe(false);
  const far = new LinkCredit();
  far.beat(0);
  far.answered(900);
  far.beat(1_000);
  far.received(1, 256 * KIB, 1_800, 1);
  far.answered(1_900);
  expect(far.isLending).toBe(false);
});

test("[CR12] what came, what an ended stream had, and what was left unused by the answer to a later heartbeat may be lent again", () => {
  const credit = lending();
  const window = credit.freeBytes(3_000);
  for (const stream of [1, 2, 3]) credit.lend(stream, 10_000);
  expect([credit.lentBytes, credit.freeBytes(3_000)]).toEqual([30_000, window - 30_000]);
  credit.received(1, 4_000, 3_010, 3);
  expect(credit.lentBytes).toBe(26_000);
  // More than was lent: the rest was granted before.
  credit.received(1, 50_000, 3_010, 3);
  expect(credit.lentBytes).toBe(20_000);
  credit.over(2);
  expect(credit.lentBytes).toBe(10_000);
  credit.beat(3_020);
  credit.lend(3, 5_000);
  credit.answered(3_050);
  // The heartbeat left before it.
  expect(credit.lentBytes).toBe(15_000);
  credit.beat(3_060);
  credit.answered(3_090);
  expect(credit.lentBytes).toBe(0);
});

test("[CR12] answers that come at once while the window is used double it, until it is no bound any more", () => {
  const credit = lending();
  let nowMs = 3_000;
  for (let round = 0; credit.isLending; round += 1) {
    expect(round).toBeLessThan(10);
    const free = credit.freeBytes(nowMs);
    credit.beat(nowMs);
    credit.lend(1, free);
    nowMs += 30;
    credit.received(1, free, nowMs, 1);
    credit.answered(nowMs);
    if (credit.isLending) expect(credit.freeBytes(nowMs)).toBe(2 * free);
  }
  expect(credit.freeBytes(nowMs)).toBe(Infinity);
});

test("[CR12] a quick answer to a heartbeat that left before the window was what it is says nothing about it", () => {
  const credit = lending();
  const window = credit.freeBytes(3_000);
  credit.beat(3_000);
  credit.beat(3_005);
  credit.received(1, window, 3_010, 1);
  credit.answered(3_010);
  expect(credit.freeBytes(3_010)).toBe(2 * window);
  credit.received(1, 2 * window, 3_030, 1);
  credit.answered(3_030);
  expect(credit.freeBytes(3_030)).toBe(2 * window);
});

test("[CR12] few bytes that come at once prove nothing: the window stays", () => {
  const credit = lending();
  const before = credit.freeBytes(3_000);
  for (let nowMs = 4_000; nowMs < 600_000; nowMs += 1_000) {
    credit.beat(nowMs);
    credit.received(1, 2_000, nowMs + 10, 1);
    credit.answered(nowMs + 30);
  }
  expect(credit.freeBytes(600_000)).toBe(before);
});

test("[CR12] a heartbeat is asked for only where so little comes that a full line could be the reason", () => {
  const credit = new LinkCredit();
  credit.beat(0);
  expect(credit.received(1, 64 * KIB, MARK_EVERY_MS, 1)).toBe(false);
  credit.answered(10);
  const slow = 0.4 * INITIAL_CREDIT_BYTES * (1_000 / LINK_QUEUE_MS);
  expect(credit.received(1, slow - 64 * KIB, MARK_EVERY_MS - 1, 1)).toBe(false);
  expect(credit.received(1, 1, MARK_EVERY_MS, 1)).toBe(true);
  // At this pace one stream's window passes in time, those of three may not.
  expect(credit.received(1, 2 * slow, MARK_EVERY_MS, 1)).toBe(false);
  expect(credit.received(1, 1, MARK_EVERY_MS, 3)).toBe(true);
});

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("lend" as const), stream: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("data" as const), stream: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 1, max: 90_000 }) }) }, // prettier-ignore
  fc.record({ do: fc.constant("over" as const), stream: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant("beat" as const) }),
  fc.record({ do: fc.constant("answer" as const) }),
  fc.record({ do: fc.constant("time" as const), ms: fc.integer({ min: 0, max: 4_000 }) }),
);

test("[CR12] [CR2] whatever comes in whatever order: no stream ever has more than its window, pieces keep their floor, and the books are even", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.boolean(), (steps, canSplit) => {
      const credit = new LinkCredit();
      const streams = new Map([1, 2, 3, 4, 5].map((id) => [id, new ReceiveCredit()]));
      let nowMs = 0;
      for (const each of steps) {
        const stream = "stream" in each ? (streams.get(each.stream) as ReceiveCredit) : null;
        if (each.do === "time") nowMs += each.ms;
        else if (each.do === "beat") credit.beat(nowMs);
        else if (each.do === "answer") credit.answered(nowMs);
        else if (each.do === "over") credit.over(each.stream);
        else if (each.do === "data") {
          // An honest sender: only what it was granted.
          const bytes = Math.min(each.bytes, stream?.openBytes ?? 0);
          expect(stream?.receive(bytes)).toBe(true);
          stream?.keep(bytes);
          credit.received(each.stream, bytes, nowMs, 5);
        } else if (credit.freeBytes(nowMs) > 0) {
          const piece = credit.pieceBytes(canSplit);
          const [lent, free, isLending] = [credit.lentBytes, credit.freeBytes(nowMs), credit.isLending];
          const grant = stream?.grant(isLending ? piece : Infinity) ?? 0;
          credit.lend(each.stream, grant);
          expect(credit.lentBytes).toBe(isLending ? lent + grant : 0);
          // One piece may reach beyond the window, so that a small one is of use.
          expect(grant).toBeLessThanOrEqual(isLending ? piece : INITIAL_CREDIT_BYTES);
          if (isLending) expect(free - grant).toBeGreaterThan(-piece);
        }
        for (const { openBytes, owedBytes } of streams.values()) expect(openBytes + owedBytes).toBe(INITIAL_CREDIT_BYTES);
        expect(credit.lentBytes).toBeGreaterThanOrEqual(0);
        const piece = credit.pieceBytes(canSplit);
        expect(piece).toBeGreaterThanOrEqual(canSplit ? LENT_PIECE_MIN_BYTES : MAX_FRAME_PAYLOAD_BYTES);
        expect(credit.lowBytes(canSplit) + piece).toBeLessThanOrEqual(INITIAL_CREDIT_BYTES);
      }
      // A line that is quick again is used as it is again, whatever was before.
      for (let round = 0; round < 400; round += 1) {
        const bytes = Math.max(LENT_WINDOW_MIN_BYTES, Math.min(INITIAL_CREDIT_BYTES, credit.freeBytes(nowMs)));
        credit.beat(nowMs);
        nowMs += 10;
        for (const id of streams.keys()) credit.received(id, bytes, nowMs, 5);
        for (let each = 0; each < 300 && credit.isBeatUnderWay; each += 1) credit.answered(nowMs);
      }
      expect(credit.isLending).toBe(false);
    }),
    { numRuns: 300 },
  );
});
