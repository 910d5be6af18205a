/** What the connector makes of the start-up probes' answers, with the demo gateway. */
import { afterEach, expect, test } from "vitest";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import type { OpenclawOptions } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import { settingsFragment } from "../../../src/connector/openclaw/settings.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway, DemoOptions } from "../../../src/demo/gateway.ts";
import type { GatewayReport } from "../../../src/protocol/link-messages.ts";
import { pairedDevices } from "../../support/gateway-rpc.ts";

const TOKEN = "token-of-the-demo";
const ORIGIN = "https://abc.gw.example";
const SAFE = { trustedProxies: ["127.0.0.1", "::1"], controlUi: { allowedOrigins: [ORIGIN] }, publicOrigin: ORIGIN, nodes: { pairing: { autoApproveLocal: false } } }; // prettier-ignore

let demo: DemoGateway;
let openclaw: LocalOpenclaw;

afterEach(async () => {
  await openclaw.stop();
  await demo.stop();
});

/** @returns the connector's first report that is final */
async function firstReport(options: Partial<DemoOptions>, more: Partial<OpenclawOptions> = {}): Promise<GatewayReport> {
  demo = await startDemoGateway({ port: 0, token: TOKEN, gateway: SAFE, ...options });
  openclaw = new LocalOpenclaw({
    env: { OPENCLAW_URL: `ws://127.0.0.1:${demo.port}`, OPENCLAW_GATEWAY_TOKEN: TOKEN },
    origin: ORIGIN,
    bindings: {
      bound: () => [],
      bind: () => undefined,
      unbind: () => undefined,
      mayHandOver: () => true,
      takeHandover: () => false,
      staleTokens: new Set(),
    },
    now: () => Date.now(),
    approveSettings: () => Promise.resolve(true),
    keepSettings: () => undefined,
    ...more,
  });
  const report = new Promise<GatewayReport>((resolve) => {
    openclaw.onReport((each) => {
      if (each.state === "online" || each.state === "unsafe") resolve(each);
    });
  });
  openclaw.start();
  return report;
}

test("[R13] a gateway that refuses the way in is not served", async () => {
  expect(await firstReport({ readsTokenOnly: true })).toMatchObject({ state: "unsafe", reason: "way-in-refused" });
  expect(openclaw.isServing).toBe(false);
});

test("[R13] the probes decide, whatever the number says", async () => {
  expect(await firstReport({ version: "2026.8.35-demo" })).toMatchObject({ state: "online", version: "2026.8.35-demo" });
  await openclaw.stop();
  await demo.stop();
  expect(await firstReport({ version: "2026.9.2-demo", readsTokenOnly: true })).toMatchObject({ reason: "way-in-refused" });
});

test("[R13] a limit on the probes' own address says nothing: they are sent again", async () => {
  expect(await firstReport({ limitsFirstConnects: { address: "203.0.113.254", count: 2, retryAfterMs: 1 } })).toMatchObject({
    state: "online",
  });
  expect(await pairedDevices(demo.port, TOKEN)).toEqual([]);
});

test("[R13] a gateway from before the loopback trap was closed is not even probed", async () => {
  let heard = 0;
  const report = await firstReport({
    version: "2026.7.35-demo",
    onSocket: () => {
      heard += 1;
      return false;
    },
  });
  expect([report.reason, heard]).toEqual(["too-old", 1]);
});

test("[R16] a gateway behind a container's published port is named as such", async () => {
  expect(await firstReport({ isElsewhere: true })).toMatchObject({ state: "unsafe", reason: "not-local" });
});

test("[R17] a config that OpenClaw does not write: its sentence and the fragment are passed on", async () => {
  const told: [string, string][] = [];
  const onNotTaken: OpenclawOptions["onNotTaken"] = (changes, why) => told.push([why, settingsFragment(changes)]);
  const report = await firstReport({ gateway: {}, refusesSettings: "Config is managed by Nix." }, { onNotTaken });
  expect(report).toMatchObject({ state: "unsafe", reason: "settings-not-taken" });
  expect(told.map(([why]) => why)).toEqual(["Config is managed by Nix."]);
  expect(JSON.parse(told[0]?.[1] ?? "")).toEqual({ gateway: SAFE });
});
