/** This browser's key for this gateway: made here, kept in IndexedDB, never extractable (reference: security.md 4). */
import { toBase64url } from "../protocol/statement-encoding.ts";
import type { DeviceKey } from "../protocol/statements.ts";

export interface HeldKey {
  readonly publicKey: DeviceKey;
  /** Made just now: nobody can know it yet. */
  readonly isNew: boolean;
  /** @returns base64url raw signature, 64 bytes */
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
}

const DATABASE = "gatehouse";
const STORE = "keys";
const NAME = "device";

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("storage")));
  });
}

async function openStore(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE));
  return result(request);
}

async function makePair(): Promise<CryptoKeyPair> {
  try {
    return await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
  } catch {
    // Older browsers have no Ed25519.
    return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  }
}

/** @throws when this browser stores nothing, or pages here have no cryptography */
export async function deviceKey(): Promise<HeldKey> {
  const database = await openStore();
  let pair = (await result(database.transaction(STORE).objectStore(STORE).get(NAME))) as CryptoKeyPair | undefined;
  const isNew = pair === undefined;
  if (pair === undefined) {
    const made = await makePair();
    try {
      await result(database.transaction(STORE, "readwrite").objectStore(STORE).add(made, NAME));
    } catch (error) {
      // Another tab was first: its key is this browser's key, or one of the two tabs would ask with a key that nobody keeps.
      if ((error as DOMException).name !== "ConstraintError") throw error;
    }
    // Read back: some private windows accept the write and keep nothing.
    pair = (await result(database.transaction(STORE).objectStore(STORE).get(NAME))) as CryptoKeyPair | undefined;
    if (pair === undefined) throw new Error("storage");
  }
  const { privateKey, publicKey } = pair;
  const jwk = await crypto.subtle.exportKey("jwk", publicKey);
  const { x = "", y = "" } = jwk;
  const key: DeviceKey = jwk.kty === "OKP" ? { kty: "OKP", crv: "Ed25519", x } : { kty: "EC", crv: "P-256", x, y };
  const algorithm = jwk.kty === "OKP" ? { name: "Ed25519" } : { name: "ECDSA", hash: "SHA-256" };
  return {
    publicKey: key,
    isNew,
    sign: async (bytes) => toBase64url(new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, bytes))),
  };
}
