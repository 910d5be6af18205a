/** One file of a tar archive (ustar, POSIX.1-1988). Pure. */
import { utf8 } from "../../protocol/statement-encoding.ts";

const BLOCK = 512;

/** What ends an archive. */
export const TAR_END = new Uint8Array(2 * BLOCK);

/**
 * Writes header block, content and padding. The time is fixed, so the same files give the same bytes.
 *
 * @param name below `package/`, as npm packs
 * @param mode seven octal digits
 */
export function tarEntry(name: string, content: Uint8Array, mode: string): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(BLOCK);
  const put = (at: number, text: string): void => header.set(utf8(text), at);
  put(0, `package/${name}`);
  put(100, `${mode}\0`);
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${content.byteLength.toString(8).padStart(11, "0")}\0`);
  put(136, "00000000000\0");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\u000000");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  const out = new Uint8Array(BLOCK + Math.ceil(content.byteLength / BLOCK) * BLOCK);
  out.set(header);
  out.set(content, BLOCK);
  return out;
}
