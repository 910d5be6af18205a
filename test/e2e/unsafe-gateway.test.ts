/** A real OpenClaw that stops being safe while devices are connected: nobody is served, everybody is told how to mend it, then it goes on. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { cli } from "../support/cli.ts";
import { gatewayRpc, pairedDevices } from "../support/gateway-rpc.ts";
import { allow, ask, claim, nextHello, review } from "../support/journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { Event, RunningConnector, Stack } from "../support/stack.ts";

let stack: Stack;
let openclaw: RunningOpenclaw;
let connector: RunningConnector;
let browser: Browser;
let owner: Page;
let laptop: Page;
let gatewayPath: string;
let origin: string;

function connect(args: readonly string[], stateDir: string): RunningConnector {
  return startConnector({ args, stateDir, appOrigin: stack.control.appOrigin, gatewayPort: openclaw.port, token: openclaw.token });
}

async function newPage(): Promise<Page> {
  return await (await profile(browser)).newPage();
}

function reported(reason: string): (event: Event) => boolean {
  return (event) => event.event === "openclaw" && (event["report"] as { reason?: string }).reason === reason;
}

function doctor(): ReturnType<typeof cli> {
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${openclaw.port}`, OPENCLAW_GATEWAY_TOKEN: openclaw.token };
  return cli(["doctor", "--state", connector.stateDir], env);
}

async function patch(gateway: object): Promise<void> {
  const { hash } = await gatewayRpc<{ hash: string }>(openclaw.port, openclaw.token, "config.get");
  const change = { raw: JSON.stringify({ gateway }), baseHash: hash, replacePaths: ["gateway.trustedProxies"] };
  await gatewayRpc(openclaw.port, openclaw.token, "config.patch", change);
}

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launch()]);
  openclaw = await runOpenclaw({
    command: await installOpenclaw(() => undefined),
    port: await freePort(),
    stateDir: await scratch(),
    token: canary(),
  });
  const first = connect(["up", "--yes"], await scratch());
  connector = first;
  const link = await first.until((event) => event.event === "claim-link", "claim link");
  owner = await newPage();
  await withPasskeys(owner);
  gatewayPath = await claim(owner, String(link["url"]), "Home");
  await first.until(isOnline, "self-test passed");
  origin = String((await first.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  // From here on nobody has said yes beforehand.
  await first.stop();
  connector = connect(["run"], first.stateDir);
  await connector.until(isOnline, "online");
  laptop = await newPage();
  const hello = nextHello(laptop);
  const digits = await ask(laptop, origin);
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await review(owner);
  await allow(owner, digits);
  await hello;
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await owner.getByText("Online", { exact: true }).waitFor();
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

/** Several starts of OpenClaw on a busy machine. */
const SLOW_MS = 400_000;
const SAFE = { nodes: { pairing: { autoApproveLocal: false } }, trustedProxies: ["127.0.0.1", "::1"] };

test.each([
  ["local clients would be paired silently", { nodes: { pairing: { autoApproveLocal: true } } }],
  ["it would not know visitors from local users", { trustedProxies: null }],
])(
  "[R4] [case 43] settings taken away while it runs, so that %s: streams end, door and owner say so, mended it goes on",
  async (_what, change) => {
    const ended = new Promise((resolve) => laptop.once("websocket", (socket) => socket.once("close", resolve)));
    const hello = nextHello(laptop);
    await laptop.goto(origin);
    await hello;
    await patch(change);
    await ended;
    await owner.getByText("Needs settings", { exact: true }).waitFor();
    await owner.getByRole("link", { name: "Apply" }).waitFor();
    const stranger = await newPage();
    await stranger.goto(origin);
    await stranger.getByText("waits until its owner applies its settings").waitFor();
    await stranger.context().close();
    const seen = await doctor();
    expect([seen.code, seen.text]).toEqual([5, expect.stringContaining("FAIL self-test: needs-settings: ")]);
    const again = nextHello(laptop);
    await patch(SAFE);
    await owner.getByText("Online", { exact: true }).waitFor();
    await laptop.goto(origin);
    await again;
    expect((await doctor()).code).toBe(0);
  },
);

test(
  "[R4] [case 43] a gateway that starts with its own sign-in switched off is not served, and the words say what to run",
  async () => {
    const file = path.join(openclaw.stateDir, "openclaw.json");
    const before = readFileSync(file, "utf8");
    await openclaw.stop();
    const config = JSON.parse(before) as { gateway: { auth: object } };
    writeFileSync(file, JSON.stringify({ ...config, gateway: { ...config.gateway, auth: { mode: "none" } } }));
    await openclaw.start();
    await connector.until(reported("auth-mode"), "refuses to serve");
    await owner.getByText("must be a token or a password").waitFor();
    expect((await doctor()).text).toContain("openclaw config set gateway.auth.mode token");
    await openclaw.stop();
    writeFileSync(file, before);
    const hello = nextHello(laptop);
    await openclaw.start();
    await owner.getByText("Online", { exact: true }).waitFor();
    await laptop.goto(origin);
    await hello;
  },
  SLOW_MS,
);

test("nobody was ever paired silently meanwhile", async () => {
  const vias = (await pairedDevices(openclaw.port, openclaw.token)).map((device) => device.approvedVia);
  expect(new Set(vias)).toEqual(new Set(["owner"]));
});
