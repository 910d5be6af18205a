import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameSender } from "../../../src/core/link/frame-sender.ts";
import { MessageAssembler, frameOf, piecesOf } from "../../../src/core/link/message-frames.ts";
import {
  FLAG_ANEW,
  FLAG_FIN,
  FLAG_TEXT,
  FRAME_BATCH,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_PROBE,
  FRAME_RESET,
  NO_PLACE,
  batchError,
  decodeFrame,
  decodeU32,
  encodeFrame,
  encodeU32,
  framesOf,
  hasPlace,
  isBatch,
  writeFrame,
} from "../../../src/protocol/frame.ts";
import type { FrameType } from "../../../src/protocol/frame.ts";
import { MAX_BATCH_BYTES, MAX_FRAME_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";

test("[FR1] the header is type, flags, two zero bytes and the stream id, big endian", () => {
  expect([...encodeFrame(FRAME_DATA, FLAG_FIN | FLAG_TEXT, 0x01020304, Uint8Array.of(9))]).toEqual([3, 3, 0, 0, 1, 2, 3, 4, 9]);
});

test.each([
  ["frame_too_short", Uint8Array.of(3, 0, 0, 0, 0, 0, 1)],
  ["frame_type", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)],
  ["frame_type", Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 1)],
  ["frame_flags", Uint8Array.of(FRAME_DATA, 4, 0, 0, 0, 0, 0, 1)],
  ["frame_flags", Uint8Array.of(FRAME_OPEN, FLAG_FIN, 0, 0, 0, 0, 0, 1)],
  ["frame_reserved", Uint8Array.of(FRAME_DATA, 0, 1, 0, 0, 0, 0, 1)],
  ["frame_stream_id", Uint8Array.of(FRAME_CLOSE, 0, 0, 0, 0, 0, 0, 0)],
])("[FR2] %s", (error, bytes) => {
  expect(decodeFrame(bytes)).toBe(error);
});

test("[FR6] between ends with places bytes 2 and 3 say the place, big endian, and flag 4 that the count begins anew; between others they are errors", () => {
  const bytes = new Uint8Array(9);
  writeFrame(bytes, 0, FRAME_DATA, FLAG_FIN | FLAG_ANEW, 7, Uint8Array.of(9), 0xabcd);
  expect([...bytes]).toEqual([3, 5, 0xab, 0xcd, 0, 0, 0, 7, 9]);
  expect(decodeFrame(bytes, true)).toMatchObject({ type: FRAME_DATA, flags: FLAG_FIN | FLAG_ANEW, streamId: 7, place: 0xabcd });
  expect(decodeFrame(bytes)).toBe("frame_flags");
  bytes[1] = FLAG_FIN;
  expect(decodeFrame(bytes)).toBe("frame_reserved");
  expect(batchError(batch(bytes.byteLength, bytes))).toBe("frame_reserved");
  expect(batchError(batch(bytes.byteLength, bytes), true)).toBe(null);
  expect([...framesOf(batch(bytes.byteLength, bytes), true)]).toMatchObject([{ place: 0xabcd }]);
});

test("[FR6] what begins a stream, answers it or ends it at once has no place", () => {
  const types: FrameType[] = [1, 2, 3, 4, 5, 6, 7, 8];
  expect(types.filter(hasPlace)).toEqual([FRAME_DATA, FRAME_CREDIT, FRAME_END, FRAME_CLOSE, FRAME_PROBE]);
  for (const type of types.filter((each) => !hasPlace(each))) {
    expect(decodeFrame(encodeFrame(type, 0, 1), true)).toMatchObject({ place: NO_PLACE });
    expect(decodeFrame(Uint8Array.of(type, 0, 0, 1, 0, 0, 0, 1), true)).toBe("frame_reserved");
    expect(decodeFrame(Uint8Array.of(type, FLAG_ANEW, 0, 0, 0, 0, 0, 1), true)).toBe("frame_flags");
  }
});

test("[FR1] [case 21] a frame of exactly 64 KiB passes, one byte more does not", () => {
  const whole = encodeFrame(FRAME_DATA, 0, 1, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES));
  expect(whole.byteLength).toBe(MAX_FRAME_BYTES);
  expect(decodeFrame(whole)).toMatchObject({ type: FRAME_DATA, streamId: 1 });
  expect(decodeFrame(encodeFrame(FRAME_DATA, 0, 1, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES + 1)))).toBe("frame_too_long");
});

test("[FR2] [case 22] random bytes never throw, and what decodes is a view of them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      const bytes = new Uint8Array(random);
      const frame = decodeFrame(bytes);
      if (typeof frame !== "string") expect(frame.payload.buffer).toBe(bytes.buffer);
    }),
  );
});

test("[ST2] any message, cut anywhere the credit asks, comes back as it was", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300_000, size: "max" }), fc.boolean(), (random, isText) => {
      const assembler = new MessageAssembler();
      let result: unknown = null;
      for (const piece of piecesOf(random, isText)) {
        const frame = decodeFrame(frameOf(7, piece));
        if (typeof frame === "string") throw new Error(frame);
        expect(result).toBe(null);
        result = assembler.push(frame);
      }
      expect(result).toEqual({ data: new Uint8Array(random), isText });
      expect(assembler.isPartial).toBe(false);
    }),
    { numRuns: 60 },
  );
}, 60_000);

test("[ST2] an empty message is one frame", () => {
  expect([...piecesOf(new Uint8Array(0), true)]).toEqual([{ payload: new Uint8Array(0), flags: FLAG_FIN | FLAG_TEXT }]);
});

test("[ST2] a message over 25 MiB, or one that changes its kind, ends the stream", () => {
  const big = new MessageAssembler();
  const payload = new Uint8Array(MAX_FRAME_PAYLOAD_BYTES);
  let last: unknown = null;
  for (let sent = 0; sent <= MAX_MESSAGE_BYTES; sent += payload.byteLength) last = big.push({ flags: 0, payload });
  expect(last).toBe("message_too_large");
  const mixed = new MessageAssembler();
  expect(mixed.push({ flags: FLAG_TEXT, payload })).toBe(null);
  expect(mixed.push({ flags: FLAG_FIN, payload })).toBe("message_kind_changed");
});

test("[CR3] credit travels as four bytes, and only as four", () => {
  expect(decodeU32(encodeU32(4_000_000_000))).toBe(4_000_000_000);
  expect(decodeU32(new Uint8Array(3))).toBe(null);
  expect(decodeU32(new Uint8Array(5))).toBe(null);
});

interface Sent {
  readonly type: FrameType;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

/** Frames that an end may send, of sizes around the borders. */
const sentFrames = fc.array(
  fc.record({
    type: fc.constantFrom<FrameType>(FRAME_DATA, FRAME_CREDIT, FRAME_CLOSE, FRAME_RESET),
    streamId: fc.integer({ min: 1, max: 0xffff_ffff }),
    bytes: fc.oneof(fc.nat({ max: 200 }), fc.constantFrom(0, MAX_FRAME_PAYLOAD_BYTES - 1, MAX_FRAME_PAYLOAD_BYTES)),
    fill: fc.nat({ max: 255 }),
    isLast: fc.boolean(),
    isFlushed: fc.boolean(),
  }),
  { maxLength: 40 },
);

function sender(isBatching: boolean): { frames: FrameSender; messages: Uint8Array<ArrayBuffer>[] } {
  const messages: Uint8Array<ArrayBuffer>[] = [];
  const frames = new FrameSender({
    transmit: (message) => messages.push(message),
    // Not zeroed, as a pool's memory is.
    allocate: (bytes) => new Uint8Array(bytes).fill(0xee),
  });
  frames.isBatching = isBatching;
  return { frames, messages };
}

function readAll(messages: readonly Uint8Array<ArrayBuffer>[]): Sent[] {
  return messages.flatMap((message) => {
    if (isBatch(message)) {
      expect(batchError(message)).toBe(null);
      const several = [...framesOf(message)];
      expect(several.length).toBeGreaterThan(1);
      return several;
    }
    const frame = decodeFrame(message);
    if (typeof frame === "string") throw new Error(frame);
    return [frame];
  });
}

test.each([true, false])(
  "[FR5] frames come out as they went in, in order, whatever they were collected into (batching: %s)",
  (isBatching) => {
    fc.assert(
      fc.property(sentFrames, (all) => {
        const { frames, messages } = sender(isBatching);
        const sent: Sent[] = [];
        for (const { type, streamId, bytes, fill, isLast, isFlushed } of all) {
          const payload = new Uint8Array(bytes).fill(fill);
          const flags = type === FRAME_DATA && isLast ? FLAG_FIN : 0;
          sent.push({ type, flags, streamId, payload });
          frames.put(type, flags, streamId, payload);
          if (isFlushed) frames.flush();
        }
        frames.flush();
        expect(frames.waitingBytes).toBe(0);
        expect(readAll(messages).map((frame) => ({ ...frame, payload: Buffer.from(frame.payload) }))).toEqual(
          sent.map((frame) => ({ ...frame, place: NO_PLACE, payload: Buffer.from(frame.payload) })),
        );
        for (const message of messages)
          expect(message.byteLength).toBeLessThanOrEqual(isBatch(message) ? MAX_BATCH_BYTES : MAX_FRAME_BYTES);
        if (!isBatching) expect(messages).toHaveLength(sent.length);
      }),
      { numRuns: 25 },
    );
  },
);

function batch(...parts: readonly (Uint8Array | number)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    Buffer.concat([
      Uint8Array.of(FRAME_BATCH, 0, 0, 0, 0, 0, 0, 0),
      ...parts.map((part) => (typeof part === "number" ? encodeU32(part) : part)),
    ]),
  );
}

const small = encodeFrame(FRAME_DATA, FLAG_FIN, 7, Uint8Array.of(1, 2, 3));

test.each<[string, Uint8Array<ArrayBuffer>]>([
  ["batch_header", Uint8Array.of(FRAME_BATCH, 0, 0)],
  ["batch_header", Uint8Array.of(FRAME_BATCH, 1, 0, 0, 0, 0, 0, 0)],
  ["batch_header", Uint8Array.of(FRAME_BATCH, 0, 0, 0, 0, 0, 0, 1)],
  ["batch_header", Uint8Array.of(FRAME_DATA, 0, 0, 0, 0, 0, 0, 0)],
  ["batch_empty", batch()],
  ["batch_truncated", batch(small.byteLength)],
  ["batch_truncated", batch(small.byteLength, small, Uint8Array.of(0, 0, 0))],
  ["batch_truncated", batch(small.byteLength + 1, small)],
  ["batch_truncated", batch(0xffff_ffff, small)],
  ["frame_too_short", batch(0)],
  ["frame_too_short", batch(small.byteLength, small, 7, small)],
  ["frame_too_long", batch(MAX_FRAME_BYTES + 1, encodeFrame(FRAME_DATA, 0, 1, new Uint8Array(MAX_FRAME_PAYLOAD_BYTES + 1)))],
  ["frame_type", batch(batch(small.byteLength, small).byteLength, batch(small.byteLength, small))],
  ["frame_flags", batch(small.byteLength, small, 8, encodeFrame(FRAME_OPEN, FLAG_FIN, 1))],
  ["frame_stream_id", batch(8, encodeFrame(FRAME_DATA, 0, 0))],
  ["batch_too_long", batch(new Uint8Array(MAX_BATCH_BYTES))],
])("[FR5] [case 22] %s: nothing of the message is read", (error, bytes) => {
  expect(batchError(bytes)).toBe(error);
});

test("[FR5] [case 22] random bytes behind a batch's header, and a good batch cut or changed anywhere, never throw; what passes is read to its last byte", () => {
  const good = batch(small.byteLength, small, small.byteLength, small);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat({ max: good.byteLength }),
      fc.nat({ max: good.byteLength - 1 }),
      fc.nat({ max: 255 }),
      (random, end, at, byte) => {
        const changed = good.slice();
        changed[at] = byte;
        for (const bytes of [batch(random), good.slice(0, end), changed]) {
          if (batchError(bytes) !== null) continue;
          let read = 8;
          for (const frame of framesOf(bytes)) {
            expect(frame.payload.buffer).toBe(bytes.buffer);
            read += 12 + frame.payload.byteLength;
          }
          expect(read).toBe(bytes.byteLength);
        }
      },
    ),
  );
});
