/** The connector as the last judge: each attack of a hostile control plane is one test (reference: fault-cases.md 29, 30, 32). */
import { beforeAll, expect, test } from "vitest";
import { activationHash, deviceId, keyThumbprint } from "../../../src/core/trust/digests.ts";
import { judgeGrant, judgeSession } from "../../../src/core/trust/judge.ts";
import type { HeldGrant, Pinned } from "../../../src/core/trust/judge.ts";
import { isSoundEd25519, isSoundKey } from "../../../src/core/trust/public-key.ts";
import { readGrant } from "../../../src/core/trust/statement.ts";
import { statementHash } from "../../../src/core/trust/statement-list.ts";
import { toBase64url, utf8 } from "../../../src/protocol/statement-encoding.ts";
import type { GrantStatement } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../support/fake-device.ts";
import type { FakeDevice } from "../../support/fake-device.ts";

const NOW = 1_800_000_000_000;
const GATEWAY = "abcdefghijklmnopqrstuvw";
const ORIGIN = "http://gw.localhost:8787";
const APPROVE = "http://approve.localhost:8787";
const NONCE = toBase64url(new Uint8Array(32).fill(7));
const CONNECTOR_KEY = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } as const;

let owner: Authenticator;
let device: FakeDevice;
let pinned: Pinned;

beforeAll(async () => {
  owner = await newAuthenticator(APPROVE);
  device = await newDevice();
  pinned = {
    gateway: GATEWAY,
    account: "a".repeat(26),
    origin: ORIGIN,
    approveOrigin: APPROVE,
    rpId: "approve.localhost",
    key: CONNECTOR_KEY,
    previousKey: null,
    ownerKeys: [owner.ownerKey],
  };
});

async function judged(
  changes: Partial<GrantStatement> = {},
  sign: Parameters<Authenticator["sign"]>[2] = {},
  type: "grant" | "login" = "grant",
) {
  const bytes = await grantBytes(GATEWAY, device.key, NOW, changes);
  const result = await judgeGrant(pinned, await owner.sign(type, bytes, sign), NOW);
  return result.ok ? "ok" : result.refusal;
}

test("[GR1] a grant of the pinned owner for this gateway is kept", async () => {
  expect(await judged()).toBe("ok");
});

test("[OS1] [case 29] a sign-in assertion over the same bytes is no grant", async () => {
  expect(await judged({}, {}, "login")).toBe("bad-signature");
});

test.each([
  ["another origin", { origin: "http://localhost:8787" }],
  ["another rpId", { rpId: "localhost" }],
  ["user not verified", { flags: 0x01 }],
  ["user not present", { flags: 0x04 }],
  ["cross origin", { clientData: { crossOrigin: true } }],
  ["a top origin", { clientData: { topOrigin: "http://evil.localhost" } }],
  ["a registration", { clientData: { type: "webauthn.create" } }],
])("[OS1] refused: %s", async (_what, overrides) => {
  expect(await judged({}, overrides)).toBe("bad-signature");
});

test("[OS1] [case 29] a passkey that the connector did not pin is nobody", async () => {
  const stranger = await newAuthenticator(APPROVE);
  const result = await judgeGrant(pinned, await stranger.sign("grant", await grantBytes(GATEWAY, device.key, NOW)), NOW);
  expect(result).toEqual({ ok: false, refusal: "unknown-owner-key" });
});

test("[OS2] [OS3] one gesture signs a list: each statement verifies alone, wherever it stands", async () => {
  const other = toBase64url(new Uint8Array(32).fill(9));
  for (const list of [
    (hash: string) => [hash, other],
    (hash: string) => [other, other, hash],
    (hash: string) => [...Array<string>(49).fill(other), hash],
  ])
    expect(await judged({}, { list })).toBe("ok");
});

test("[OS2] [case 29] a statement that the signed list does not hold is refused", async () => {
  const other = toBase64url(new Uint8Array(32).fill(9));
  expect(await judged({}, { list: () => [other] })).toBe("bad-signature");
  const bytes = await grantBytes(GATEWAY, device.key, NOW);
  const signed = await owner.sign("grant", bytes, { list: () => [other] });
  const hash = await statementHash("grant", bytes);
  for (const list of [[hash], [other, hash], [hash, other], ["A".repeat(42) + "B", hash]])
    expect(await judgeGrant(pinned, { ...signed, list }, NOW)).toEqual({ ok: false, refusal: "bad-signature" });
  const login = await owner.sign("login", bytes);
  expect(await judgeGrant(pinned, { ...login, list: [hash] }, NOW)).toEqual({ ok: false, refusal: "bad-signature" });
});

test("[OS1] a changed byte after signing is seen", async () => {
  const signed = await owner.sign("grant", await grantBytes(GATEWAY, device.key, NOW, { access: "look" }));
  const wider = toBase64url(await grantBytes(GATEWAY, device.key, NOW, { access: "full" }));
  expect(await judgeGrant(pinned, { ...signed, statement: wider }, NOW)).toEqual({ ok: false, refusal: "bad-signature" });
});

test.each([
  ["wrong-gateway", { gateway: "zzzzzzzzzzzzzzzzzzzzzzz" }],
  ["bad-statement", { device: "b".repeat(26) }],
  ["bad-statement", { kind: "owner" as const }],
  ["bad-statement", { request: null }],
  ["expired", { notAfterMs: NOW }],
  ["expired", { notAfterMs: NOW + 91 * 86_400_000 }],
  ["too-late", { applyByMs: NOW - 1 }],
  ["too-late", { applyByMs: NOW + 2 * 86_400_000 }],
])("[GR1] [GR3] %s: %o", async (refusal, changes) => {
  expect(await judged(changes)).toBe(refusal);
});

test("a statement has one spelling: another member order, white space or a duplicate member is refused", async () => {
  const bytes = await grantBytes(GATEWAY, device.key, NOW);
  const text = new TextDecoder().decode(bytes);
  expect(readGrant(toBase64url(bytes))).not.toBe(null);
  for (const other of [
    ` ${text}`,
    text.replace('{"v":1,', '{"v":1,"v":1,'),
    text.replace('{"v":1,', "{").replace(/\}$/, ',"v":1}'),
    text.replace(/\}$/, ',"more":1}'),
  ]) {
    expect(readGrant(toBase64url(utf8(other)))).toBe(null);
  }
});

test.each([
  ["zero", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
  ["identity", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
  ["order two", "7P_______________________________________38"],
  ["order eight", "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU"],
  ["order eight", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"],
  ["not canonical", "7v_______________________________________38"],
])("[case 32] a small-order or non-canonical Ed25519 key is refused: %s", (_what, x) => {
  expect(isSoundEd25519(x)).toBe(false);
});

test("[case 32] a P-256 key off the curve, or with coordinates beyond the field, is refused; what browsers make passes", async () => {
  for (let i = 0; i < 20; i += 1) {
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
    if (!("publicKey" in pair)) throw new TypeError("a key pair was asked for");
    const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    expect(isSoundKey({ kty: "EC", crv: "P-256", x, y })).toBe(true);
    expect(isSoundKey({ kty: "EC", crv: "P-256", x: y, y: x })).toBe(false);
    expect(isSoundKey({ kty: "EC", crv: "P-256", x, y: toBase64url(new Uint8Array(32).fill(255)) })).toBe(false);
  }
});

test("an honest Ed25519 key passes", () => {
  expect(isSoundEd25519(CONNECTOR_KEY.x)).toBe(true);
});

async function heldGrant(changes: Partial<GrantStatement> = {}, more: Partial<HeldGrant> = {}): Promise<HeldGrant> {
  const read = readGrant(toBase64url(await grantBytes(GATEWAY, device.key, NOW, changes)));
  if (read === null) throw new Error("fixture");
  return { id: "g".repeat(26), statement: read.body, isRevoked: false, isActivated: true, ...more };
}

interface SessionCase {
  readonly grant?: HeldGrant | null;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly hasNonce?: boolean;
  readonly code?: string;
  readonly signer?: FakeDevice;
  /** The connector's clock. */
  readonly nowMs?: number;
}

async function session(attempt: SessionCase = {}): Promise<string> {
  const result = await opened(attempt);
  return result.ok ? "ok" : result.refusal;
}

async function opened({ grant, body = {}, hasNonce = true, code, signer = device, nowMs = NOW }: SessionCase) {
  const held = grant === undefined ? await heldGrant() : grant;
  const statement = {
    gateway: GATEWAY,
    device: await deviceId(GATEWAY, device.key),
    grant: "g".repeat(26),
    origin: ORIGIN,
    roomNonce: NONCE,
    connectorNonce: NONCE,
    connectorKey: await keyThumbprint(CONNECTOR_KEY),
    iatMs: NOW,
    expMs: NOW + 1_000_000,
    ...body,
  };
  return judgeSession(pinned, {
    session: "s".repeat(32),
    signed: await signer.session(statement),
    activationCode: code,
    takeNonce: () => hasNonce,
    grant: () => held,
    nowMs,
  });
}

test("[SE1] a session of a granted device is admitted", async () => {
  expect(await session()).toBe("ok");
});

test("[SE1] [case 30] refused: nonce not ours or used, key of another connector, other gateway or origin", async () => {
  expect(await session({ hasNonce: false })).toBe("bad-nonce");
  expect(await session({ body: { connectorKey: NONCE } })).toBe("wrong-gateway");
  expect(await session({ body: { gateway: "zzzzzzzzzzzzzzzzzzzzzzz" } })).toBe("wrong-gateway");
  expect(await session({ body: { origin: "http://evil.localhost" } })).toBe("wrong-gateway");
});

test("[SE1] refused: no grant, revoked grant, grant that has ended, longer than the grant or twelve hours", async () => {
  expect(await session({ grant: null })).toBe("unknown-grant");
  expect(await session({ grant: await heldGrant({}, { isRevoked: true }) })).toBe("revoked");
  expect(await session({ grant: await heldGrant({ notAfterMs: NOW - 1 }) })).toBe("expired");
  expect(await session({ body: { expMs: NOW + 4_000_000 } })).toBe("expired");
  expect(await session({ grant: await heldGrant({ notAfterMs: NOW + 86_400_000 }), body: { expMs: NOW + 13 * 3_600_000 } })).toBe(
    "expired",
  );
});

test("[SE1] refused: signed by another key", async () => {
  expect(await session({ signer: await newDevice() })).toBe("bad-signature");
});

test("[GR2] a same-device grant counts only with its code, and not after it is late", async () => {
  const code = "the code that only the owner's browser received";
  const changes = { kind: "owner" as const, request: null, activation: await activationHash(code) };
  const grant = await heldGrant(changes, { isActivated: false });
  expect(await session({ grant, code })).toBe("ok");
  expect(await session({ grant })).toBe("bad-activation");
  expect(await session({ grant, code: "guess" })).toBe("bad-activation");
  const late = await heldGrant({ ...changes, issuedAtMs: NOW - 3_600_000 }, { isActivated: false });
  expect(await session({ grant: late, code })).toBe("bad-activation");
});

test("[SE1] [case 17] a connector's clock that is a day off opens sessions all the same, no longer than asked and never beyond the grant by that clock", async () => {
  const dayMs = 86_400_000;
  const grant = await heldGrant({ notAfterMs: NOW + 10 * dayMs });
  for (const nowMs of [NOW - dayMs, NOW, NOW + dayMs]) {
    const result = await opened({ grant, nowMs });
    expect(result.ok && result.value.expiresAtMs - nowMs).toBe(1_000_000);
  }
  const last = await opened({ grant, nowMs: NOW + 10 * dayMs - 5_000 });
  expect(last.ok && last.value.expiresAtMs).toBe(NOW + 10 * dayMs);
  // What the relay's time says extends nothing.
  expect(await session({ grant, nowMs: NOW + 10 * dayMs })).toBe("expired");
  expect(await session({ grant, body: { iatMs: NOW + dayMs, expMs: NOW + dayMs + 13 * 3_600_000 } })).toBe("expired");
  expect(await session({ grant, body: { iatMs: NOW, expMs: NOW } })).toBe("expired");
});

test("[KL4] a grant that waits for a word on the gateway's machine opens no session", async () => {});
