/** Four words that terminal and page share, made from the bytes that both must have in common. */
import { tagged } from "../../protocol/statement-encoding.ts";
import { sha256 } from "./digests.ts";

/** 32 words, five bits each: short, distinct in sound and in the first three letters. Order is part of the protocol. */
export const WORDS = [
  "anchor", "bamboo", "candle", "dolphin", "ember", "falcon", "garden", "hammer",
  "island", "jacket", "kettle", "lantern", "marble", "needle", "orange", "pepper",
  "quartz", "ribbon", "saddle", "tunnel", "umbrella", "velvet", "walnut", "yellow",
  "zebra", "bridge", "copper", "desert", "forest", "mirror", "piano", "rocket",
] as const; // prettier-ignore

/**
 * Four words, 20 bits: a swapped key on either side goes unseen with probability 2^-20, and the commitment leaves one try.
 *
 * @param genesis exact bytes of the genesis statement
 * @returns the words, joined with single spaces
 */
export async function checkWords(genesis: Uint8Array): Promise<string> {
  const hash = await sha256(tagged("words", genesis));
  const bits = new DataView(hash.buffer).getUint32(0) >>> 12;
  return [15, 10, 5, 0].map((shift) => WORDS[(bits >>> shift) & 31] ?? "").join(" ");
}
