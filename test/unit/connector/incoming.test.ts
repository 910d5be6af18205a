/** What one stream grants: as the gateway takes it, or in turns while the line down is slow. */
import { expect, test } from "vitest";
import { Incoming } from "../../../src/connector/streams/receive-credit.ts";
import type { Downlink, StreamParts } from "../../../src/connector/streams/stream.ts";
import { FLAG_SPLIT, FRAME_PROBE, NO_PLACE, decodeU32, encodeU32 } from "../../../src/protocol/frame.ts";
import type { Frame } from "../../../src/protocol/frame.ts";
import { CREDIT_ALONG_BYTES, INITIAL_CREDIT_BYTES, PROBE_COUNT_LOST } from "../../../src/protocol/limits.ts";

const PIECE = 4_000;

function probe(left: number, place = NO_PLACE): Frame {
  return { type: FRAME_PROBE, flags: 0, streamId: 1, place, payload: encodeU32(left) };
}

function world() {
  const turns = new Set<() => void>();
  const line = { isSlow: true, isLate: false, canSplit: true, pieceBytes: PIECE, lowBytes: 2 * PIECE };
  const lent: number[] = [];
  const downlink: Downlink = {
    get isSlow() {
      return line.isSlow;
    },
    get isLate() {
      return line.isLate;
    },
    canSplit: true,
    pieceBytes: PIECE,
    lowBytes: 2 * PIECE,
    received: () => undefined,
    waitForTurn: (turn) => turns.add(turn),
    isWaiting: (turn) => turns.has(turn),
    lent: (_stream, bytes) => lent.push(bytes),
    leave: (_stream, turn) => turns.delete(turn),
    isReminding: () => false,
  };
  const grants: [number | null, number][] = [];
  const parts = {
    id: 1,
    downlink,
    sendFrame: (_type, flags, _id, payload) => grants.push([decodeU32(payload as Uint8Array<ArrayBuffer>), flags]),
  } satisfies Partial<StreamParts> as unknown as StreamParts;
  const incoming = new Incoming(parts);
  /** Data comes, and the gateway takes it. */
  const pass = (bytes: number): void => {
    expect(incoming.receive(bytes)).toBe(true);
    incoming.consumed(bytes);
  };
  const turn = (): void => {
    const [first] = turns;
    turns.clear();
    (first ?? expect.unreachable())();
  };
  return { line, incoming, turns, lent, grants, pass, turn };
}

test("[CR12] a stream asks for a turn when it has run low, gets one piece, and asks again while it is low", () => {
  const { turns, lent, grants, pass, turn } = world();
  pass(INITIAL_CREDIT_BYTES - 2 * PIECE);
  expect(turns.size).toBe(0);
  pass(PIECE + 1);
  expect([turns.size, grants]).toEqual([1, []]);
  turn();
  expect([turns.size, grants, lent]).toEqual([1, [[PIECE, FLAG_SPLIT]], [PIECE]]);
  turn();
  expect([turns.size, grants.length]).toEqual([0, 2]);
});

test("[CR12] [CR4] a room that is out of credit for its next piece says so: then the stream has its turn however much it was granted", () => {
  const { incoming, turns, grants, pass, turn } = world();
  incoming.probed(probe(INITIAL_CREDIT_BYTES));
  expect(turns.size).toBe(0);
  pass(10 * PIECE);
  expect(turns.size).toBe(1);
  turn();
  expect([turns.size, grants]).toEqual([0, [[PIECE, FLAG_SPLIT]]]);
});

test("[CR12] [CR4] [FR6] a room that asks twice while all is granted hears so, over a slow line, too: a grant may be lost; and it still has its turn", () => {
  const { incoming, turns, grants, pass, turn } = world();
  incoming.probed(probe(0, 7));
  expect(grants).toEqual([]);
  incoming.probed(probe(0, 11));
  expect(grants).toEqual([[0, 0]]);
  pass(PIECE);
  turn();
  incoming.probed(probe(0, 15));
  expect([turns.size, grants]).toEqual([0, [[0, 0], [PIECE, FLAG_SPLIT]]]); // prettier-ignore
  for (const _ of [1, 2]) incoming.probed(probe(0));
  expect(grants.length).toBe(2);
});

test("[CR12] nothing goes along while turns decide; once the line is quick a turn grants all that is owed", () => {
  const { line, incoming, turns, grants, pass, turn } = world();
  pass(INITIAL_CREDIT_BYTES);
  expect([incoming.goAlong(), turns.size]).toEqual([0, 1]);
  line.isSlow = false;
  turn();
  expect(grants).toEqual([[INITIAL_CREDIT_BYTES, 0]]);
  incoming.receive(CREDIT_ALONG_BYTES);
  incoming.consumed(CREDIT_ALONG_BYTES);
  expect(incoming.goAlong()).toBe(CREDIT_ALONG_BYTES);
});

test("[CR12] [CR5] a room that lost its count gets its full window", () => {
  const { incoming, grants, pass } = world();
  pass(1_000);
  incoming.probed(probe(PROBE_COUNT_LOST));
  expect(grants).toEqual([[INITIAL_CREDIT_BYTES, FLAG_SPLIT]]);
});

test("[CR12] a stream that ends asks no more", () => {
  const { incoming, turns, pass } = world();
  pass(INITIAL_CREDIT_BYTES);
  expect(turns.size).toBe(1);
  incoming.stop();
  expect(turns.size).toBe(0);
});

test("[CR12] [CR4] whoever waits for its turn, or for a line that is late, is told that somebody is there; nobody else", () => {
  const { line, incoming, grants, pass } = world();
  incoming.remind();
  expect(grants).toEqual([]);
  line.isLate = true;
  incoming.remind();
  line.isLate = false;
  pass(INITIAL_CREDIT_BYTES);
  incoming.remind();
  expect(grants).toEqual([[0, 0], [0, 0]]); // prettier-ignore
});
