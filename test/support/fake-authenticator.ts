/** A software authenticator (ES256) that makes assertions as a passkey does (WebAuthn L3 §6.3.3, §6.5.5). Runs in Node and in workerd. */
import { fromBase64url, tagged, toBase64url, utf8 } from "../../src/protocol/statement-encoding.ts";
import type { StatementType } from "../../src/protocol/statement-encoding.ts";
import { listChallenge, statementHash } from "../../src/core/trust/statement-list.ts";
import type { Assertion, OwnerKey, SignedByOwner } from "../../src/protocol/statements.ts";

export interface Authenticator {
  readonly ownerKey: OwnerKey;
  /** Signs a statement; the overrides make it wrong in one way. */
  sign(type: StatementType, body: Uint8Array<ArrayBuffer>, overrides?: Partial<SignOptions>): Promise<SignedByOwner>;
  /** A registration of this very passkey (RegistrationResponseJSON, attestation `none`) over a sign-up nonce. @param key another public key in its place */
  register(nonce: string, key?: OwnerKey["key"]): Promise<object>;
  /** A sign-in (AuthenticationResponseJSON) over a nonce. */
  signIn(nonce: string): Promise<object>;
}

interface SignOptions {
  readonly origin: string;
  readonly rpId: string;
  readonly flags: number;
  readonly clientData: Readonly<Record<string, unknown>>;
  /** The list that is signed, around this statement's hash. */
  readonly list: (hash: string) => readonly string[];
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** r||s to ECDSA-Sig-Value (RFC 3279 §2.2.3). */
function toDer(raw: Uint8Array): Uint8Array<ArrayBuffer> {
  const integer = (part: Uint8Array): number[] => {
    let bytes = [...part];
    while (bytes.length > 1 && bytes[0] === 0) bytes = bytes.slice(1);
    if ((bytes[0] ?? 0) & 0x80) bytes = [0, ...bytes];
    return [2, bytes.length, ...bytes];
  };
  const body = [...integer(raw.subarray(0, 32)), ...integer(raw.subarray(32))];
  return Uint8Array.from([0x30, body.length, ...body]);
}

/** @param origin what the client data name, with the host as rpId, unless overridden */
export async function newAuthenticator(origin: string): Promise<Authenticator> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("a key pair was asked for");
  const jwk = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string; y?: string };
  const credentialId = toBase64url(crypto.getRandomValues(new Uint8Array(16)));
  const ownerKey: OwnerKey = { credentialId, key: { kty: "EC", crv: "P-256", x: jwk.x ?? "", y: jwk.y ?? "" } };
  const rpId = new URL(origin).hostname;
  const sign: Authenticator["sign"] = async (type, body, overrides = {}) => {
    const options = { origin, rpId, flags: 0x05, clientData: {}, list: (hash: string) => [hash], ...overrides };
    const hash = await statementHash(type, body);
    const list = options.list(hash);
    // A sign-in is no statement of a list.
    const challenge = type === "login" ? hash : await listChallenge(list);
    const clientData = utf8(
      JSON.stringify({ type: "webauthn.get", challenge, origin: options.origin, crossOrigin: false, ...options.clientData }),
    );
    const authenticatorData = new Uint8Array(37);
    authenticatorData.set(await sha256(utf8(options.rpId)));
    authenticatorData[32] = options.flags;
    const signed = new Uint8Array(authenticatorData.byteLength + 32);
    signed.set(authenticatorData);
    signed.set(await sha256(clientData), authenticatorData.byteLength);
    const raw = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, signed));
    const assertion: Assertion = {
      credentialId,
      authenticatorData: toBase64url(authenticatorData),
      clientDataJSON: toBase64url(clientData),
      signature: toBase64url(toDer(raw)),
    };
    return { statement: toBase64url(body), list: [...list], assertion };
  };
  return {
    ownerKey,
    sign,
    register: async (nonce, key = ownerKey.key) => {
      const challenge = toBase64url(await sha256(tagged("register", bytesOf(nonce))));
      const clientData = utf8(JSON.stringify({ type: "webauthn.create", challenge, origin, crossOrigin: false }));
      const head = new Uint8Array(37);
      head.set(await sha256(utf8(rpId)));
      // User present and verified, attested credential data included.
      head[32] = 0x45;
      const id = bytesOf(credentialId);
      if (key.kty === "RSA") throw new TypeError("no RSA here");
      // COSE_Key of an ES256 or EdDSA key (RFC 9053 §2), after AAGUID and credential id.
      const cose =
        key.kty === "EC"
          ? [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32, ...bytesOf(key.x), 0x22, 0x58, 32, ...bytesOf(key.y)]
          : [0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32, ...bytesOf(key.x)];
      const authData = [...head, ...new Uint8Array(16), 0, id.byteLength, ...id, ...cose];
      const text = (word: string): number[] => [0x60 + word.length, ...utf8(word)];
      const object = [
        0xa3,
        ...text("fmt"),
        ...text("none"),
        ...text("attStmt"),
        0xa0,
        ...text("authData"),
        0x58,
        authData.length,
        ...authData,
      ];
      const response = { clientDataJSON: toBase64url(clientData), attestationObject: toBase64url(Uint8Array.from(object)) };
      return { id: credentialId, rawId: credentialId, type: "public-key", clientExtensionResults: {}, response };
    },
    signIn: async (nonce) => {
      const { assertion } = await sign("login", bytesOf(nonce));
      const { authenticatorData, clientDataJSON, signature } = assertion;
      const response = { authenticatorData, clientDataJSON, signature };
      return { id: credentialId, rawId: credentialId, type: "public-key", clientExtensionResults: {}, response };
    },
  };
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  return fromBase64url(base64url) ?? new Uint8Array(0);
}
