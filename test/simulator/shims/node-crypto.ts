/** Node's own module, with the run's randomness. */
import nodeCrypto from "node:crypto";
import type { JsonWebKey, KeyObject } from "node:crypto";
import { signed } from "../signatures.ts";
import { sim } from "../sim.ts";

export * from "node:crypto";

const privateKeys = new Map<string, { readonly x: string; readonly key: KeyObject }>();
const publicOf = new WeakMap<KeyObject, string>();

/** Every start of a connector reads the same key. */
export function createPrivateKey(input: { key: JsonWebKey; format: "jwk" }): KeyObject {
  const { x = "", d = "" } = input.key;
  const name = `${x}.${d}`;
  const known = privateKeys.get(name) ?? { x, key: nodeCrypto.createPrivateKey(input) };
  privateKeys.set(name, known);
  publicOf.set(known.key, x);
  return known.key;
}

export function sign(algorithm: null, data: Uint8Array, key: KeyObject): Buffer {
  const signature = nodeCrypto.sign(algorithm, data, key);
  const x = publicOf.get(key);
  if (x !== undefined) signed(x, data, signature);
  return signature;
}

export function randomBytes(count: number): Buffer {
  return Buffer.from(sim.entropy.bytes(count));
}
