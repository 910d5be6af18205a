/** Keys of everybody in a run. Always the same ones, made from their names, and all Ed25519: then every signature of a seed is the same, too. */
import nodeCrypto from "node:crypto";
import { encodeBody, tagged, toBase64url, utf8 } from "../../src/protocol/statement-encoding.ts";
import type { StatementType } from "../../src/protocol/statement-encoding.ts";
import type { ConnectorKey, OwnerKey, SignedByDevice, SignedByOwner } from "../../src/protocol/statements.ts";

import { signed } from "./signatures.ts";

const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

export interface SimKeyPair {
  readonly key: ConnectorKey;
  readonly d: string;
  sign(bytes: Uint8Array): Uint8Array;
}

/** Derived once a process: the names are the same in every run. */
const pairs = new Map<string, SimKeyPair>();

export function keyPair(name: string): SimKeyPair {
  const pair = pairs.get(name) ?? newPair(name);
  pairs.set(name, pair);
  return pair;
}

function newPair(name: string): SimKeyPair {
  const seed = nodeCrypto.createHash("sha256").update(`simulator ${name}`).digest();
  const privateKey = nodeCrypto.createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
  const { x = "" } = nodeCrypto.createPublicKey(privateKey).export({ format: "jwk" }) as {
    x?: string;
  };
  return {
    key: { kty: "OKP", crv: "Ed25519", x },
    d: seed.toString("base64url"),
    sign: (bytes) => {
      const signature = new Uint8Array(nodeCrypto.sign(null, bytes, privateKey));
      signed(x, bytes, signature);
      return signature;
    },
  };
}

export function signByDevice(pair: SimKeyPair, type: StatementType, body: object, keys: readonly string[]): SignedByDevice {
  const bytes = encodeBody(body as Record<string, unknown>, keys);
  return { statement: toBase64url(bytes), signature: toBase64url(pair.sign(tagged(type, bytes))) };
}

const sha256 = (bytes: Uint8Array): Buffer => nodeCrypto.createHash("sha256").update(bytes).digest();

/** An owner's passkey: assertions as WebAuthn has them, over our own challenge. */
export class Passkey {
  readonly ownerKey: OwnerKey;
  readonly #pair: SimKeyPair;
  readonly #origin: string;

  constructor(name: string, origin: string) {
    this.#pair = keyPair(name);
    this.#origin = origin;
    this.ownerKey = { credentialId: toBase64url(utf8(`credential ${name}`)), key: this.#pair.key };
  }

  sign(type: StatementType, body: Uint8Array<ArrayBuffer>): SignedByOwner {
    const hash = sha256(tagged(type, body));
    const challenge = sha256(tagged("list", hash)).toString("base64url");
    const clientData = utf8(JSON.stringify({ type: "webauthn.get", challenge, origin: this.#origin, crossOrigin: false }));
    const authenticatorData = new Uint8Array(37);
    authenticatorData.set(sha256(utf8(new URL(this.#origin).hostname)));
    authenticatorData[32] = 0x05;
    const signature = this.#pair.sign(Buffer.concat([authenticatorData, sha256(clientData)]));
    const assertion = {
      credentialId: this.ownerKey.credentialId,
      authenticatorData: toBase64url(authenticatorData),
      clientDataJSON: toBase64url(clientData),
      signature: toBase64url(signature),
    };
    return { statement: toBase64url(body), list: [hash.toString("base64url")], assertion };
  }
}
