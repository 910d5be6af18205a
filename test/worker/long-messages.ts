/** Long messages, and how to compare them. */

/** @returns bytes that show where they belong */
export function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 1) out[i] = (i * 31 + (i >> 8)) & 0xff;
  return out;
}

/** @returns a digest, to compare long messages by */
export async function hash(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join(",");
}
