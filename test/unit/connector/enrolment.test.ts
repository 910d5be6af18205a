/** The connector's part of an enrolment against a control plane that the test plays: honest, and lying in each member of each answer. */
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { checkWords } from "../../../src/core/trust/check-words.ts";
import { claimMacBytes, genesisBytes, genesisOf } from "../../../src/core/trust/enrolment.ts";
import { ControlPlaneError, enrolByCode, enrolByLink } from "../../../src/connector/trust/enrol.ts";
import type { EnrolOptions } from "../../../src/connector/trust/enrol.ts";
import { exitOfControlPlane } from "../../../src/connector/exit-codes.ts";
import { enrolmentIdentity, loadIdentity } from "../../../src/connector/trust/identity.ts";
import { KeyLog } from "../../../src/connector/trust/key-log-file.ts";
import { StateFiles } from "../../../src/connector/state/state-files.ts";
import { DEFAULT_POLICY } from "../../../src/core/trust/key-log-state.ts";
import type { OwnerPolicy } from "../../../src/protocol/key-log.ts";
import type { ConnectorPoll } from "../../../src/protocol/enrolment-api.ts";
import type { GenesisDraft, SignedByOwner } from "../../../src/protocol/statements.ts";
import { newAuthenticator } from "../../support/fake-authenticator.ts";
import type { Authenticator } from "../../support/fake-authenticator.ts";
import { genesisStatement } from "../../support/genesis.ts";
import { newLogKey } from "../../support/test-key-log.ts";

const NOW = 1_800_000_000_000;
const APP = "http://localhost:8787";
const APPROVE = "http://approve.localhost:8787";
const GATEWAY = "abcdefghijklmnopqrstuvw";
const ENROLMENT = "e".repeat(20);
const OTHER = "B".repeat(42) + "A";

let owner: Authenticator;
let mallory: Authenticator;
let otherKey: string;
let files: StateFiles;

beforeAll(async () => {
  owner = await newAuthenticator(APPROVE);
  mallory = await newAuthenticator(APPROVE);
  otherKey = (await newLogKey()).key.x;
});

beforeEach(() => {
  files = new StateFiles(mkdtempSync(path.join(os.tmpdir(), "gatehouse-enrol-")));
});

type Lie = (path: string, answer: Record<string, unknown>) => unknown;

/** The control plane and the page behind it, both honest but for what `lie` changes on the way to the machine. */
class Plane {
  readonly posted: string[] = [];
  signer = owner;
  formerPolicy: OwnerPolicy | null = null;
  #body: Record<string, unknown> = {};
  #state: ConnectorPoll["state"] = "open";
  #draft: GenesisDraft | null = null;
  #signed: SignedByOwner | null = null;
  #mac: string | null = null;
  readonly #pageNonce = randomBytes(32).toString("base64url");
  readonly #lie: Lie;
  secret: string | null = null;
  words = "";

  constructor(lie: Lie) {
    this.#lie = lie;
  }

  async post(url: URL, body: object): Promise<{ status: number; headers: object; body: Buffer }> {
    this.posted.push(url.pathname);
    const answer = await this.#answer(url.pathname, body as Record<string, string>);
    const told = this.#lie(url.pathname, structuredClone(answer));
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(told)) };
  }

  async #answer(route: string, body: Record<string, string>): Promise<Record<string, unknown>> {
    switch (route) {
      case "/api/connector/claims":
      case "/api/connector/redeem": {
        this.#body = body;
        const input = { gateway: GATEWAY, account: "a".repeat(26), connectorKey: body["key"] as never, approveOrigin: APPROVE, atMs: NOW };
        const { ceremony: _later, ...draft } = genesisStatement(this.signer.ownerKey, input);
        this.#draft = draft;
        this.#state = "proposed";
        return { enrolment: ENROLMENT, ticket: "ticket", approveOrigin: APPROVE };
      }
      case "/api/connector/reveal":
        this.#state = "revealed";
        await this.#sign(body["connectorNonce"] ?? "");
        return {};
      case "/api/connector/poll":
        return {
          state: this.#state,
          gatewayName: "Home",
          accountName: "Ada",
          pageNonce: this.#pageNonce,
          draft: this.#draft,
          signed: this.#signed,
          mac: this.#mac,
          formerPolicy: this.formerPolicy,
        };
      default:
        return {};
    }
  }

  /** What the page does, from what it fixed itself. */
  async #sign(connectorNonce: string): Promise<void> {
    if (this.#draft === null) return;
    const transcript = { enrolment: ENROLMENT, commitment: String(this.#body["commitment"]), connectorNonce, pageNonce: this.#pageNonce };
    const names = { gatewayName: "Home", accountName: "Ada", machineName: (this.#body["machine"] as { name: string }).name };
    const genesis = genesisBytes(await genesisOf(this.#draft, { ...transcript, ...names }));
    this.words = await checkWords(genesis);
    this.#signed = await this.signer.sign("genesis", genesis);
    if (this.secret !== null)
      this.#mac = createHmac("sha256", Buffer.from(this.secret, "base64url")).update(claimMacBytes(genesis)).digest("base64url");
    this.#state = "signed";
  }
}

const honest: Lie = (_path, answer) => answer;

/** Enrols against the plane. @returns the exit code; 0: enrolled */
async function enrol(plane: Plane, by: "link" | "code", options: Partial<EnrolOptions> = {}): Promise<number> {
  const events: { event: string; data: Record<string, unknown> }[] = [];
  let polls = 0;
  const input: EnrolOptions = {
    appOrigin: APP,
    files,
    identity: enrolmentIdentity(files),
    version: "1",
    dialler: plane as never,
    say: (event, _text, data = {}) => {
      events.push({ event, data: data as Record<string, unknown> });
      if (event === "claim-link") plane.secret = (data as { url: string }).url.split(".").at(-1) ?? null;
    },
    confirmWords: (words) => Promise.resolve(words === plane.words ? "yes" : "no"),
    // Whatever a liar makes it wait for, it does not wait for ever here.
    sleep: () => ((polls += 1) > 20 ? Promise.reject(new ControlPlaneError("waits", "waits for ever")) : Promise.resolve()),
    now: () => NOW,
    ...options,
  };
  try {
    await (by === "link" ? enrolByLink(input) : enrolByCode(input, "gthc_code"));
    return 0;
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    return error.code === "waits" ? -1 : error.code === "words-differ" ? 1 : exitOfControlPlane(error.code);
  }
}

/** Nothing that a connector would start from. */
function isNothingPinned(): boolean {
  const left = readdirSync(files.dir);
  return files.read("gateway") === null && !left.some((name) => name.startsWith("key-log"));
}

test.each(["link", "code"] as const)("[EN5] [EN9] an honest ceremony by %s pins exactly the passkey that signed", async (by) => {
  const plane = new Plane(honest);
  expect(await enrol(plane, by)).toBe(0);
  const log = await KeyLog.open(files, loadIdentity(files));
  expect(log.state.ownerKeys).toEqual([owner.ownerKey]);
  expect(files.read("gateway")).toMatchObject({
    gateway: GATEWAY,
    name: "Home",
    appOrigin: APP,
    approveOrigin: APPROVE,
    rpId: "approve.localhost",
  });
  expect(plane.posted.at(-1)).toBe("/api/connector/confirm");
});

/** Every member of what the plane answers, with another value that its schema takes. */
function lies(): readonly (readonly [string, Lie])[] {
  const change =
    (route: string, edit: (answer: Record<string, unknown>) => void): Lie =>
    (at, answer) => {
      if (at === `/api/connector/${route}`) edit(answer);
      return answer;
    };
  const start =
    (edit: (answer: Record<string, unknown>) => void): Lie =>
    (at, answer) => {
      if (at === "/api/connector/claims" || at === "/api/connector/redeem") edit(answer);
      return answer;
    };
  const draft = (edit: (draft: Record<string, unknown>) => void): Lie =>
    change("poll", (answer) => {
      if (answer["draft"] !== null) edit(answer["draft"] as Record<string, unknown>);
    });
  const signed = (edit: (signed: Record<string, unknown>) => void): Lie =>
    change("poll", (answer) => {
      if (answer["signed"] !== null) edit(answer["signed"] as Record<string, unknown>);
    });
  const assertion = (edit: (assertion: Record<string, unknown>) => void): Lie =>
    signed((it) => edit(it["assertion"] as Record<string, unknown>));
  const text = (member: string, value: unknown) => (it: Record<string, unknown>) => void (it[member] = value);
  return [
    ["enrolment", start(text("enrolment", "f".repeat(20)))],
    ["approval origin", start(text("approveOrigin", "http://evil.localhost:8787"))],
    ["approval origin that is none", start(text("approveOrigin", "not an origin"))],
    ["gateway name", change("poll", text("gatewayName", "Other"))],
    ["account name", change("poll", text("accountName", "Mallory"))],
    ["page nonce", change("poll", text("pageNonce", OTHER))],
    ["gateway", draft(text("gateway", "zzzzzzzzzzzzzzzzzzzzzzz"))],
    ["gateway origin", draft(text("gatewayOrigin", "http://evil.localhost:8787"))],
    ["app origin", draft(text("appOrigin", "http://evil.localhost:8787"))],
    ["approval origin of the terms", draft(text("approveOrigin", "http://evil.localhost:8787"))],
    ["rpId", draft(text("rpId", "localhost"))],
    ["connector key", draft((it) => void (it["connectorKey"] = { kty: "OKP", crv: "Ed25519", x: otherKey }))],
    ["account", draft(text("account", "b".repeat(26)))],
    ["owner key", draft((it) => void (it["ownerKey"] = mallory.ownerKey))],
    ["time of issue", draft(text("issuedAtMs", NOW - 5))],
    ["time to apply", draft(text("applyByMs", NOW + 5))],
    ["version", draft(text("v", 2))],
    ["statement", signed(text("statement", "e30"))],
    ["list", signed(text("list", [OTHER]))],
    ["credential", assertion(text("credentialId", "AAAA"))],
    ["authenticator data", assertion(text("authenticatorData", "A".repeat(50)))],
    ["client data", assertion(text("clientDataJSON", "A".repeat(100)))],
    ["signature", assertion(text("signature", "A".repeat(90)))],
    ["no signature", change("poll", text("signed", null))],
    ["no terms", change("poll", text("draft", null))],
    [
      "an answer that is none",
      (at) => (at === "/api/connector/poll" ? "hello" : { enrolment: ENROLMENT, ticket: "t", approveOrigin: APPROVE }),
    ],
  ];
}

test.each(lies())(
  "[EN5] [case 29] a control plane that lies about: %s; nothing is pinned and the exit code is final",
  async (_member, lie) => {
    for (const by of ["link", "code"] as const) {
      // The person in the terminal says yes to everything: the machine's own judgement is what is shown here.
      expect(await enrol(new Plane(lie), by, { confirmWords: () => Promise.resolve("yes") }), by).toBe(4);
      expect(isNothingPinned()).toBe(true);
      files.remove("enrolment");
    }
  },
);

test("[EN9] [case 29] a link's secret that the page did not have pins nothing", async () => {
  const plane = new Plane((at, answer) => (at === "/api/connector/poll" && answer["signed"] !== null ? { ...answer, mac: OTHER } : answer));
  expect(await enrol(plane, "link")).toBe(4);
  expect(isNothingPinned()).toBe(true);
});

test("[EN5] [case 29] Mallory's passkey signs terms of its own: by link the secret is missing, by code the words differ", async () => {
  const plane = new Plane(honest);
  plane.signer = mallory;
  const shown: string[] = [];
  expect(await enrol(plane, "code", { confirmWords: (words) => Promise.resolve((shown.push(words), "no")) })).toBe(1);
  expect(isNothingPinned()).toBe(true);
  expect(shown).toHaveLength(1);
});

test("[EN4] a signature that is too old by this machine's clock pins nothing", async () => {
  expect(await enrol(new Plane(honest), "link", { now: () => NOW + 11 * 60_000 })).toBe(4);
  expect(isNothingPinned()).toBe(true);
});

test("[EN8] the terminal names gateway, account, passkeys, words and the approval host", async () => {
  const plane = new Plane(honest);
  const said: Record<string, unknown>[] = [];
  await enrol(plane, "code", {
    say: (event, _text, data = {}) => void (event === "check-words" && said.push(data as Record<string, unknown>)),
  });
  expect(said).toEqual([
    { gatewayName: "Home", accountName: "Ada", passkeys: 1, words: plane.words, approvalHost: "approve.localhost:8787" },
  ]);
});

test.each([
  ["narrower", { maxAccess: "chat", maxExpiryMs: 3_600_000 }, { maxAccess: "chat", maxExpiryMs: 3_600_000 }],
  ["narrower in one member, wider in the other", { maxAccess: "look", maxExpiryMs: 1e13 }, { ...DEFAULT_POLICY, maxAccess: "look" }],
  ["wider", { maxAccess: "full", maxExpiryMs: 1e13 }, DEFAULT_POLICY],
  ["the same", DEFAULT_POLICY, DEFAULT_POLICY],
] as const)(
  "[EN13] of a former policy that is %s the new log takes over what narrows, and the terminal says so",
  async (_name, former, kept) => {
    const plane = new Plane(honest);
    plane.formerPolicy = former;
    const said: unknown[] = [];
    const say: EnrolOptions["say"] = (event, text, data = {}) => {
      if (event === "claim-link") plane.secret = (data as { url: string }).url.split(".").at(-1) ?? null;
      if (event === "policy-taken-over") said.push(data, text);
    };
    expect(await enrol(plane, "link", { say })).toBe(0);
    const log = await KeyLog.open(files, loadIdentity(files));
    expect(log.state.policy).toEqual(kept);
    expect(log.state.head.seq).toBe(kept === DEFAULT_POLICY ? 0 : 1);
    expect(said[0]).toEqual(kept === DEFAULT_POLICY ? undefined : { policy: kept });
  },
);
