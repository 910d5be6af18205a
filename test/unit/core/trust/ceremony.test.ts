/** The state machine of one ceremony: each step once, by its own side, in order. */
import { beforeAll, expect, test } from "vitest";
import { shownState, stepCeremony } from "../../../../src/core/trust/ceremony.ts";
import type { Ceremony, CeremonyEvent } from "../../../../src/core/trust/ceremony.ts";
import { ENROLMENT_CODE_TRIES } from "../../../../src/protocol/limits.ts";
import { newAuthenticator } from "../../../support/fake-authenticator.ts";
import { genesisStatement, signedGenesis } from "../../../support/genesis.ts";
import { newLogKey } from "../../../support/test-key-log.ts";

const NOW = 1_800_000_000_000;
const ADA = "a".repeat(26);
const NONCE = "N".repeat(43);
const GATEWAY = "abcdefghijklmnopqrstuvw";

let events: Record<"redeem" | "claim" | "propose" | "reveal" | "sign" | "confirm" | "refuse", CeremonyEvent>;

function start(kind: "code" | "claim"): Ceremony {
  const isCode = kind === "code";
  const machine = events.redeem.type === "redeem" ? events.redeem.machine : null;
  return {
    id: "e".repeat(20),
    state: "open",
    codeMac: isCode ? "mac" : null,
    codeUntilMs: isCode ? NOW + 1_000 : 0,
    wrongCodes: 0,
    ticketMac: isCode ? null : "ticket",
    account: isCode ? ADA : null,
    accountName: "Ada",
    gateway: isCode ? GATEWAY : null,
    gatewayName: isCode ? "Home" : "",
    machine: isCode ? null : (machine?.machine ?? null),
    connectorKey: isCode ? null : (machine?.connectorKey ?? null),
    commitment: isCode ? null : (machine?.commitment ?? null),
    pageNonce: null,
    draft: null,
    connectorNonce: null,
    signed: null,
    mac: null,
    expiresAtMs: NOW + 2_000,
  };
}

beforeAll(async () => {
  const [authenticator, key] = [await newAuthenticator("http://approve.localhost:8787"), await newLogKey()];
  const input = { gateway: GATEWAY, account: ADA, connectorKey: key.key, approveOrigin: "http://approve.localhost:8787" };
  const { ceremony: _later, ...draft } = genesisStatement(authenticator.ownerKey, input);
  const machine = { ticketMac: "ticket", machine: { name: "nas", platform: "Linux" }, connectorKey: key.key, commitment: NONCE };
  events = {
    redeem: { type: "redeem", isCodeRight: true, machine },
    claim: { type: "claim", owner: { account: ADA, accountName: "Ada", gateway: GATEWAY, gatewayName: "Home" } },
    propose: { type: "propose", account: ADA, pageNonce: NONCE, draft },
    reveal: { type: "reveal", connectorNonce: NONCE },
    sign: { type: "sign", account: ADA, signed: await signedGenesis(authenticator, input), mac: null },
    confirm: { type: "confirm" },
    refuse: { type: "refuse" },
  };
});

function walk(from: Ceremony, names: readonly (keyof typeof events)[], nowMs = NOW) {
  let ceremony = from;
  for (const name of names) {
    const step = stepCeremony(ceremony, events[name], nowMs);
    if (!step.ok) return `${name}: ${step.refusal}`;
    ceremony = step.ceremony;
  }
  return ceremony.state;
}

const ORDER = {
  code: ["redeem", "propose", "reveal", "sign", "confirm"],
  claim: ["claim", "propose", "reveal", "sign", "confirm"],
} as const;

test.each(["code", "claim"] as const)("[EN2] the steps of a %s in their order, and no other order", (kind) => {
  expect(walk(start(kind), ORDER[kind])).toBe("done");
  for (let taken = 0; taken < ORDER[kind].length; taken += 1) {
    const before = ORDER[kind].slice(0, taken);
    const next = ORDER[kind][taken];
    for (const name of ["redeem", "claim", "propose", "reveal", "sign", "confirm"] as const)
      if (name !== next)
        expect(walk(start(kind), [...before, name]), `${before.join()} ${name}`).toMatch(/: (conflict|code-invalid|not-found)$/);
  }
});

test("[EN2] the machine's answer may be lost: confirming twice changes nothing, and nothing else happens after it", () => {
  expect(walk(start("code"), [...ORDER.code, "confirm"])).toBe("done");
  expect(walk(start("code"), [...ORDER.code, "refuse"])).toBe("refuse: conflict");
});

test("[EN2] a no in the terminal ends it at every step", () => {
  for (let taken = 0; taken < ORDER.code.length; taken += 1) {
    expect(walk(start("code"), [...ORDER.code.slice(0, taken), "refuse"])).toBe("failed");
    expect(walk(start("code"), [...ORDER.code.slice(0, taken), "refuse", ORDER.code[taken] ?? "redeem"])).toMatch(/conflict|code-invalid/);
  }
});

test("[EN3] terms about another account, gateway or machine are refused", () => {
  const redeemed = stepCeremony(start("code"), events.redeem, NOW).ceremony;
  const { propose, sign } = events;
  if (propose.type !== "propose" || sign.type !== "sign") throw new Error("events");
  for (const change of [
    { account: "b".repeat(26) },
    { gateway: "zzzzzzzzzzzzzzzzzzzzzzz" },
    { connectorKey: { ...propose.draft.connectorKey, x: NONCE } },
  ])
    expect(stepCeremony(redeemed, { ...propose, draft: { ...propose.draft, ...change } }, NOW)).toMatchObject({ refusal: "conflict" });
  expect(stepCeremony(redeemed, { ...propose, account: "b".repeat(26) }, NOW)).toMatchObject({ refusal: "not-found" });
  expect(stepCeremony(redeemed, { ...sign, account: "b".repeat(26) }, NOW)).toMatchObject({ refusal: "not-found" });
});

test("[EN10] a code ends with its time, and with the fifth wrong secret", () => {
  expect(walk(start("code"), ["redeem"], NOW + 1_000)).toBe("redeem: code-invalid");
  let ceremony = start("code");
  for (let i = 1; i <= ENROLMENT_CODE_TRIES; i += 1) {
    const step = stepCeremony(ceremony, { ...events.redeem, isCodeRight: false } as CeremonyEvent, NOW);
    expect(step).toMatchObject({ ok: false, refusal: i < ENROLMENT_CODE_TRIES ? "code-invalid" : "code-died" });
    ceremony = step.ceremony;
  }
  expect(ceremony.state).toBe("failed");
  expect(walk(ceremony, ["redeem"])).toBe("redeem: code-invalid");
});

test("[EN10] what is not finished in time is over", () => {
  expect(walk(start("claim"), ["claim"], NOW + 2_000)).toBe("claim: code-invalid");
  expect(shownState(start("claim"), NOW + 2_000)).toBe("expired");
  expect(shownState(start("claim"), NOW + 1_999)).toBe("open");
});
