/** Which devices an owner's page offers after another machine was connected, and with what grant. */
import { beforeAll, expect, test } from "vitest";
import { againBody, isAgainOf, judgeFormer } from "../../../../src/core/trust/approve-again.ts";
import { deviceId, grantId } from "../../../../src/core/trust/digests.ts";
import { grantProblem } from "../../../../src/core/trust/grant-policy.ts";
import { GRANT_KEYS, encodeBody } from "../../../../src/protocol/statement-encoding.ts";
import type { GrantStatement } from "../../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import type { Authenticator } from "../../../support/fake-authenticator.ts";
import { grantBytes, newDevice } from "../../../support/fake-device.ts";
import type { FakeDevice } from "../../../support/fake-device.ts";

const ORIGIN = "http://approve.localhost:8787";
const GATEWAY = "abcdefghijklmnopqrstuvw";
const OTHER = "zzzzzzzzzzzzzzzzzzzzzzz";
const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const WIDE = { maxAccess: "full", maxExpiryMs: 90 * DAY_MS } as const;

let owner: Authenticator;
let mallory: Authenticator;
let device: FakeDevice;

beforeAll(async () => {
  [owner, mallory] = [await newAuthenticator(ORIGIN), await newAuthenticator(ORIGIN)];
  device = await newDevice();
});

function expected(ownerKeys = [owner.ownerKey]) {
  return { gateway: GATEWAY, nowMs: NOW, origin: ORIGIN, rpId: "approve.localhost", ownerKeys };
}

async function former(changes: Partial<GrantStatement> = {}, by = owner, gateway = GATEWAY) {
  const bytes = await grantBytes(gateway, device.key, NOW - DAY_MS, { notAfterMs: NOW + 30 * DAY_MS, ...changes });
  return { id: await grantId(bytes), signed: await by.sign("grant", bytes) };
}

test("[EN12] a device is offered when an own passkey signed its grant, with exactly what was signed then", async () => {
  const { id, signed } = await former({ access: "chat" });
  const judged = await judgeFormer(signed, expected());
  expect(judged).toMatchObject({ id, statement: { device: await deviceId(GATEWAY, device.key), access: "chat" } });
});

test("[EN12] a room that lies offers nothing: no passkey of the account, another gateway or tag, changed bytes, another key's id, an ended grant", async () => {
  const good = await former();
  const bytes = await grantBytes(GATEWAY, device.key, NOW - DAY_MS, { notAfterMs: NOW + DAY_MS });
  const changed = encodeBody({ ...JSON.parse(new TextDecoder().decode(bytes)), access: "full" } as Record<string, unknown>, GRANT_KEYS);
  const wrongs = [
    await former({}, mallory),
    await former({}, owner, OTHER),
    await former({ device: await deviceId(GATEWAY, device.key) }, owner, OTHER),
    { signed: await owner.sign("widening", bytes) },
    { signed: { ...good.signed, statement: Buffer.from(changed).toString("base64url") } },
    { signed: { ...good.signed, statement: "e30" } },
    { signed: { ...good.signed, statement: "*" } },
    await former({ device: await deviceId(GATEWAY, (await newDevice()).key) }),
    await former({ notAfterMs: NOW }),
  ];
  for (const { signed } of wrongs) expect(await judgeFormer(signed, expected())).toBe(null);
  expect(await judgeFormer(good.signed, expected([mallory.ownerKey]))).toBe(null);
});

test("[EN12] the new grant has the same key, no wider access and no later end, and a form that every verifier takes", async () => {
  const judged = await judgeFormer((await former()).signed, expected());
  if (judged === null) throw new Error("not offered");
  const body = againBody(judged, { head: "H".repeat(43), ceiling: WIDE, isOnline: true }, NOW);
  expect(body).toMatchObject({
    kind: "again",
    request: judged.id,
    activation: null,
    access: "full",
    head: "H".repeat(43),
    issuedAtMs: NOW,
  });
  expect(body.notAfterMs).toBe(judged.statement.notAfterMs);
  expect(await grantProblem(body, { gateway: GATEWAY, nowMs: NOW })).toBe(null);
  const narrow = againBody(judged, { head: null, ceiling: { maxAccess: "look", maxExpiryMs: DAY_MS }, isOnline: false }, NOW);
  expect(narrow).toMatchObject({ access: "look", notAfterMs: NOW + DAY_MS, applyByMs: NOW + DAY_MS });
});

test("[GR6] a grant is a device's own again only with its former grant, its key, no wider access and no later end", async () => {
  const judged = await judgeFormer((await former({ access: "chat" })).signed, expected());
  if (judged === null) throw new Error("not offered");
  const body = againBody(judged, { head: null, ceiling: WIDE, isOnline: true }, NOW);
  const row = { device: body.device, grant: judged.id, access: "chat", notAfterMs: body.notAfterMs } as const;
  expect(isAgainOf(body, row)).toBe(true);
  expect(isAgainOf({ ...body, access: "look" }, row)).toBe(true);
  for (const wrong of [
    { kind: "ask" },
    { request: "b".repeat(26) },
    { device: "b".repeat(26) },
    { access: "full" },
    { notAfterMs: body.notAfterMs + 1 },
  ] as const)
    expect(isAgainOf({ ...body, ...wrong }, row), JSON.stringify(wrong)).toBe(false);
});
