/** `npm run bench -- --real`: the real OpenClaw, its stock Control UI in Chromium, through Gatehouse as `npm start` runs it. */
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { freePort, startControlPlane } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, claim, nextHello, review } from "../support/journey.ts";
import { isOnline, scratch, startConnector } from "../support/stack.ts";
import { quantile } from "./load.ts";
import { ForeignLoad } from "./machine.ts";

interface RealOptions {
  readonly dir: string;
  readonly rounds: number;
  readonly say: (line: string) => void;
  readonly onStop: (stop: () => Promise<unknown>) => void;
}

interface PageLoad {
  readonly ms: number;
  /** Bytes that crossed the network, and those of all the answers. */
  readonly transferred: number;
  readonly total: number;
}

/** Loads a page. @returns the time to its load event, and what its navigation and resource timings say of bytes */
async function pageLoad(page: Page, url: string): Promise<PageLoad> {
  const startedAt = performance.now();
  await page.goto(url, { waitUntil: "load" });
  const ms = performance.now() - startedAt;
  const bytes = await page.evaluate(() => {
    const entries = [
      ...performance.getEntriesByType("navigation"),
      ...performance.getEntriesByType("resource"),
    ] as PerformanceResourceTiming[];
    return {
      transferred: entries.reduce((sum, each) => sum + each.transferSize, 0),
      total: entries.reduce((sum, each) => sum + each.encodedBodySize, 0),
    };
  });
  return { ms, ...bytes };
}

async function newDevice(browser: Browser): Promise<Page> {
  const page = await (await profile(browser)).newPage();
  page.setDefaultTimeout(30_000);
  return page;
}

function spread(values: readonly number[]): string {
  const [low, middle, high] = [0, 0.5, 1].map((share) => Math.round(quantile(values, share) ?? 0));
  return `${middle} ms [${low}-${high}]`;
}

/** Allows one new device per round through the pages as a person does, and loads the Control UI through the room and directly. */
export async function real({ dir, rounds, say, onStop }: RealOptions) {
  const browser = await launch();
  onStop(() => browser.close());
  const control = await startControlPlane({ port: await freePort(), stateDir: path.join(dir, "control-plane") });
  onStop(() => control.stop());
  const openclaw = await runOpenclaw({ command: await installOpenclaw(say), port: await freePort(), stateDir: await scratch() });
  onStop(() => openclaw.stop());
  const up = { args: ["up", "--yes"], stateDir: await scratch(), appOrigin: control.appOrigin };
  const connector = startConnector({ ...up, gatewayPort: openclaw.port, token: openclaw.token });
  onStop(() => connector.stop());
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  const owner = await newDevice(browser);
  await withPasskeys(owner);
  const gatewayPath = await claim(owner, String(link["url"]), "Bench");
  await connector.until(isOnline, "self-test passed");
  const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);

  const others = new ForeignLoad();
  const connected: number[] = [];
  const loads = { "first, direct": [], "second, direct": [], "first, through the room": [], "second, through the room": [] } as Record<
    string,
    PageLoad[]
  >;
  const edge: number[] = [];
  const receipts: number[] = [];
  const atGateway: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const page = await newDevice(browser);
    const hello = nextHello(page);
    const digits = await ask(page, origin);
    await owner.goto(control.appOrigin + gatewayPath);
    await review(owner);
    const pressedAt = performance.now();
    await allow(owner, digits);
    await hello;
    connected.push(performance.now() - pressedAt);
    // The same session in a fresh cache: what an allowed device's first visit costs.
    const cold = await newDevice(browser);
    await cold.context().addCookies(await page.context().cookies(origin));
    loads["first, through the room"]?.push(await pageLoad(cold, `${origin}/`));
    loads["second, through the room"]?.push(await pageLoad(cold, `${origin}/`));
    const near = await newDevice(browser);
    loads["first, direct"]?.push(await pageLoad(near, `http://127.0.0.1:${openclaw.port}/`));
    loads["second, direct"]?.push(await pageLoad(near, `http://127.0.0.1:${openclaw.port}/`));
    await owner.goto(control.appOrigin + gatewayPath);
    const cutAt = performance.now();
    const receipt = owner.waitForResponse((response) => response.url().endsWith("/cut") && response.request().method() === "POST");
    await owner.getByRole("listitem").filter({ hasText: "connected now" }).first().getByRole("button", { name: "Cut now" }).click();
    await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
    const { edge: inRoom, gateway } = (await (await receipt).json()) as { edge: { tookMs: number }; gateway: { tookMs: number | null } };
    receipts.push(performance.now() - cutAt);
    edge.push(inRoom.tookMs);
    if (gateway.tookMs !== null) atGateway.push(gateway.tookMs);
    for (const each of [page, cold, near]) await each.context().close();
    say(`  round ${round + 1} of ${rounds}`);
  }
  const foreignCores = others.cores();
  const share = (name: string): string => {
    const all = loads[name] ?? [];
    const [transferred, total] = [all.reduce((sum, each) => sum + each.transferred, 0), all.reduce((sum, each) => sum + each.total, 0)];
    return `${Math.round(transferred / Math.max(1, all.length) / 1024)} of ${Math.round(total / Math.max(1, all.length) / 1024)} KiB crossed`;
  };
  const text = [
    `${rounds} rounds, one new device each; others kept ${foreignCores.toFixed(2)} cores busy.`,
    "",
    `- Allow pressed (digits typed by the test, passkey virtual) to the Control UI's hello-ok: ${spread(connected)}`,
    ...Object.entries(loads).map(
      ([name, all]) => `- Control UI, ${name}: load event after ${spread(all.map(({ ms }) => ms))}, ${share(name)}`,
    ),
    `- Cut now pressed (two clicks) to the receipt in the dashboard: ${spread(receipts)}; the connector's part, OpenClaw's entry removed: ${spread(atGateway)}`,
  ].join("\n");
  return { text, json: { rounds, foreignCores, connected, loads, edge, receipts, atGateway } };
}
