/**
 * Masks WebSocket payloads four bytes at a time (RFC 6455 §5.3). The library that speaks WebSocket here looks for a native module of this shape
 * and otherwise goes byte by byte, which is most of what a large message costs; the build puts this in that module's place.
 */

/** Unsigned 32 bits in the machine's own byte order. */
const key = new Uint8Array(4);
const keyWord = new Int32Array(key.buffer);

/**
 * Masks into a buffer.
 *
 * @param source bytes to mask; unchanged unless it is `output`
 * @param mask four bytes
 * @param output gets the masked bytes
 * @param offset where in `output` they begin
 * @param length how many bytes of `source`
 */
export function mask(source: Uint8Array, mask: Uint8Array, output: Uint8Array, offset: number, length: number): void {
  output.set(source.subarray(0, length), offset);
  apply(output, offset, offset + length, mask);
}

/** Masks, or unmasks, in place; `mask` is four bytes. */
export function unmask(buffer: Uint8Array, mask: Uint8Array): void {
  apply(buffer, 0, buffer.byteLength, mask);
}

function apply(bytes: Uint8Array, from: number, end: number, mask: Uint8Array): void {
  let at = from;
  for (; at < end && ((bytes.byteOffset + at) & 3) !== 0; at += 1) bytes[at] = (bytes[at] ?? 0) ^ (mask[(at - from) & 3] ?? 0);
  const count = (end - at) >>> 2;
  if (count > 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, count);
    for (let i = 0; i < 4; i += 1) key[i] = mask[(at - from + i) & 3] ?? 0;
    const word = keyWord[0] ?? 0;
    for (let i = 0; i < count; i += 1) words[i] = (words[i] ?? 0) ^ word;
    at += words.byteLength;
  }
  for (; at < end; at += 1) bytes[at] = (bytes[at] ?? 0) ^ (mask[(at - from) & 3] ?? 0);
}
