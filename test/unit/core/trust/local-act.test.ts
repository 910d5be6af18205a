/** Acts on the gateway's machine that an owner signs: what the judge takes, and every way in which one is not taken. */
import { beforeAll, expect, test } from "vitest";
import { judgeLocalAct } from "../../../../src/core/trust/local-act.ts";
import type { LocalActExpected } from "../../../../src/core/trust/local-act.ts";
import { LOCAL_ACT_MS } from "../../../../src/protocol/limits.ts";
import { LOCAL_ACT_KEYS, encodeBody } from "../../../../src/protocol/statement-encoding.ts";
import type { StatementType } from "../../../../src/protocol/statement-encoding.ts";
import type { LocalActStatement } from "../../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import type { Authenticator } from "../../../support/fake-authenticator.ts";

const APPROVE = "https://approve.example";
const NOW = 1_800_000_000_000;
const HASH = "h".repeat(43);
const HEAD = "e".repeat(43);
const BODY: LocalActStatement = {
  v: 1,
  gateway: "g".repeat(23),
  act: "apply-settings",
  subject: HASH,
  head: HEAD,
  issuedAtMs: NOW,
  applyByMs: NOW + LOCAL_ACT_MS,
};

let owner: Authenticator;
let approver: Authenticator;
let stranger: Authenticator;
let expected: LocalActExpected;

beforeAll(async () => {
  [owner, approver, stranger] = await Promise.all([newAuthenticator(APPROVE), newAuthenticator(APPROVE), newAuthenticator(APPROVE)]);
  const role = { kind: "approver", maxAccess: "full", maxExpiryMs: 1_000_000 } as const;
  expected = {
    gateway: BODY.gateway,
    approveOrigin: APPROVE,
    rpId: "approve.example",
    ownerKeys: [owner.ownerKey, { ...approver.ownerKey, role }],
    knowsHead: (hash) => hash === HEAD,
    settings: HASH,
    isSpent: () => false,
    nowMs: NOW + 1_000,
  };
});

async function judged(
  changes: Partial<LocalActStatement> = {},
  more: { readonly by?: Authenticator; readonly tag?: StatementType; readonly expected?: Partial<LocalActExpected> } = {},
) {
  const bytes = encodeBody({ ...BODY, ...changes }, LOCAL_ACT_KEYS);
  const signed = await (more.by ?? owner).sign(more.tag ?? "local-act", bytes);
  return judgeLocalAct({ ...expected, ...more.expected }, signed);
}

test("[SA1] [SA2] an owner's act in time, about what waits, is taken", async () => {
  expect(await judged()).toEqual({ ok: true, act: "apply-settings", id: expect.stringMatching(/^[\w-]{43}$/), applyByMs: BODY.applyByMs });
});

test.each<[string, Partial<LocalActStatement>, string]>([
  ["of another gateway", { gateway: "f".repeat(23) }, "bad-statement"],
  ["without its subject", { subject: null }, "bad-statement"],
  ["over another history", { head: "f".repeat(43) }, "stale-head"],
  ["about another diff", { subject: "f".repeat(43) }, "over"],
  ["past its end", { issuedAtMs: NOW - LOCAL_ACT_MS, applyByMs: NOW }, "too-late"],
  ["that gives itself longer", { applyByMs: NOW + LOCAL_ACT_MS + 1 }, "too-late"],
  ["from the future", { issuedAtMs: NOW + 3_600_000, applyByMs: NOW + 3_600_001 }, "too-late"],
])("[SA1] [SA2] [SA3] an act %s is refused", async (_what, changes, outcome) => {
  expect(await judged(changes)).toEqual({ ok: false, outcome });
});

test("[SA2] an approver's and a stranger's act are refused", async () => {
  expect(await judged({}, { by: approver })).toEqual({ ok: false, outcome: "not-owner" });
  expect(await judged({}, { by: stranger })).toEqual({ ok: false, outcome: "not-owner" });
});

test("[SA1] a signature made for something else is none", async () => {
  for (const tag of ["grant", "owner-key", "login"] as const)
    expect(await judged({}, { tag })).toEqual({ ok: false, outcome: "bad-signature" });
});

test("[SA3] nothing waits: the act is over", async () => {
  expect(await judged({}, { expected: { settings: null } })).toEqual({ ok: false, outcome: "over" });
});

test("[SA4] a used act is spent; another one has another name", async () => {
  const first = await judged();
  const used = first.ok ? first.id : "";
  const isSpent = (id: string): boolean => id === used;
  expect(await judged({}, { expected: { isSpent } })).toEqual({ ok: false, outcome: "spent" });
  expect(await judged({ issuedAtMs: NOW + 1 }, { expected: { isSpent } })).toMatchObject({ ok: true });
});

test("[SA1] a statement with one more member is none", async () => {
  const bytes = encodeBody({ ...BODY, also: "this" }, [...LOCAL_ACT_KEYS, "also"]);
  expect(await judgeLocalAct(expected, await owner.sign("local-act", bytes))).toEqual({ ok: false, outcome: "bad-statement" });
});
