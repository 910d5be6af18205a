/** Places of a stream's frames: what a bad line does to them is found, and a good one, or a room that slept, is never called bad. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { BYTES_MISSING, BYTES_TWICE, ReceiveOrder, SendOrder } from "../../../src/core/link/frame-order.ts";
import { FLAG_ANEW, NO_PLACE } from "../../../src/protocol/frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES } from "../../../src/protocol/limits.ts";

interface Placed {
  readonly flags: number;
  readonly place: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

function send(order: SendOrder, bytes: number): Placed {
  const flags = order.flag;
  return { flags, place: order.take(bytes), payload: new Uint8Array(bytes) };
}

const sizes = fc.array(fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: MAX_FRAME_PAYLOAD_BYTES - 2, max: MAX_FRAME_PAYLOAD_BYTES })), {
  minLength: 2,
  maxLength: 60,
});

/** @returns what the receiver says of each frame up to the first that is wrong */
function heard(frames: readonly Placed[], receiver = new ReceiveOrder()): (string | null)[] {
  const said: (string | null)[] = [];
  for (const frame of frames) {
    said.push(receiver.take(frame));
    if (said.at(-1) !== null) break;
  }
  return said;
}

test("[FR6] frames that arrive as they were sent are in order, over any number of turns of the count", () => {
  fc.assert(
    fc.property(sizes, (all) => {
      const sender = new SendOrder();
      expect(heard(all.map((bytes) => send(sender, bytes)))).toEqual(all.map(() => null));
    }),
  );
});

test("[FR6] [case 31] a frame that is lost is found with the next one, one that comes twice at once, a swap with the first of the two", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (all, pick) => {
      const sender = new SendOrder();
      const frames = all.map((bytes) => send(sender, bytes));
      const at = pick % (frames.length - 1);
      const good = Array<null>(at).fill(null);
      // A whole turn of the count in these two: still found, but by the other name.
      fc.pre((all[at] ?? 0) + (all[at + 1] ?? 0) + 2 !== 0x1_0000);
      expect(heard([...frames.slice(0, at), ...frames.slice(at + 1)])).toEqual([...good, BYTES_MISSING]);
      expect(heard(frames.toSpliced(at, 0, frames[at] as Placed))).toEqual([...good, null, BYTES_TWICE]);
      expect(heard(frames.toSpliced(at, 2, frames[at + 1] as Placed, frames[at] as Placed))).toEqual([...good, BYTES_MISSING]);
    }),
  );
});

test("[FR6] [case 31] a frame that was cut short, or grew, is found itself", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), fc.integer({ min: -300, max: 300 }), (all, pick, by) => {
      const sender = new SendOrder();
      const frames = all.map((bytes) => send(sender, bytes));
      const at = pick % frames.length;
      const frame = frames[at] as Placed;
      const bytes = frame.payload.byteLength + by;
      fc.pre(by !== 0 && bytes >= 0);
      expect(heard(frames.with(at, { ...frame, payload: new Uint8Array(bytes) }))).toEqual([...Array<null>(at).fill(null), BYTES_MISSING]);
    }),
  );
});

test("[FR6] an older end's frames say no place, and nothing is found in them", () => {
  const frame = { flags: 0, place: NO_PLACE, payload: new Uint8Array(3) };
  expect(heard([frame, frame])).toEqual([null, null]);
});

test("[FR6] [CR5] a sender that lost its count begins anew with any frame, and what follows is held against that", () => {
  const receiver = new ReceiveOrder();
  expect(heard([send(new SendOrder(), 500), send(new SendOrder(7, true), 40)], receiver)).toEqual([null, null]);
  const woken = new SendOrder(8, true);
  expect(woken.count).toBe(null);
  const [first, lost, last] = [send(woken, 1), send(woken, 2), send(woken, 3)];
  expect([first.flags, lost.flags]).toEqual([FLAG_ANEW, 0]);
  expect(woken.count).toBe(last.place);
  expect(heard([first, last], receiver)).toEqual([null, BYTES_MISSING]);
});

test("[FR6] [CR5] [case 31] a first frame after a loss of count that comes twice is found; one of the next loss never is taken for it", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 0xffff }),
      fc.array(fc.nat({ max: MAX_FRAME_PAYLOAD_BYTES }), { minLength: 1, maxLength: 20 }),
      (start, all) => {
        const receiver = new ReceiveOrder();
        const begins = all.map((bytes, wake) => send(new SendOrder((start + wake) % 0x1_0000, true), bytes));
        expect(heard(begins, receiver)).toEqual(all.map(() => null));
        expect(receiver.take(begins.at(-1) as Placed)).toBe(BYTES_TWICE);
      },
    ),
  );
});

test("[FR6] [CR5] a receiver that lost its count takes it from the first frame, and one that kept it goes on", () => {
  const sender = new SendOrder();
  const frames = [10, 20, 30, 40].map((bytes) => send(sender, bytes));
  expect(heard(frames.slice(1), new ReceiveOrder(null))).toEqual([null, null, null]);
  const first = new ReceiveOrder();
  heard(frames.slice(0, 1), first);
  expect(heard(frames.slice(1), new ReceiveOrder(first.count))).toEqual([null, null, null]);
  expect(heard(frames.slice(2), new ReceiveOrder(first.count))).toEqual([BYTES_MISSING]);
  expect(heard([frames[1] as Placed, frames[3] as Placed], new ReceiveOrder(null))).toEqual([null, BYTES_MISSING]);
});
