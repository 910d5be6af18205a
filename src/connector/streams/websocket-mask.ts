/**
 * Masks WebSocket payloads four bytes at a time (RFC 6455 §5.3). The library that speaks WebSocket here looks for a native module of this shape
 * and otherwise goes byte by byte, which is most of what a large message costs; the build puts this in that module's place.
 */

/** Unsigned 32 bits in the machine's own byte order. */
const key = new Uint8Array(4);
const keyWord = new Int32Array(key.buffer);

/**
 * Words of one call: V8 then soon has fast code for the whole of it. A long loop is entered in its middle instead, by code that was thrown away at every
 * end where what follows the loop was not known yet, thousands of times.
 */
const BLOCK_WORDS = 512;

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
  const lead = Math.min(end, from + (-(bytes.byteOffset + from) & 3));
  const count = (end - lead) >>> 2;
  xorBytes(bytes, from, lead, mask, from);
  if (count > 0) {
    for (let i = 0; i < 4; i += 1) key[i] = mask[(lead - from + i) & 3] ?? 0;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + lead, count);
    for (let at = 0; at < count; at += BLOCK_WORDS) xorWords(words, at, Math.min(count, at + BLOCK_WORDS), keyWord[0] ?? 0);
  }
  xorBytes(bytes, lead + 4 * count, end, mask, from);
}

function xorWords(words: Int32Array, from: number, end: number, word: number): void {
  for (let at = from; at < end; at += 1) words[at] = (words[at] ?? 0) ^ word;
}

/** @param begin where the mask's first byte falls */
function xorBytes(bytes: Uint8Array, from: number, end: number, mask: Uint8Array, begin: number): void {
  for (let at = from; at < end; at += 1) bytes[at] = (bytes[at] ?? 0) ^ (mask[(at - begin) & 3] ?? 0);
}
