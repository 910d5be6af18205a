/** Connector parts that need no network: settings, versions, files, handshake, discovery. */
import { mkdtempSync, readdirSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test, vi } from "vitest";
import { ControlUiHandshake, approveKey } from "../../src/connector/openclaw/control-ui-handshake.ts";
import { planRestore, planTidy, planSettings, settingsDiff } from "../../src/connector/openclaw/settings.ts";
import { isKnownToServe, mayBeProbed } from "../../src/connector/openclaw/version-gate.ts";
import { DamagedStateError, StateFiles } from "../../src/connector/state/state-files.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import { APPROVAL_HOLD_MS } from "../../src/protocol/limits.ts";
import { ConnectorState } from "../support/connector-state.ts";

const ORIGIN = "https://abc.gw.example";

function temporary(): string {
  return mkdtempSync(path.join(os.tmpdir(), "gatehouse-unit-"));
}

test.each([
  ["2026.9.3", true, true],
  ["2026.9.6", true, true],
  ["2026.9.33", true, true],
  ["2026.10.1", true, true],
  ["2027.1.1", true, true],
  ["2026.9.6-demo", true, true],
  ["2026.9.3-beta.1", true, false],
  ["2026.9.2", true, false],
  // A long-term build: newer than 2026.9.3 by date, older by number. Only the probes know.
  ["2026.8.35", true, false],
  ["2026.8.1", true, false],
  ["2026.8.1-beta.3", false, false],
  ["2026.8.0", false, false],
  ["2026.7.30", false, false],
  ["latest", false, false],
  ["", false, false],
])("[R13] [case 43] OpenClaw %s is probed: %s, known to take the way in: %s", (version, isProbed, isKnown) => {
  expect([mayBeProbed(version), isKnownToServe(version)]).toEqual([isProbed, isKnown]);
});

test("needed settings are added to what is there, arrays merged, and nothing is planned twice", () => {
  const before = { gateway: { trustedProxies: ["10.0.0.1"], controlUi: { allowedOrigins: ["https://own.example"] } } };
  const plan = planSettings(before, ORIGIN);
  expect(settingsDiff(plan)).toBe(
    [
      '+ gateway.trustedProxies: "127.0.0.1"',
      '+ gateway.trustedProxies: "::1"',
      '+ gateway.controlUi.allowedOrigins: "https://abc.gw.example"',
      "+ gateway.nodes.pairing.autoApproveLocal: false",
      '+ gateway.publicOrigin: "https://abc.gw.example"',
      "    QR codes, join links and links in chats then name this address.",
    ].join("\n"),
  );
  const after = {
    gateway: {
      trustedProxies: ["127.0.0.1", "::1"],
      controlUi: { allowedOrigins: [ORIGIN] },
      publicOrigin: ORIGIN,
      nodes: { pairing: { autoApproveLocal: false } },
    },
  };
  expect(planSettings(after, ORIGIN)).toEqual([]);
  // Plain http is refused by the gateway for any other name than this machine's own.
  expect(planSettings({}, "http://abc.localhost:8787").map((change) => change.path)).not.toContain("gateway.publicOrigin");
});

test("[R15] a published origin of the owner's stays, and stays allowed", () => {
  const own = "https://box.tailnet.ts.net";
  const config = { gateway: { publicOrigin: `${own}/` } };
  const plan = planSettings(config, ORIGIN);
  expect(plan.map((change) => change.path)).not.toContain("gateway.publicOrigin");
  const origins = { path: "gateway.controlUi.allowedOrigins", before: undefined, after: [own, ORIGIN] };
  expect(plan).toContainEqual(origins);
  const served = { gateway: { publicOrigin: own, controlUi: { allowedOrigins: [own, ORIGIN] } } };
  expect(planSettings(served, ORIGIN).map((change) => change.path)).toEqual([
    "gateway.trustedProxies",
    "gateway.nodes.pairing.autoApproveLocal",
  ]);
  // Uninstall leaves it as it was found.
  expect(planRestore(served, [origins])).toEqual([{ path: origins.path, before: [own, ORIGIN], after: undefined }]);
});

test("uninstall puts back only what nobody changed since", () => {
  const applied = planSettings({ gateway: { trustedProxies: [] } }, ORIGIN);
  const now = {
    gateway: {
      trustedProxies: ["127.0.0.1", "::1"],
      controlUi: { allowedOrigins: ["https://changed.example"] },
      nodes: { pairing: { autoApproveLocal: false } },
    },
  };
  expect(planRestore(now, applied).map(({ path: where, after }) => [where, after])).toEqual([["gateway.trustedProxies", []], ["gateway.nodes.pairing.autoApproveLocal", undefined]]); // prettier-ignore
});

test("uninstall leaves no empty section behind, and no section of anybody else's", () => {
  const applied = [
    { path: "gateway.controlUi.allowedOrigins", before: undefined, after: ["https://x.example"] },
    { path: "gateway.nodes.pairing.autoApproveLocal", before: undefined, after: false },
    { path: "gateway.trustedProxies", before: undefined, after: ["127.0.0.1"] },
  ];
  const left = { gateway: { controlUi: {}, nodes: { pairing: {} }, auth: {} } };
  expect(planTidy(left, applied).map((change) => change.path)).toEqual(["gateway.controlUi", "gateway.nodes"]);
  const others = { gateway: { controlUi: { basePath: "/x" }, nodes: { pairing: {}, allow: [] } } };
  expect(planTidy(others, applied).map((change) => change.path)).toEqual(["gateway.nodes.pairing"]);
  expect(planTidy({ gateway: {} }, applied)).toEqual([]);
});

test("state files are the owner's alone, and a damaged one refuses instead of admitting", () => {
  const dir = temporary();
  const files = new StateFiles(dir);
  const identity = loadIdentity(files);
  expect(loadIdentity(files).publicKey).toEqual(identity.publicKey);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(statSync(path.join(dir, "identity.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(["identity.json"]);
  writeFileSync(path.join(dir, "sessions.json"), '[{"id":"x"');
  expect(() => files.read("sessions")).toThrow(DamagedStateError);
});

const NOT_PAIRED = JSON.stringify({ type: "res", id: "1", ok: false, error: { details: { code: "PAIRING_REQUIRED" } } });
const DEVICE = { id: "dev", publicKey: "key", signature: "s", signedAt: 1, nonce: "n" };

function connectFrame(changes: object, client = "openclaw-control-ui"): string {
  return JSON.stringify({
    type: "req",
    id: "1",
    method: "connect",
    params: { client: { id: client, mode: "webchat" }, role: "operator", device: DEVICE, ...changes },
  });
}

interface Changes {
  readonly isHandover?: boolean;
  readonly request?: (method: string, params: object) => Promise<unknown>;
  readonly mayPair?: () => Promise<boolean>;
}

function watch(
  staleTokens = new Set<string>(),
  mayHandOver = true,
  { isHandover = true, request = () => Promise.resolve({ pending: [] }), mayPair = () => Promise.resolve(true) }: Changes = {},
) {
  const bound: string[] = [];
  const told: string[] = [];
  const events = { paired: () => told.push("paired"), connected: () => told.push("connected"), refused: () => told.push("refused") };
  return {
    bound,
    told,
    staleTokens,
    handshake: new ControlUiHandshake({
      secret: "the-secret",
      request,
      bind: (id) => bound.push(id),
      mayHandOver: () => mayHandOver,
      takeHandover: () => isHandover,
      mayPair,
      staleTokens,
      events,
    }),
  };
}

test("the password is added for the stock page without credentials, and nothing else changes", () => {
  const sent = connectFrame({ locale: "en" });
  const forwarded = JSON.parse(watch().handshake.firstFromBrowser(sent)) as { params: Record<string, unknown> };
  expect(forwarded.params["auth"]).toEqual({ password: "the-secret" });
  expect({ ...forwarded.params, auth: undefined }).toEqual({ ...(JSON.parse(sent) as typeof forwarded).params, auth: undefined });
});

test.each([
  ["another client", connectFrame({}, "cli")],
  ["a node", connectFrame({ role: "node" })],
  ["a page with the secret", connectFrame({ auth: { token: "x" } })],
  ["a page with a bootstrap token", connectFrame({ auth: { bootstrapToken: "x" } })],
  ["a page with its own good token", connectFrame({ auth: { deviceToken: "x" } })],
  ["a device-less page", JSON.stringify({ type: "req", id: "1", method: "connect", params: { client: { id: "openclaw-control-ui" } } })],
  ["another method", JSON.stringify({ type: "req", id: "1", method: "config.get" })],
  ["no JSON", "hello"],
])("the password is never added for %s; the frame is the same string", (_what, frame) => {
  expect(watch().handshake.firstFromBrowser(frame)).toBe(frame);
});

test("[R8] [case 48] a stream that rests on a cookie alone gets neither the password nor its OpenClaw key approved", () => {
  const { handshake, bound, told } = watch(new Set(), false);
  const frame = connectFrame({ locale: "en" });
  expect(handshake.firstFromBrowser(frame)).toBe(frame);
  expect(handshake.fromGateway(NOT_PAIRED)).toBe(null);
  expect([bound, told]).toEqual([[], ["refused"]]);
});

test("a device whose own token was refused gets the password at its next try", () => {
  const stale = new Set<string>();
  const first = watch(stale);
  first.handshake.firstFromBrowser(connectFrame({ auth: { deviceToken: "old" } }));
  void first.handshake.fromGateway(
    JSON.stringify({ type: "res", id: "1", ok: false, error: { details: { code: "AUTH_DEVICE_TOKEN_MISMATCH" } } }),
  );
  expect(watch(stale).handshake.firstFromBrowser(connectFrame({ auth: { deviceToken: "old" } }))).toContain("the-secret");
});

test.each([
  ["the stock page", connectFrame({ client: { id: "openclaw-control-ui", instanceId: "6f1c" } }), "6f1c"],
  ["a page without a name", connectFrame({}), null],
  ["a name that is none", connectFrame({ client: { id: "openclaw-control-ui", instanceId: "x".repeat(101) } }), null],
  ["an app that keeps one name for all its sockets", connectFrame({ client: { id: "openclaw-ios", instanceId: "6f1c" } }), null],
  ["no handshake", "hello", null],
])("[CR9] the name by which a page is known again: %s", (_what, frame, page) => {
  const { handshake } = watch();
  handshake.firstFromBrowser(frame);
  expect(handshake.page).toBe(page);
});

const yes = (): Promise<boolean> => Promise.resolve(true);

function gatewayWith(pending: object[], calls: [string, object][]) {
  return (method: string, params: object): Promise<unknown> => {
    calls.push([method, params]);
    return Promise.resolve(method === "device.pair.list" ? { pending } : {});
  };
}

test("OpenClaw's pairing is finished for exactly that key, by its live request", async () => {
  const calls: [string, object][] = [];
  const other = { requestId: "latest", deviceId: "other", publicKey: "other", role: "operator", scopes: [] };
  const mine = { requestId: "mine", deviceId: "dev", publicKey: "key", role: "operator", scopes: ["operator.read"] };
  expect(await approveKey(gatewayWith([mine, other], calls), { id: "dev", publicKey: "key" }, yes)).toBe(true);
  expect(calls.at(-1)).toEqual(["device.pair.approve", { requestId: "mine" }]);
});

const MINE = { requestId: "mine", deviceId: "dev", publicKey: "key", role: "operator", scopes: ["operator.read"] };

/** The page with that frame was answered NOT_PAIRED. */
function unpaired(changes: Changes, frame = connectFrame({}), mayHandOver = true) {
  const { handshake, told } = watch(new Set(), mayHandOver, { request: gatewayWith([MINE], []), ...changes });
  handshake.firstFromBrowser(frame);
  return { answer: handshake.fromGateway(NOT_PAIRED), told };
}

test("[R18] once its key is approved, the page that the session names is asked to come back in 100 ms", async () => {
  const { answer, told } = unpaired({});
  const sent = JSON.parse((await answer) ?? "null") as unknown;
  expect(told).toEqual(["paired"]);
  expect(sent).toEqual({
    type: "res",
    id: "1",
    ok: false,
    error: {
      code: "UNAVAILABLE",
      message: "gateway starting",
      retryable: true,
      retryAfterMs: 100,
      details: { reason: "startup-sidecars" },
    },
  });
});

test.each<[string, Changes, string]>([
  ["a key that the session does not name", { isHandover: false }, connectFrame({})],
  ["another client", {}, connectFrame({}, "openclaw-ios")],
  ["another role", {}, connectFrame({ role: "node" })],
])("[R18] the answer to %s is never held", async (_what, changes, frame) => {
  const { answer, told } = unpaired(changes, frame);
  expect(answer).toBe(null);
  // It is approved all the same, as R8 says.
  await vi.waitUntil(() => told.length > 0);
  expect(told).toEqual(["paired"]);
});

test.each<[string, Changes]>([
  ["is not to be approved", { request: gatewayWith([{ ...MINE, scopes: ["operator.root"] }], []) }],
  ["may not be paired any more", { mayPair: () => Promise.resolve(false) }],
  ["meets a gateway that is gone", { request: () => Promise.reject(new Error("away")) }],
])("[R18] a key that %s leaves the gateway's own answer", async (_what, changes) => {
  const { answer, told } = unpaired(changes);
  expect(answer).not.toBe(null);
  expect([await answer, told]).toEqual([null, ["refused"]]);
});

test("[R18] an approval that hangs holds the answer for two seconds, and counts when it comes", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    let go = (_isHeard: boolean): void => undefined;
    const { answer, told } = unpaired({ mayPair: () => new Promise((resolve) => (go = resolve)) });
    let settled: unknown = "held";
    void answer?.then((text) => (settled = text));
    await vi.advanceTimersByTimeAsync(APPROVAL_HOLD_MS - 1);
    expect(settled).toBe("held");
    await vi.advanceTimersByTimeAsync(1);
    expect([settled, told]).toEqual([null, []]);
    go(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(["paired"]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("[LINK12] [case 8] whether the device may still be paired is asked once its request is found, and a no approves nothing", async () => {
  const calls: [string, object][] = [];
  const request = { requestId: "r", deviceId: "dev", publicKey: "key", role: "operator", scopes: [] };
  const no = (): Promise<boolean> => {
    expect(calls.map(([method]) => method)).toEqual(["device.pair.list"]);
    return Promise.resolve(false);
  };
  expect(await approveKey(gatewayWith([request], calls), { id: "dev", publicKey: "key" }, no)).toBe(false);
  expect(calls.map(([method]) => method)).toEqual(["device.pair.list"]);
});

test.each([
  ["a node role", { role: "node", scopes: [] }],
  ["an unknown scope", { role: "operator", scopes: ["operator.root"] }],
  ["another key under the same id", { role: "operator", scopes: [], publicKey: "swapped" }],
])("[case 37] a request with %s is not approved", async (_what, changes) => {
  const calls: [string, object][] = [];
  const request = { requestId: "r", deviceId: "dev", publicKey: "key", ...changes };
  expect(await approveKey(gatewayWith([request], calls), { id: "dev", publicKey: "key" }, yes)).toBe(false);
  expect(calls.map(([method]) => method)).toEqual(["device.pair.list"]);
});

test("[KL3] a cut on the host is a later word than any grant before it, also when the device was cut already; the room's same cut again is not", async () => {
  const state = await ConnectorState.create();
  const { device } = await state.allow();
  await state.admitted.revokeDevice(device, "relay");
  const { seq } = state.log.state.head;
  await state.admitted.revokeDevice(device, "relay");
  expect(state.log.state.head.seq).toBe(seq);
  await state.admitted.revokeDevice(device, "host");
  expect(state.log.state.head.seq).toBe(seq + 1);
});
