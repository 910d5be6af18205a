/** The connector's own Ed25519 key: made on this machine, never leaves it. */
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type * as z from "zod";
import { rotationBytes } from "../../core/trust/key-log.ts";
import type { KeyLogBody } from "../../protocol/key-log.ts";
import { tagged } from "../../protocol/statement-encoding.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import { connectorKeySchema } from "../../protocol/statements.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";
import { DamagedStateError } from "../state/state-files.ts";
import type { StateFiles, identitySchema } from "../state/state-files.ts";

type StoredKey = z.infer<typeof identitySchema>;

function newKey(): StoredKey {
  const { privateKey } = generateKeyPairSync("ed25519");
  const jwk = privateKey.export({ format: "jwk" });
  const publicKey = connectorKeySchema.parse({ kty: jwk.kty, crv: jwk.crv, x: jwk.x });
  return { publicKey, privateKey: { kty: "OKP", crv: "Ed25519", x: jwk.x ?? "", d: jwk.d ?? "" } };
}

function signWith(key: KeyObject, bytes: Uint8Array): string {
  return sign(null, bytes, key).toString("base64url");
}

/** The key in use; a rotation changes it under everybody who holds this. */
export class Identity {
  readonly #files: StateFiles;
  #stored: StoredKey;
  #key: KeyObject;
  #next: StoredKey | null = null;

  constructor(files: StateFiles, stored: StoredKey) {
    this.#files = files;
    this.#stored = stored;
    this.#key = createPrivateKey({ key: stored.privateKey, format: "jwk" });
  }

  get publicKey(): ConnectorKey {
    return this.#stored.publicKey;
  }

  /** @returns base64url Ed25519 signature (RFC 8032) over tagged bytes */
  signTagged(type: StatementType, body: Uint8Array): string {
    return this.signRaw(tagged(type, body));
  }

  /** The same over bytes that carry their tag already. */
  signRaw(bytes: Uint8Array): string {
    return signWith(this.#key, bytes);
  }

  /** Makes the next key and puts it on disk: nothing uses it before its entry stands in the log. @returns the entry's body */
  prepareRotation(gateway: string): Extract<KeyLogBody, { type: "rotate" }> {
    // After a rotation whose last step the disk refused: the key in use may not be on disk under the next name only.
    if (this.#files.read("identity")?.publicKey.x !== this.publicKey.x) this.#files.write("identity", this.#stored);
    const next = newKey();
    this.#files.write("nextIdentity", next);
    this.#next = next;
    const key = createPrivateKey({ key: next.privateKey, format: "jwk" });
    return { type: "rotate", key: next.publicKey, proof: signWith(key, rotationBytes(gateway, next.publicKey)) };
  }

  /** No entry of the log names the prepared key. */
  abandonRotation(): void {
    this.#next = null;
    this.#files.remove("nextIdentity");
  }

  /** The prepared key's entry stands in the log: from here on it signs. A disk that refuses now is settled by the next start. */
  takeOver(): void {
    const next = this.#next;
    if (next === null) return;
    this.#use(next);
    this.#next = null;
    try {
      this.#files.write("identity", next);
      this.#files.remove("nextIdentity");
    } catch {
      // Both keys are on disk still, and the log says which one counts.
    }
  }

  /**
   * Settles on the key that the log names, wherever a rotation was broken off: the prepared one takes over, or is forgotten (PROTOCOL.md KL8).
   *
   * @throws DamagedStateError when this machine holds neither; then nothing that it says would be believed
   */
  settle(named: ConnectorKey): void {
    const next = this.#files.read("nextIdentity");
    if (next !== null && next.publicKey.x === named.x && this.publicKey.x !== named.x) {
      this.#files.write("identity", next);
      this.#use(next);
    }
    if (this.publicKey.x !== named.x)
      throw new DamagedStateError(
        "The key log names a key that this machine does not hold. Nothing is admitted. Restore identity.json, or start over with `gatehouse reset` and claim the gateway again.",
      );
    if (next !== null) this.#files.remove("nextIdentity");
  }

  #use(stored: StoredKey): void {
    this.#stored = stored;
    this.#key = createPrivateKey({ key: stored.privateKey, format: "jwk" });
  }
}

/** Reads the key, or makes and keeps one. @throws DamagedStateError */
export function loadIdentity(files: StateFiles): Identity {
  return keyIn(files, "identity");
}

/**
 * The key for an enrolment. A machine that is enrolled already gets a new one: a copy of the old one must be worth nothing afterwards. The
 * old one stays in use until the ceremony is over.
 */
export function enrolmentIdentity(files: StateFiles): Identity {
  return keyIn(files, files.read("gateway") === null ? "identity" : "enrolIdentity");
}

/** The ceremony is over: its key is this machine's. */
export function adoptEnrolmentIdentity(files: StateFiles): void {
  const stored = files.read("enrolIdentity");
  if (stored === null) return;
  files.write("identity", stored);
  files.remove("enrolIdentity");
}

function keyIn(files: StateFiles, name: "identity" | "enrolIdentity"): Identity {
  let stored = files.read(name);
  if (stored === null) {
    stored = newKey();
    files.write(name, stored);
  }
  return new Identity(files, stored);
}
