/** The edge cache under the real Control UI: what a second load takes from the edge, counted in bytes, and what an upgrade or a cut leaves of it. */
import { once } from "node:events";
import http from "node:http";
import type { Browser, Page, Response } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, claim, nextHello, review, watchRequests } from "../support/journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

let stack: Stack;
let openclaw: RunningOpenclaw;
let connector: RunningConnector;
let browser: Browser;
let device: Page;
let owner: Page;
let gatewayPath: string;
let origin: string;

async function newDevice(): Promise<Page> {
  return await (await profile(browser)).newPage();
}

interface Served {
  readonly bytes: number;
  readonly edgeBytes: number;
  readonly edge: readonly string[];
  readonly gateway: readonly string[];
}

/**
 * Loads the Control UI in the allowed browser, with nothing in its cache, until it is connected and asks for nothing more. Another browser with
 * its cookies would not do: that is a thief's, and OpenClaw is not handed over to it.
 *
 * @returns the bytes of bodies, as they crossed, by origin
 */
async function coldLoad(): Promise<Served> {
  const page = await device.context().newPage();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  await devtools.send("Network.setBypassServiceWorker", { bypass: true });
  await devtools.send("Network.clearBrowserCache");
  const answers: Response[] = [];
  page.on("response", (response) => answers.push(response));
  const hello = nextHello(page);
  const quiet = watchRequests(page);
  await page.goto(`${origin}/`, { waitUntil: "load" });
  await hello;
  await quiet();
  const edge: string[] = [];
  const gateway: string[] = [];
  let [bytes, edgeBytes] = [0, 0];
  for (const answer of answers) {
    const { pathname } = new URL(answer.url());
    if (!answer.url().startsWith(origin) || answer.fromServiceWorker() || answer.status() !== 200) continue;
    // As it crossed: encoded. The development server sends no length with an encoded body.
    const length = (await answer.request().sizes()).responseBodySize;
    // Out of the page's own memory: nothing crossed, and the browser reports less than its headers.
    if (length <= 0) continue;
    const isEdge = (await answer.headerValue("cache-status")) === "gatehouse; hit";
    (isEdge ? edge : gateway).push(`${pathname} ${length}`);
    bytes += length;
    if (isEdge) edgeBytes += length;
  }
  await page.close();
  return { bytes, edgeBytes, edge, gateway };
}

/** One request without a browser and its caches, which knows no names below localhost. */
async function get(
  path: string,
  headers: Record<string, string>,
): Promise<{ readonly status: number; readonly cacheStatus: unknown; readonly body: string }> {
  const { host, port } = new URL(origin);
  const request = http.get({ host: "127.0.0.1", port, path, headers: { "accept-encoding": "identity", ...headers, host } });
  const [answer] = (await once(request, "response")) as [http.IncomingMessage];
  const chunks = await answer.toArray();
  return {
    status: answer.statusCode ?? 0,
    cacheStatus: answer.headers["cache-status"],
    body: Buffer.concat(chunks as Buffer[]).toString(),
  };
}

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launch()]);
  const command = await installOpenclaw(() => undefined);
  openclaw = await runOpenclaw({ command, port: await freePort(), stateDir: await scratch(), token: canary() });
  const place = { stateDir: await scratch(), appOrigin: stack.control.appOrigin, gatewayPort: openclaw.port, token: openclaw.token };
  connector = startConnector({ args: ["up", "--yes"], ...place });
  owner = await newDevice();
  await withPasskeys(owner);
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  gatewayPath = await claim(owner, String(link["url"]), "Home");
  await connector.until(isOnline, "self-test passed");
  origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  device = await newDevice();
  const hello = nextHello(device);
  const quiet = watchRequests(device);
  const digits = await ask(device, origin);
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await review(owner);
  await allow(owner, digits);
  await hello;
  await quiet();
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

test("the connector names the build of the Control UI that the gateway came with", async () => {
  const online = await connector.until(isOnline, "online");
  expect(online["report"]).toMatchObject({ state: "online", version: "2026.9.6" });
  expect((online["report"] as { build?: string }).build).toMatch(/^2026\.9\.6-release-/);
});

test("[EC1] [EC5] the second load of the real Control UI takes at least 90 % of its bytes from the edge, and never a page", async () => {
  const second = await coldLoad();
  expect(second.edge.length).toBeGreaterThan(20);
  expect(second.bytes).toBeGreaterThan(200_000);
  expect(second.edgeBytes / second.bytes, `${second.edgeBytes} of ${second.bytes} bytes from the edge`).toBeGreaterThanOrEqual(0.9);
  expect(second.gateway.map((each) => each.split(" ")[0])).toContain("/");
  expect(second.edge.filter((each) => !/\.(?:js|css|svg|png|webp|woff2) \d+$/.test(each))).toEqual([]);
});

test("[EC3] a cut device gets nothing more from the edge after its page was refused, and a visitor without a session never did", async () => {
  const cookies = await device.context().cookies(origin);
  const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  const [asset = ""] = await device.evaluate(() =>
    [...document.querySelectorAll("script[src]")].map((each) => each.getAttribute("src") ?? ""),
  );
  expect(asset).toMatch(/^\/assets\//);
  expect((await get(asset, { cookie })).status).toBe(200);
  // Kept a moment after the first answer's end.
  await expect.poll(async () => (await get(asset, { cookie })).cacheStatus).toBe("gatehouse; hit");
  expect((await get(asset, {})).status).toBe(401);
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await owner.getByRole("button", { name: "Cut now" }).first().click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText("✓ Connections ended").waitFor();
  expect((await get("/", { cookie, "sec-fetch-mode": "navigate", accept: "text/html" })).body).toContain("/.gatehouse/door.js");
  expect((await get(asset, { cookie })).status).toBe(401);
});
