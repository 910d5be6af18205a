/** `npm run bench -- --real`: the real OpenClaw, its stock Control UI in Chromium, through Gatehouse as `npm start` runs it. */
import path from "node:path";
import type { Browser, Page } from "playwright-core";
import { freePort, startControlPlane } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, claim, nextHello, review, signGenesis, watchRequests } from "../support/journey.ts";
import { isOnline, scratch, startConnector } from "../support/stack.ts";
import { quantile } from "./load.ts";
import { ForeignLoad } from "./machine.ts";

interface RealOptions {
  readonly dir: string;
  readonly rounds: number;
  /** Another checkout, built already: its connector beside a second gateway, allowed in turn with this one's. */
  readonly beside?: string;
  readonly say: (line: string) => void;
  readonly onStop: (stop: () => Promise<unknown>) => void;
}

interface PageLoad {
  readonly ms: number;
  readonly requests: number;
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
      requests: entries.length,
      transferred: entries.reduce((sum, each) => sum + each.transferSize, 0),
      total: entries.reduce((sum, each) => sum + each.encodedBodySize, 0),
    };
  });
  return { ms, ...bytes };
}

async function newDevice(browser: Browser): Promise<Page> {
  return await (await profile(browser)).newPage();
}

function spread(values: readonly number[], digits = 0): string {
  const [low, middle, high] = [0, 0.5, 1].map((share) => (quantile(values, share) ?? 0).toFixed(digits));
  return `${middle}${digits === 0 ? " ms" : ""} [${low}-${high}]`;
}

/** Moments between Allow and the stock page's hello-ok, in the order in which they come. */
const STEPS = ["allowed", "opened", "first connect", "sent away", "second connect", "hello-ok"] as const;
type Step = (typeof STEPS)[number];

/** Notes when the waiting page reaches each step for the first time. Call before it asks. */
function steps(page: Page): Partial<Record<Step, number>> {
  const at: Partial<Record<Step, number>> = {};
  const reach = (step: Step): void => void (at[step] ??= performance.now());
  page.on("websocket", (socket) => {
    socket.on("framereceived", ({ payload }) => {
      const text = payload.toString();
      if (text.includes('"type":"allowed"') && text.includes('"live":true')) reach("allowed");
      if (text.includes('"PAIRING_REQUIRED"') || text.includes('"startup-sidecars"')) reach("sent away");
      if (text.includes('"hello-ok"')) reach("hello-ok");
    });
    socket.on("framesent", ({ payload }) => {
      if (payload.toString().includes('"method":"connect"')) reach(at["sent away"] === undefined ? "first connect" : "second connect");
    });
  });
  page.on("request", (request) => {
    if (at.allowed !== undefined && request.isNavigationRequest()) reach("opened");
  });
  return at;
}

/** A gateway and its connector, claimed by the owner. */
interface Site {
  readonly gatewayPort: number;
  readonly gatewayPath: string;
  readonly origin: string;
  /** Milliseconds from Allow to hello-ok, and those of each step. */
  readonly connected: number[];
  readonly between: Partial<Record<Step, number[]>>;
}

/** Claims a further gateway of an account. @returns its path in the dashboard */
async function claimNext(owner: Page, claimUrl: string, name: string): Promise<string> {
  await owner.goto(claimUrl);
  await owner.getByLabel("Name of the gateway").fill(name);
  await owner.getByRole("button", { name: "Add gateway" }).click();
  await signGenesis(owner);
  await owner.getByRole("link", { name: "Go on" }).click();
  await owner.getByRole("heading", { level: 1, name }).waitFor();
  return new URL(owner.url()).pathname;
}

/** Allows one new device. @returns its page, connected and quiet */
async function allowOne(browser: Browser, owner: Page, appOrigin: string, site: Site): Promise<Page> {
  const page = await newDevice(browser);
  const hello = nextHello(page);
  const reached = steps(page);
  const quiet = watchRequests(page);
  const digits = await ask(page, site.origin);
  await owner.goto(appOrigin + site.gatewayPath);
  await review(owner);
  const pressedAt = performance.now();
  await allow(owner, digits);
  await hello;
  site.connected.push(performance.now() - pressedAt);
  let before = pressedAt;
  for (const step of STEPS) {
    const at = reached[step] ?? before;
    (site.between[step] ??= []).push(at - before);
    before = at;
  }
  // What the page that is connected now still does would be counted into what follows.
  await quiet();
  return page;
}

function allowedText({ connected, between }: Site): string[] {
  return [
    `- Allow pressed (digits typed by the test, passkey virtual) to the Control UI's hello-ok: ${spread(connected)}`,
    `  - of it, from step to step: ${STEPS.map((step) => `${step} ${spread(between[step] ?? [])}`).join(", ")}`,
  ];
}

/** Allows one new device per round through the pages as a person does, and loads the Control UI through the room and directly. */
export async function real({ dir, rounds, beside, say, onStop }: RealOptions) {
  const browser = await launch();
  onStop(() => browser.close());
  const control = await startControlPlane({ port: await freePort(), stateDir: path.join(dir, "control-plane") });
  onStop(() => control.stop());
  const owner = await newDevice(browser);
  await withPasskeys(owner);
  const site = async (name: string, checkout?: string): Promise<Site> => {
    const openclaw = await runOpenclaw({ command: await installOpenclaw(say), port: await freePort(), stateDir: await scratch() });
    onStop(() => openclaw.stop());
    const up = { args: ["up", "--yes"], stateDir: await scratch(), appOrigin: control.appOrigin };
    const connector = startConnector({
      ...up,
      gatewayPort: openclaw.port,
      token: openclaw.token,
      ...(checkout === undefined ? {} : { checkout }),
    });
    onStop(() => connector.stop());
    const link = await connector.until((event) => event.event === "claim-link", "claim link");
    const gatewayPath = await (checkout === undefined ? claim : claimNext)(owner, String(link["url"]), name);
    await connector.until(isOnline, "self-test passed");
    const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
    return { gatewayPort: openclaw.port, gatewayPath, origin, connected: [], between: {} };
  };
  const own = await site("Bench");
  const before = beside === undefined ? null : await site("Before", path.resolve(beside));
  const { gatewayPath, origin, gatewayPort, connected, between } = own;

  const others = new ForeignLoad();
  const loads = { "first, direct": [], "second, direct": [], "first, through the room": [], "second, through the room": [] } as Record<
    string,
    PageLoad[]
  >;
  const edge: number[] = [];
  const receipts: number[] = [];
  const atGateway: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const ofBefore = async (): Promise<void> => {
      if (before !== null) await (await allowOne(browser, owner, control.appOrigin, before)).context().close();
    };
    if (round % 2 === 1) await ofBefore();
    const page = await allowOne(browser, owner, control.appOrigin, own);
    const ways = [
      // The same session in a fresh cache: what an allowed device's first visit costs.
      { name: "through the room", url: `${origin}/`, cookies: await page.context().cookies(origin) },
      { name: "direct", url: `http://127.0.0.1:${gatewayPort}/`, cookies: [] },
    ];
    // Each goes first as often as the other.
    for (const { name, url, cookies } of round % 2 === 0 ? ways : ways.toReversed()) {
      const fresh = await newDevice(browser);
      await fresh.context().addCookies(cookies);
      const still = watchRequests(fresh);
      for (const which of ["first", "second"]) {
        loads[`${which}, ${name}`]?.push(await pageLoad(fresh, url));
        await still();
      }
      await fresh.context().close();
    }
    await owner.goto(control.appOrigin + gatewayPath);
    const cutAt = performance.now();
    const receipt = owner.waitForResponse((response) => response.url().endsWith("/cut") && response.request().method() === "POST");
    await owner.getByRole("listitem").filter({ hasText: "connected now" }).first().getByRole("button", { name: "Cut now" }).click();
    await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
    const { edge: inRoom, gateway } = (await (await receipt).json()) as { edge: { tookMs: number }; gateway: { tookMs: number | null } };
    receipts.push(performance.now() - cutAt);
    edge.push(inRoom.tookMs);
    if (gateway.tookMs !== null) atGateway.push(gateway.tookMs);
    await page.context().close();
    if (round % 2 === 0) await ofBefore();
    say(`  round ${round + 1} of ${rounds}`);
  }
  const foreignCores = others.cores();
  const share = (name: string): string => {
    const all = loads[name] ?? [];
    const [transferred, total] = [all.reduce((sum, each) => sum + each.transferred, 0), all.reduce((sum, each) => sum + each.total, 0)];
    const requests = quantile(all.map((each) => each.requests), 0.5); // prettier-ignore
    return `${requests} requests, ${Math.round(transferred / Math.max(1, all.length) / 1024)} of ${Math.round(total / Math.max(1, all.length) / 1024)} KiB crossed`;
  };
  const ratios = (which: string): number[] =>
    (loads[`${which}, through the room`] ?? []).map(({ ms }, round) => ms / (loads[`${which}, direct`]?.[round]?.ms ?? Number.NaN));
  const text = [
    `${rounds} rounds, one new device each; others kept ${foreignCores.toFixed(2)} cores busy.`,
    "",
    ...allowedText(own),
    ...(before === null ? [] : ["- The connector of the other checkout, in turn:", ...allowedText(before).map((line) => `  ${line}`)]),
    ...Object.entries(loads).map(
      ([name, all]) => `- Control UI, ${name}: load event after ${spread(all.map(({ ms }) => ms))}, ${share(name)}`,
    ),
    `- Control UI, through the room / direct, round by round: first ${spread(ratios("first"), 2)}, second ${spread(ratios("second"), 2)}`,
    `- Cut now pressed (two clicks) to the receipt in the dashboard: ${spread(receipts)}; the connector's part, OpenClaw's entry removed: ${spread(atGateway)}`,
  ].join("\n");
  return { text, json: { rounds, foreignCores, connected, between, before, loads, edge, receipts, atGateway } };
}
