/** The connector's own Ed25519 key: made on this machine, never leaves it. */
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { tagged } from "../protocol/statement-encoding.ts";
import type { StatementType } from "../protocol/statement-encoding.ts";
import { connectorKeySchema } from "../protocol/statements.ts";
import type { ConnectorKey } from "../protocol/statements.ts";
import type { StateFiles } from "./state-files.ts";

export interface Identity {
  readonly publicKey: ConnectorKey;
  /** @returns base64url Ed25519 signature (RFC 8032) over tagged bytes */
  readonly signTagged: (type: StatementType, body: Uint8Array) => string;
  /** The same over bytes that carry their tag already. */
  readonly signRaw: (bytes: Uint8Array) => string;
}

/** Reads the key, or makes and keeps one. @throws DamagedStateError */
export function loadIdentity(files: StateFiles): Identity {
  let stored = files.read("identity");
  if (stored === null) {
    const { privateKey } = generateKeyPairSync("ed25519");
    const jwk = privateKey.export({ format: "jwk" });
    const publicKey = connectorKeySchema.parse({ kty: jwk.kty, crv: jwk.crv, x: jwk.x });
    stored = { publicKey, privateKey: { kty: "OKP", crv: "Ed25519", x: jwk.x ?? "", d: jwk.d ?? "" } };
    files.write("identity", stored);
  }
  const key = createPrivateKey({ key: stored.privateKey, format: "jwk" });
  const signRaw = (bytes: Uint8Array): string => sign(null, bytes, key).toString("base64url");
  return { publicKey: stored.publicKey, signRaw, signTagged: (type, body) => signRaw(tagged(type, body)) };
}
