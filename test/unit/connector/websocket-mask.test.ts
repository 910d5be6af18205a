/** Masking by words gives what masking byte by byte gives, wherever the bytes lie. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { mask, unmask } from "../../../src/connector/streams/websocket-mask.ts";

function byteByByte(source: Uint8Array, key: Uint8Array): Uint8Array {
  return source.map((byte, i) => byte ^ (key[i & 3] ?? 0));
}

test("any bytes at any place are masked as RFC 6455 says, and nothing beside them is touched", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const key = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const place = fc.nat({ max: 15 });
  fc.assert(
    fc.property(bytes, key, place, place, place, (payload, four, sourceAt, outputAt, offset) => {
      const source = new Uint8Array(sourceAt + payload.byteLength).subarray(sourceAt);
      source.set(payload);
      const whole = new Uint8Array(outputAt + offset + payload.byteLength + 5).fill(0xaa);
      mask(source, four, whole.subarray(outputAt), offset, payload.byteLength);
      const begin = outputAt + offset;
      expect(whole.subarray(begin, begin + payload.byteLength)).toEqual(byteByByte(payload, four));
      expect([...whole.subarray(0, begin), ...whole.subarray(begin + payload.byteLength)].every((byte) => byte === 0xaa)).toBe(true);
      expect(source).toEqual(new Uint8Array(payload));
    }),
  );
});

test("unmasking in place undoes masking in place", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat({ max: 7 }),
      (payload, four, at) => {
        const buffer = new Uint8Array(at + payload.byteLength).subarray(at);
        buffer.set(payload);
        mask(buffer, four, buffer, 0, buffer.byteLength);
        expect(buffer).toEqual(byteByByte(payload, four));
        unmask(buffer, four);
        expect(buffer).toEqual(new Uint8Array(payload));
      },
    ),
  );
});

test("a payload of several blocks is masked to its last byte, wherever it lies", () => {
  const four = Uint8Array.of(0x12, 0x9a, 0xff, 0x03);
  for (const length of [2047, 2048, 2049, 4095, 4100, 65_531])
    for (let at = 0; at < 4; at += 1) {
      const payload = Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff);
      const whole = new Uint8Array(at + length + 3);
      mask(payload, four, whole, at, length);
      expect(Buffer.from(whole.buffer, at, length).equals(byteByByte(payload, four))).toBe(true);
      expect([...whole.subarray(at + length)]).toEqual([0, 0, 0]);
    }
});
