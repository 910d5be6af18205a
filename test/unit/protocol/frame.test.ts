import fc from "fast-check";
import { expect, test } from "vitest";
import { MessageAssembler, frameOf, piecesOf } from "../../../src/core/message-frames.ts";
import {
  FLAG_FIN,
  FLAG_TEXT,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_OPEN,
  decodeFrame,
  decodeU32,
  encodeFrame,
  encodeU32,
} from "../../../src/protocol/frame.ts";
import { MAX_FRAME_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";

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
