/** A device's key and the statements it signs, as the door makes them; and grants as the approval page writes them. */
import { deviceId } from "../../src/core/trust/digests.ts";
import { ASK_KEYS, GRANT_KEYS, SESSION_KEYS, encodeBody, tagged, toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { DeviceKey, GrantStatement, SignedByDevice } from "../../src/protocol/statements.ts";

export interface FakeDevice {
  readonly key: DeviceKey;
  ask(body: { gateway: string; origin: string; roomNonce: string; access?: string; key?: DeviceKey }): Promise<SignedByDevice>;
  session(body: Readonly<Record<string, unknown>>): Promise<SignedByDevice>;
}

export async function newDevice(): Promise<FakeDevice> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("a key pair was asked for");
  const jwk = (await crypto.subtle.exportKey("jwk", pair.publicKey)) as { x?: string };
  const key: DeviceKey = { kty: "OKP", crv: "Ed25519", x: jwk.x ?? "" };
  const signed = async (type: "ask" | "session", bytes: Uint8Array<ArrayBuffer>): Promise<SignedByDevice> => ({
    statement: toBase64url(bytes),
    signature: toBase64url(new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, tagged(type, bytes)))),
  });
  return {
    key,
    ask: (body) => signed("ask", encodeBody({ v: 1, key, access: "full", ...body }, ASK_KEYS)),
    session: (body) => signed("session", encodeBody({ v: 1, handover: { key: "k".repeat(43) }, ...body }, SESSION_KEYS)),
  };
}

/** The bytes of a grant for a device; `changes` make it differ. */
export async function grantBytes(
  gateway: string,
  key: DeviceKey,
  nowMs: number,
  changes: Partial<GrantStatement> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const body = {
    v: 1,
    gateway,
    device: await deviceId(gateway, key),
    key,
    name: "Phone",
    access: "full",
    kind: "ask",
    request: "a".repeat(26),
    activation: null,
    head: null,
    issuedAtMs: nowMs,
    applyByMs: nowMs + 600_000,
    notAfterMs: nowMs + 3_600_000,
    ...changes,
  };
  return encodeBody(body, GRANT_KEYS);
}
