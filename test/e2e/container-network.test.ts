/** A real OpenClaw in a container's network: a connector outside is told what to do, one inside serves. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { cli } from "../support/cli.ts";
import { ContainerNetwork } from "../support/container-network.ts";
import { allow, ask, claim, nextHello, review } from "../support/journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { Event, RunningConnector, Stack } from "../support/stack.ts";

let network: ContainerNetwork;
let stack: Stack;
let browser: Browser;
let openclaw: RunningOpenclaw;
let connector: RunningConnector;

beforeAll(async () => {
  network = ContainerNetwork.make();
  const port = await freePort();
  await network.publish(port);
  const command = await installOpenclaw(() => undefined);
  const gateway = { bind: "lan" };
  [stack, browser, openclaw] = await Promise.all([
    startStack(),
    launch(),
    runOpenclaw({ command, port, stateDir: await scratch(), token: canary(), gateway, through: network.inside }),
  ]);
  await network.reach(stack.control.port);
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
  await network?.stop();
});

function connect(args: readonly string[], stateDir: string, through: readonly string[]): RunningConnector {
  const { port: gatewayPort, token } = openclaw;
  connector = startConnector({ args, stateDir, appOrigin: stack.control.appOrigin, gatewayPort, token, through });
  return connector;
}

async function newPage(): Promise<Page> {
  return await (await profile(browser)).newPage();
}

test("[R16] in the gateway's own network: claimed, and an approved device connects", async () => {
  connect(["up", "--yes"], await scratch(), network.inside);
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  const owner = await newPage();
  await withPasskeys(owner);
  const gatewayPath = await claim(owner, String(link["url"]), "Home");
  await connector.until(isOnline, "self-test passed");
  const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  const phone = await newPage();
  const hello = nextHello(phone);
  const digits = await ask(phone, origin);
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await review(owner);
  await allow(owner, digits);
  expect(await hello).toContain("operator.admin");
});

test("[R16] outside, through the published port: nobody is served, and doctor prints the lines that help", async () => {
  const { stateDir } = connector;
  await connector.stop();
  connect(["run"], stateDir, []);
  const isSettled = (event: Event): boolean =>
    event.event === "openclaw" && !["starting", "offline"].includes((event["report"] as { state: string }).state);
  const { report } = await connector.until(isSettled, "a report");
  expect(report).toMatchObject({ state: "unsafe", reason: "not-local" });
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${openclaw.port}`, OPENCLAW_GATEWAY_TOKEN: openclaw.token };
  const { code, text } = await cli(["doctor", "--state", stateDir], env);
  expect(text).toContain("FAIL self-test: unsafe: OpenClaw does not see this connector as local");
  expect(text).toContain('network_mode: "service:openclaw"');
  expect(code).toBe(5);
});
