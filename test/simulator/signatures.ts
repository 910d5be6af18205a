/** Signatures that were made in this process: whoever verifies one of them later need not compute it again. All others are verified for real. */

const MAX_KEPT = 4_000;
const made = new Map<string, { readonly x: string; readonly data: Buffer }>();

/** Notes a signature. @param x the public key, base64url */
export function signed(x: string, data: Uint8Array, signature: Uint8Array): void {
  if (made.size >= MAX_KEPT) made.clear();
  made.set(nameOf(signature), { x, data: Buffer.from(data) });
}

/** @returns whether this very signature was made here, with this key, over exactly these bytes */
export function wasSigned(x: string, data: Uint8Array, signature: Uint8Array): boolean {
  const known = made.get(nameOf(signature));
  return known !== undefined && known.x === x && known.data.equals(data);
}

const nameOf = (signature: Uint8Array): string =>
  Buffer.from(signature.buffer, signature.byteOffset, signature.byteLength).toString("latin1");
