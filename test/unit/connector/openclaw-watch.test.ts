/** Settings that are taken away while the gateway runs: the connector hears of it at once, stops serving, and serves again when they are back. */
import { afterEach, expect, test } from "vitest";
import { approveKey } from "../../../src/connector/openclaw/control-ui-handshake.ts";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import { GatewayAwayError } from "../../../src/connector/openclaw/openclaw-port.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway } from "../../../src/demo/gateway.ts";
import type { GatewayReport } from "../../../src/protocol/link-messages.ts";
import { GatewayClient, newKey } from "../../support/gateway-client.ts";
import { gatewayRpc, pairedDevices } from "../../support/gateway-rpc.ts";

const TOKEN = "token-of-the-demo";
const ORIGIN = "https://abc.gw.example";
const SAFE = { trustedProxies: ["127.0.0.1", "::1"], controlUi: { allowedOrigins: [ORIGIN] }, publicOrigin: ORIGIN, nodes: { pairing: { autoApproveLocal: false } } }; // prettier-ignore
/** Longer than any test: what is seen was not found by looking every now and then. */
const NEVER_MS = 2 ** 30;

/** What was bound to the only device, and whether the disk refuses to forget it. */
let bound: readonly string[] = [];
let refusesUnbind = false;

function unbind(): void {
  if (refusesUnbind) throw new Error("ENOSPC");
}

let demo: DemoGateway;
let openclaw: LocalOpenclaw;

afterEach(async () => {
  await openclaw.stop();
  await demo.stop();
});

async function start(says: (asked: readonly string[]) => boolean): Promise<{ readonly until: (state: string) => Promise<GatewayReport> }> {
  demo = await startDemoGateway({ port: 0, token: TOKEN, gateway: SAFE });
  openclaw = new LocalOpenclaw({
    env: { OPENCLAW_URL: `ws://127.0.0.1:${demo.port}`, OPENCLAW_GATEWAY_TOKEN: TOKEN },
    origin: ORIGIN,
    bindings: {
      bound: () => bound,
      bind: () => undefined,
      unbind,
      mayHandOver: () => true,
      takeHandover: () => false,
      staleTokens: new Set(),
    },
    now: () => Date.now(),
    approveSettings: ({ lines }) => says(lines.map(({ path }) => path)),
    keepSettings: () => undefined,
    watchSettingsMs: NEVER_MS,
  });
  const until = (state: string): Promise<GatewayReport> =>
    new Promise((resolve) => {
      const off = openclaw.onReport((report) => {
        if (report.state !== state || report.reason === "settings-missing") return;
        off();
        resolve(report);
      });
    });
  const online = until("online");
  openclaw.start();
  await online;
  return { until };
}

async function patch(gateway: object): Promise<void> {
  const { hash } = await gatewayRpc<{ hash: string }>(demo.port, TOKEN, "config.get");
  await gatewayRpc(demo.port, TOKEN, "config.patch", { raw: JSON.stringify({ gateway }), baseHash: hash, replacePaths: ["gateway.trustedProxies"] }); // prettier-ignore
}

test.each([
  [
    "the gateway would pair local clients silently",
    { nodes: { pairing: { autoApproveLocal: true } } },
    "gateway.nodes.pairing.autoApproveLocal",
  ],
  ["the gateway stops believing who a visitor is", { trustedProxies: ["192.0.2.1"] }, "gateway.trustedProxies"],
])("[R4] [case 43] %s: nobody is served from then on, until it is mended", async (_what, change, path) => {
  const asked: string[] = [];
  const { until } = await start((paths) => {
    asked.push(...paths);
    return false;
  });
  const refused = until("unsafe");
  await patch(change);
  expect(await refused).toMatchObject({ state: "unsafe", reason: "settings-refused" });
  expect([openclaw.isServing, asked]).toEqual([false, expect.arrayContaining([path])]);
  const mended = until("online");
  await patch({ nodes: SAFE.nodes, trustedProxies: SAFE.trustedProxies });
  await mended;
  expect(openclaw.isServing).toBe(true);
});

test("[R4] [case 43] with a yes said beforehand it mends the settings itself, and serves nobody meanwhile", async () => {
  const served: boolean[] = [];
  const { until } = await start(() => {
    served.push(openclaw.isServing);
    return true;
  });
  const mended = until("online");
  await patch({ nodes: { pairing: { autoApproveLocal: true } } });
  await mended;
  expect(served).toEqual([false]);
  const { config } = await gatewayRpc<{ config: { gateway: object } }>(demo.port, TOKEN, "config.get");
  expect(config.gateway).toMatchObject(SAFE);
});

test("[OB1] one round trip on the control leg is timed and told; without a gateway it is refused", async () => {
  const { until } = await start(() => true);
  const online = until("online");
  openclaw.start();
  await online;
  const heard: number[] = [];
  openclaw.onPing((ms) => heard.push(ms));
  const ms = await openclaw.ping();
  expect(heard).toEqual([ms]);
  const away = until("offline");
  await demo.stop();
  await away;
  await expect(openclaw.ping()).rejects.toThrow(GatewayAwayError);
  expect(heard).toEqual([ms]);
});

test("[CUT3] [case 47] an entry that was taken out while the disk refused to forget its binding is counted as removed by the next try", async () => {
  const { until } = await start(() => true);
  const online = until("online");
  openclaw.start();
  await online;
  const key = newKey();
  const visitor = { origin: ORIGIN, "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https", "x-forwarded-host": "abc.gw.example" };
  const browser = await GatewayClient.dial(demo.port, visitor);
  await browser.connect({ key, auth: { password: TOKEN } });
  browser.close();
  await approveKey(
    (method, params) => gatewayRpc(demo.port, TOKEN, method, params),
    key,
    () => Promise.resolve(true),
  );
  bound = [key.id];
  refusesUnbind = true;
  await expect(openclaw.removeBound("x".repeat(26))).rejects.toThrow("ENOSPC");
  expect(await pairedDevices(demo.port, TOKEN)).toEqual([]);
  refusesUnbind = false;
  expect(await openclaw.removeBound("x".repeat(26))).toEqual({ removed: 1, absent: 0, entries: [key.id] });
  expect(await openclaw.removeBound("x".repeat(26))).toEqual({ removed: 0, absent: 1, entries: [key.id] });
});
