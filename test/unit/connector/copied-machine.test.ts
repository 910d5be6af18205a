/** A machine and its copy at one gateway: the original stands still with a handshake in hand, and the copy cuts that device meanwhile. */
import { cpSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Admitted } from "../../../src/connector/trust/admissions.ts";
import { Cuts } from "../../../src/connector/trust/cuts.ts";
import { DriftWatch } from "../../../src/connector/trust/drift-watch.ts";
import { loadIdentity } from "../../../src/connector/trust/identity.ts";
import { KeyLog } from "../../../src/connector/trust/key-log-file.ts";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import type { BindingStore, HandshakeWatch } from "../../../src/connector/openclaw/openclaw-port.ts";
import { StateFiles } from "../../../src/connector/state/state-files.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway } from "../../../src/demo/gateway.ts";
import type { StreamOpen, ToRoom } from "../../../src/protocol/link-messages.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { ConnectorState, TEST_ORIGIN } from "../../support/connector-state.ts";
import type { AllowedDevice } from "../../support/connector-state.ts";
import { GatewayClient, newKey } from "../../support/gateway-client.ts";
import type { OpenclawKey } from "../../support/gateway-client.ts";
import { pairedDevices } from "../../support/gateway-rpc.ts";

const TOKEN = "token-of-the-demo";
const SAFE = { trustedProxies: ["127.0.0.1", "::1"], controlUi: { allowedOrigins: [TEST_ORIGIN] }, publicOrigin: TEST_ORIGIN, nodes: { pairing: { autoApproveLocal: false } } }; // prettier-ignore
const VISITOR = { origin: TEST_ORIGIN, "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https", "x-forwarded-host": new URL(TEST_ORIGIN).host }; // prettier-ignore

let demo: DemoGateway;
let original: ConnectorState;
let device: AllowedDevice;
/** Under which the device's page connects. */
let key: OpenclawKey;
let copy: { readonly cuts: Cuts; readonly drift: DriftWatch; readonly said: Arrivals<ToRoom> };
const running: LocalOpenclaw[] = [];

/** What one machine has of its gateway, once it serves. */
async function openclawOf(bindings: BindingStore): Promise<LocalOpenclaw> {
  const openclaw = new LocalOpenclaw({
    env: { OPENCLAW_URL: `ws://127.0.0.1:${demo.port}`, OPENCLAW_GATEWAY_TOKEN: TOKEN },
    origin: TEST_ORIGIN,
    bindings,
    now: () => original.nowMs,
    approveSettings: () => Promise.resolve(false),
    keepSettings: () => undefined,
  });
  running.push(openclaw);
  const online = new Promise<void>((resolve) => {
    openclaw.onReport((report) => report.state === "online" && resolve());
  });
  openclaw.start();
  await online;
  return openclaw;
}

beforeEach(async () => {
  demo = await startDemoGateway({ port: 0, token: TOKEN, gateway: SAFE });
  original = await ConnectorState.create();
  key = newKey();
  device = await original.allow({}, key.id);
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-copy-"));
  cpSync(original.files.dir, dir, { recursive: true });
  const files = new StateFiles(dir);
  const identity = loadIdentity(files);
  const log = await KeyLog.open(files, identity);
  const now = (): number => original.nowMs;
  const admitted = new Admitted(files, log, now);
  const gateway = await openclawOf(admitted);
  const said = new Arrivals<ToRoom>();
  const send = (message: ToRoom): void => said.put(message);
  const cuts = new Cuts({ admitted, log, identity, gateway, now, send, endStreams: () => 0 });
  copy = { cuts, drift: new DriftWatch({ admitted, gateway, now, send }), said };
});

afterEach(async () => {
  copy.drift.stop();
  await Promise.all(running.splice(0).map((each) => each.stop()));
  await demo.stop();
});

/** A browser of the allowed device shows the original a new OpenClaw key, and the gateway asks for its pairing. @returns the handshake as it stands then */
async function handshakeInHand(
  mayPair: () => Promise<boolean>,
): Promise<{ readonly handshake: HandshakeWatch; readonly answer: string; readonly outcome: Promise<string> }> {
  const openclaw = await openclawOf(original.admitted);
  const browser = await GatewayClient.dial(demo.port, VISITOR);
  const answer = await browser.connect({ key, auth: { password: TOKEN } });
  browser.close();
  expect(answer.error?.details).toMatchObject({ code: "PAIRING_REQUIRED" });
  const open = { session: device.session, device: device.device } as StreamOpen;
  let tell: (outcome: string) => void = () => undefined;
  const outcome = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const handshake = openclaw.watch(open, { paired: () => tell("paired"), connected: () => tell("connected"), refused: () => tell("refused") }, mayPair); // prettier-ignore
  const params = { client: { id: "openclaw-control-ui" }, role: "operator", device: { id: key.id, publicKey: key.publicKey } };
  handshake.firstFromBrowser(JSON.stringify({ type: "req", id: answer.id, method: "connect", params }));
  return { handshake, answer: JSON.stringify(answer), outcome };
}

const CUT = { type: "cut", id: "cut-1", cutAtMs: 5, cut: "c".repeat(26) } as const;

test("[DR1] [DR2] [case 8] a machine that stood still in the very moment of the approval pairs a device that its copy has cut: the copy names the entry, and takes it out when its owner says so", async () => {
  const { handshake, answer, outcome } = await handshakeInHand(() => Promise.resolve(true));
  expect(await copy.cuts.byOwner({ ...CUT, device: device.device })).toMatchObject({ done: true, removed: 0 });
  await copy.drift.linkUp();
  expect(await copy.said.next()).toMatchObject({ type: "drift", differences: [] });
  void handshake.fromGateway(answer);
  expect(await outcome).toBe("paired");
  // The gateway's own event sets the copy to compare.
  expect(await copy.said.next()).toMatchObject({ type: "drift", differences: [{ kind: "local", entry: key.id, device: null }] });
  expect(await copy.drift.remove(key.id)).toBe("done");
  expect(await pairedDevices(demo.port, TOKEN)).toEqual([]);
  expect(await copy.said.next()).toMatchObject({ type: "drift", differences: [] });
});

test("[LINK12] [case 8] one that hears first that its room has another connector now pairs nothing", async () => {
  const { handshake, answer, outcome } = await handshakeInHand(() => Promise.resolve(false));
  void handshake.fromGateway(answer);
  expect(await outcome).toBe("refused");
  expect(await pairedDevices(demo.port, TOKEN)).toEqual([]);
});
