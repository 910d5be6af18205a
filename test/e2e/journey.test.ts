/** The main journey on the real thing: OpenClaw, its stock Control UI in Chromium, workerd, D1, passkeys. Tests build on one another. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { gatewayRpc, pairedDevices } from "../support/gateway-rpc.ts";
import { allow, ask, claim, nextHello, recordFrames, review } from "../support/journey.ts";
import { canary, isLinkUp, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const FULL = ["operator.admin", "operator.approvals", "operator.pairing", "operator.questions", "operator.read", "operator.write"];

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

async function newDevice(): Promise<Page> {
  return await (await profile(browser)).newPage();
}

async function toDashboard(where = gatewayPath): Promise<void> {
  await owner.goto(stack.control.appOrigin + where);
}

/** Notes in `window.seen` what the page's sockets do, and which waits a page begins between a close and its next socket. */
async function recordReturn(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    const wait = window.setTimeout.bind(window);
    const Socket = window.WebSocket;
    const note = (data: unknown): void => {
      const said = /"connect"|startup-sidecars|PAIRING_REQUIRED|hello-ok/.exec(String(data))?.[0];
      if (said !== undefined) seen.push(said.replaceAll('"', ""));
    };
    const timer = (run: () => void, ms?: number): number => {
      // The page has many timers; this one is begun by its `scheduleReconnect`.
      const isReturn = seen.at(-1) === "close 1013" && /reconnect/i.test(new Error("whose").stack ?? "");
      if (isReturn) seen.push(`waits ${ms} ms`);
      return wait(run, ms);
    };
    Object.assign(window, { setTimeout: timer });
    window.WebSocket = class extends Socket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        seen.push("socket");
        this.addEventListener("message", ({ data }) => note(data));
        this.addEventListener("close", ({ code }) => seen.push(`close ${code}`));
      }
      override send(data: Parameters<WebSocket["send"]>[0]): void {
        note(data);
        super.send(data);
      }
    };
  });
}

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launch()]);
  openclaw = await runOpenclaw({
    command: await installOpenclaw(() => undefined),
    port: await freePort(),
    stateDir: await scratch(),
    token: canary(),
  });
  connector = connect(["up", "--yes"], await scratch());
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

test("claim: the link from the terminal leads to an account, a gateway and a passed self-test", async () => {
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  owner = await newDevice();
  await withPasskeys(owner);
  gatewayPath = await claim(owner, String(link["url"]), "Home");
  await connector.until(isOnline, "self-test passed");
  await owner.getByText("Online", { exact: true }).waitFor();
  origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  const { config } = await gatewayRpc<{ config: { gateway: Record<string, unknown> } }>(openclaw.port, openclaw.token, "config.get");
  expect(config.gateway["trustedProxies"]).toEqual(["127.0.0.1", "::1"]);
  expect(config.gateway["controlUi"]).toMatchObject({ allowedOrigins: [origin] });
  expect(config.gateway["nodes"]).toMatchObject({ pairing: { autoApproveLocal: false } });
  const kept = readFileSync(path.join(connector.stateDir, "identity.json"), "utf8");
  expect(kept).toContain('"d"');
});

test("a stranger sees the door and nothing else; assets and sockets are refused", async () => {
  const page = await newDevice();
  await page.goto(`${origin}/chat`);
  await page.getByRole("heading", { level: 1, name: "This device is new here" }).waitFor();
  const refused = await page.evaluate(async () => {
    const asset = await fetch("/assets/anything.js");
    const socket = await new Promise<string>((resolve) => {
      const ws = new WebSocket(`${location.origin.replace("http", "ws")}/`);
      ws.addEventListener("open", () => resolve("open"));
      ws.addEventListener("close", () => resolve("refused"));
    });
    return { asset: asset.status, socket };
  });
  expect(refused).toEqual({ asset: 401, socket: "refused" });
  await page.context().close();
});

test("[MC2] [SE1] a wrong code is counted, the right one allows; the stock Control UI connects with nothing typed", async () => {
  laptop = await newDevice();
  const frames = recordFrames(laptop);
  const hello = nextHello(laptop);
  const digits = await ask(laptop, origin);
  await review(owner);
  await allow(owner, digits === "0000" ? "1111" : "0000");
  await owner.getByText("2 tries left").waitFor();
  const asked: string[] = [];
  laptop.on("request", (request) => {
    if (request.method() === "POST" && request.url().startsWith(origin)) asked.push(new URL(request.url()).pathname);
  });
  await allow(owner, digits);
  await owner.getByRole("heading", { level: 1, name: "Allowed" }).waitFor();
  expect([...(await hello)].toSorted()).toEqual(FULL);
  // From the owner's yes to the gateway's page the door asks once: what it signs with came with the news.
  expect(asked).toEqual(["/.gatehouse/api/session"]);
  const paired = await pairedDevices(openclaw.port, openclaw.token);
  expect(paired.map((device) => device.approvedVia)).toEqual(["owner"]);
  // J4: the gateway's secret is in no frame and no storage of the page.
  expect(frames.some((text) => text.includes(openclaw.token))).toBe(false);
  const storage = await laptop.evaluate(() => JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie);
  expect(storage).not.toContain(openclaw.token);
});

test("[R18] the stock page comes back exactly when it is asked to, and hears nothing of a pairing", async () => {
  const page = await newDevice();
  await recordReturn(page);
  const hello = nextHello(page);
  const digits = await ask(page, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await hello;
  const seen = await page.evaluate(() => (window as unknown as { seen: string[] }).seen);
  expect(seen.slice(0, seen.indexOf("hello-ok") + 1)).toEqual([
    "socket",
    "connect",
    "startup-sidecars",
    "close 1013",
    "waits 100 ms",
    "socket",
    "connect",
    "hello-ok",
  ]);
  await page.context().close();
});

test("[TK1] a reload, and a later visit without a session, go straight to the Control UI", async () => {
  const hello = nextHello(laptop);
  await laptop.reload();
  await hello;
  const context = laptop.context();
  const session = (await context.cookies(origin)).find((cookie) => cookie.name === "__Host-gth_s");
  expect(session?.httpOnly).toBe(true);
  await context.clearCookies({ name: "__Host-gth_s" });
  const again = nextHello(laptop);
  await laptop.goto(origin);
  await again;
});

test("[RQ4] Deny is told to the device, and a blocked one cannot ask again", async () => {
  const page = await newDevice();
  await ask(page, origin);
  await toDashboard();
  await review(owner);
  await owner.getByLabel("With Deny: block this device from asking again").check();
  await owner.getByRole("button", { name: "Deny" }).click();
  await owner.getByRole("heading", { level: 1, name: "Denied" }).waitFor();
  await page.getByText("The owner blocked this device").waitFor();
  await page.goto(origin);
  await page.getByText("The owner blocked this device").waitFor();
  await page.context().close();
});

test("access is enforced on the stream: look only gives exactly operator.read in the gateway's hello", async () => {
  const page = await newDevice();
  const hello = nextHello(page);
  const digits = await ask(page, origin);
  await toDashboard();
  await review(owner);
  await owner.getByLabel("Look only").check();
  await owner.getByLabel("1 hour").check();
  await allow(owner, digits);
  await owner.getByRole("heading", { level: 1, name: "Allowed" }).waitFor();
  expect(await hello).toEqual(["operator.read"]);
  await page.context().close();
});

test("[CUT1] [CUT3] Cut now ends the device here and on the gateway, and shows both", async () => {
  const closed = new Promise((resolve) => laptop.on("websocket", (socket) => socket.on("close", resolve)));
  const hello = nextHello(laptop);
  await laptop.reload();
  await hello;
  const before = await pairedDevices(openclaw.port, openclaw.token);
  await toDashboard();
  const card = owner.getByRole("listitem").filter({ hasText: "connected now" });
  // The others' pages are closed, and their sockets with them, a moment later.
  await expect.poll(() => card.count()).toBe(1);
  await card.getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText(/✓ Connections ended: [1-9]/).waitFor();
  await owner.getByText("✓ Removed on the gateway: 1 entry").waitFor();
  await closed;
  expect(await pairedDevices(openclaw.port, openclaw.token)).toHaveLength(before.length - 1);
  await laptop.goto(origin);
  await laptop.getByRole("heading", { level: 1, name: "Your access has ended" }).waitFor();
});

/** The laptop was cut: it asks again, is allowed, and its page holds a token that the gateway took away. */
async function askAgain(): Promise<void> {
  const hello = nextHello(laptop);
  const digits = await ask(laptop, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await owner.getByRole("heading", { level: 1, name: "Allowed" }).waitFor();
  expect([...(await hello)].toSorted()).toEqual(FULL);
}

test("[R14] cut, asked again and allowed: the stock page connects", async () => {
  await askAgain();
});

test("[R14] the same after a restart of the connector", async () => {
  await toDashboard();
  await owner.getByRole("listitem").filter({ hasText: "connected now" }).getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText("✓ Removed on the gateway: 1 entry").waitFor();
  await connector.stop();
  connector = connect(["run"], connector.stateDir);
  await connector.until(isOnline, "online");
  await askAgain();
});

test("Open: the owner reaches the Control UI on the own device with one passkey gesture", async () => {
  await toDashboard();
  const hello = nextHello(owner);
  await owner.getByRole("link", { name: "Open", exact: true }).click();
  await owner.getByRole("heading", { level: 1, name: "Open “Home” on this device?" }).waitFor();
  await owner.getByRole("button", { name: "Open", exact: true }).click();
  expect([...(await hello)].toSorted()).toEqual(FULL);
});

test("[case 48] an approval link made with somebody else's key gains its sender nothing", async () => {
  const attacker = await newDevice();
  await attacker.goto(origin);
  await attacker.getByRole("button", { name: "I am the owner" }).click();
  await attacker.waitForURL((url) => url.pathname === "/owner");
  const trap = attacker.url();
  await owner.goto(trap);
  await owner.getByRole("button", { name: "Open", exact: true }).click();
  await owner.getByText("This page did not start that sign-in").waitFor();
  await attacker.goto(origin);
  await attacker.getByRole("heading", { level: 1, name: "This device must be allowed again" }).waitFor();
  await attacker.context().close();
});

test("[GR4] [LINK7] a decision while the gateway is offline takes effect when its connector is back", async () => {
  await connector.stop();
  const page = await newDevice();
  const hello = nextHello(page);
  const digits = await ask(page, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await owner.getByRole("heading", { level: 1, name: "Allowed, waiting" }).waitFor();
  await page.getByText("It opens as soon as the gateway is back").waitFor();
  connector = connect(["run"], connector.stateDir);
  await hello;
  await page.context().close();
});

test("[ST6] [case 1] gateway restart, connector killed, control plane restarted: the device is back without pairing again", async () => {
  const page = await newDevice();
  const first = nextHello(page);
  const digits = await ask(page, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await first;
  const paired = (await pairedDevices(openclaw.port, openclaw.token)).length;

  const afterGateway = nextHello(page);
  await openclaw.restart();
  await afterGateway;

  const afterKill = nextHello(page);
  await connector.kill();
  connector = connect(["run"], connector.stateDir);
  await afterKill;

  const afterControl = nextHello(page);
  const isUpAgain = connector.events.filter(isLinkUp).length;
  await stack.restartControl();
  await afterControl;
  await expect.poll(() => connector.events.filter(isLinkUp).length).toBeGreaterThan(isUpAgain);
  expect(await pairedDevices(openclaw.port, openclaw.token)).toHaveLength(paired);
  await page.context().close();
});

test("[case 42] the loopback trap never opened: no device was ever paired silently", async () => {
  const vias = (await pairedDevices(openclaw.port, openclaw.token)).map((device) => device.approvedVia);
  expect(vias.length).toBeGreaterThan(0);
  expect(new Set(vias)).toEqual(new Set(["owner"]));
});
