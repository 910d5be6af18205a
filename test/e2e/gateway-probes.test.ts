/** Both start-up probes against the demo gateway and OpenClaw: what decides whether a release is served. `npm run compat` runs this file on others. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ControlLeg } from "../../src/connector/openclaw/rpc-client.ts";
import { discoverGateway } from "../../src/connector/openclaw/discover.ts";
import { selfTest } from "../../src/connector/openclaw/self-test.ts";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import { ContractWorld, GATEWAYS, ORIGIN, SECRET, SETTINGS } from "../support/gateway-contract.ts";

/** Runs both probes as the connector does. @returns what they found */
async function probe(port: number): ReturnType<typeof selfTest> {
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${port}`, OPENCLAW_GATEWAY_TOKEN: SECRET };
  const startedAtMs = Date.now();
  const leg = await new Promise<ControlLeg>((resolve) => {
    const dialled = new ControlLeg(() => discoverGateway(env), {
      onState: ({ state }) => state === "ready" && resolve(dialled),
      onEvent: () => undefined,
    });
    dialled.start();
  });
  return selfTest(leg, discoverGateway(env), ORIGIN, startedAtMs).finally(() => leg.stop());
}

describe.each(GATEWAYS)("$name", ({ start }) => {
  let world: ContractWorld;

  beforeAll(async () => {
    world = await ContractWorld.start(start);
  });

  afterAll(async () => {
    await world?.stop();
  });

  test("[R13] [R4] both probes pass and leave nothing behind", async () => {
    expect(await probe(world.port)).toEqual({ passed: true });
    expect(await world.list()).toMatchObject({ pending: [], paired: [] });
  });
});

test("[R4] the stranger's probe fails while trusted proxies are missing", async () => {
  const { trustedProxies: _none, ...rest } = SETTINGS;
  const world = await ContractWorld.start(() => startDemoGateway({ port: 0, token: SECRET, gateway: rest }));
  expect(await probe(world.port)).toEqual({ passed: false, reason: "settings-missing" });
  await world.stop();
});

test("[R13] a gateway that reads only the token slot fails the second probe", async () => {
  const world = await ContractWorld.start(() => startDemoGateway({ port: 0, token: SECRET, gateway: SETTINGS, readsTokenOnly: true }));
  expect(await probe(world.port)).toEqual({ passed: false, reason: "way-in-refused" });
  expect(await world.list()).toMatchObject({ pending: [], paired: [] });
  await world.stop();
});
