/** Rules of what the approval page computes before a passkey signs. */
import { expect, test } from "vitest";
import {
  belongsTogether,
  cleanName,
  grantBody,
  offeredAccess,
  offeredExpiry,
  readOwnerTrip,
} from "../../../src/core/trust/decision-view.ts";
import { deviceId, matchCode, requestId } from "../../../src/core/trust/digests.ts";
import { APPLY_BY_MS, APPLY_BY_OFFLINE_MS } from "../../../src/protocol/limits.ts";
import { GRANT_KEYS } from "../../../src/protocol/statement-encoding.ts";
import { grantStatementSchema, nameSchema } from "../../../src/protocol/statements.ts";

const GATEWAY = "a".repeat(23);
const KEY = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } as const;
const OTHER_KEY = { kty: "OKP", crv: "Ed25519", x: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw" } as const;
const NONCE = "C".repeat(43);

async function asked() {
  return {
    id: await requestId(GATEWAY, KEY, "full", NONCE),
    device: await deviceId(GATEWAY, KEY),
    key: KEY,
    roomNonce: NONCE,
    requestedAccess: "full",
  } as const;
}

test("[ID1] [ID2] [MC1] the page signs only when key, access, nonce and typed digits belong together", async () => {
  const request = await asked();
  const digits = await matchCode(GATEWAY, KEY, NONCE);
  expect(await belongsTogether(GATEWAY, request, digits)).toBe(true);
  expect(await belongsTogether(GATEWAY, { ...request, key: OTHER_KEY }, digits)).toBe(false);
  expect(await belongsTogether(GATEWAY, { ...request, requestedAccess: "chat" }, digits)).toBe(false);
  expect(await belongsTogether(GATEWAY, { ...request, roomNonce: "D".repeat(43) }, digits)).toBe(false);
  expect(await belongsTogether(GATEWAY, { ...request, device: "a".repeat(26) }, digits)).toBe(false);
  expect(await belongsTogether("b".repeat(23), request, digits)).toBe(false);
  expect(await belongsTogether(GATEWAY, request, digits === "0000" ? "0001" : "0000")).toBe(false);
});

test("[MC1] a swapped key is seen even when relay and device name and id agree with it", async () => {
  const swapped = {
    ...(await asked()),
    key: OTHER_KEY,
    device: await deviceId(GATEWAY, OTHER_KEY),
    id: await requestId(GATEWAY, OTHER_KEY, "full", NONCE),
  };
  expect(await belongsTogether(GATEWAY, swapped, await matchCode(GATEWAY, KEY, NONCE))).toBe(false);
});

test("[GR2] no access wider than the one asked for is offered", () => {
  expect(offeredAccess("full")).toEqual(["full", "chat", "look"]);
  expect(offeredAccess("chat")).toEqual(["chat", "look"]);
  expect(offeredAccess("look")).toEqual(["look"]);
  const ceiling = { maxAccess: "chat", maxExpiryMs: 86_400_000 } as const;
  expect(offeredAccess("full", ceiling)).toEqual(["chat", "look"]);
  expect(offeredAccess("look", ceiling)).toEqual(["look"]);
  expect(offeredExpiry(null)).toEqual(["hour", "day", "quarter"]);
  expect(offeredExpiry(ceiling)).toEqual(["hour", "day"]);
  expect(offeredExpiry({ ...ceiling, maxExpiryMs: 1 })).toEqual(["hour"]);
});

const CHOICE = {
  gateway: GATEWAY,
  key: KEY,
  name: "Chrome on Linux",
  kind: "ask",
  request: "r".repeat(26),
  activation: null,
  head: null,
  access: "chat",
  expiry: "day",
  isOnline: true,
} as const;

test("[GR3] the statement says what was chosen, and when it ends", async () => {
  const body = await grantBody(CHOICE, 1_000);
  expect(grantStatementSchema.safeParse(body).success).toBe(true);
  expect(Object.keys(body).toSorted()).toEqual([...GRANT_KEYS].toSorted());
  expect(body).toMatchObject({ access: "chat", kind: "ask", request: CHOICE.request, issuedAtMs: 1_000, notAfterMs: 86_401_000 });
  expect(body.device).toBe(await deviceId(GATEWAY, KEY));
  expect(body.applyByMs).toBe(1_000 + APPLY_BY_MS);
  expect((await grantBody({ ...CHOICE, isOnline: false }, 1_000)).applyByMs).toBe(1_000 + APPLY_BY_OFFLINE_MS);
  expect((await grantBody({ ...CHOICE, expiry: "hour" }, 0)).notAfterMs).toBe(3_600_000);
});

test.each(["", "   ", "\u202egnp.exe", "a\u0000b", "x".repeat(200), `${"x".repeat(63)}  y`, "\u2066\u2069"])(
  "whatever a device calls itself (%j), the signed name is one that the statement allows",
  (claimed) => {
    expect(nameSchema.safeParse(cleanName(claimed)).success).toBe(true);
  },
);

test("direction and control characters leave a claimed name, the rest stays", () => {
  expect(cleanName("  Ada's \u202ephone\u0007 ")).toBe("Ada's phone");
  expect(cleanName("")).toBe("Device");
});

function trip(changes: Readonly<Record<string, string | null>> = {}): URLSearchParams {
  const query = new URLSearchParams({ gateway: GATEWAY, key: JSON.stringify(KEY), name: "Phone", state: "s".repeat(32), to: "/" });
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  return query;
}

test("a complete owner's trip is read; members that are no key never reach the statement", () => {
  expect(readOwnerTrip(trip())).toEqual({ gateway: GATEWAY, key: KEY, name: "Phone", state: "s".repeat(32) });
  const p256 = {
    kty: "EC",
    crv: "P-256",
    x: "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
    y: "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
  };
  expect(readOwnerTrip(trip({ key: JSON.stringify({ ...p256, d: "secret", ext: true }) }))?.key).toEqual(p256);
});

test.each([
  ["no gateway", { gateway: null }],
  ["a path as gateway", { gateway: "../owner" }],
  ["no state", { state: null }],
  ["a state with markup", { state: `${"s".repeat(20)}"><b>` }],
  ["no key", { key: null }],
  ["half a key", { key: '{"kty":"OKP"' }],
  ["null as key", { key: "null" }],
  ["a short x", { key: JSON.stringify({ ...KEY, x: "AA" }) }],
  ["an unknown curve", { key: JSON.stringify({ ...KEY, crv: "Ed448" }) }],
  ["P-256 without y", { key: JSON.stringify({ kty: "EC", crv: "P-256", x: "A".repeat(43) }) }],
])("an owner's trip with %s is refused", (_, changes) => {
  expect(readOwnerTrip(trip(changes))).toBeNull();
});
