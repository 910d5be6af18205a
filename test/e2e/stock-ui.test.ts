/** The table of what the stock Control UI sends, against the pinned release: its bundle as it is installed, and a recorded run of it in Chromium. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import type { Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OPENCLAW_VERSION, installOpenclaw } from "../../scripts/real-openclaw.ts";
import { mayReach } from "../../src/core/gateway-paths.ts";
import { boundedFromVisitor, fromVisitor } from "../../src/core/header-filter.ts";
import { STOCK_UI_HEADERS, STOCK_UI_RELEASE } from "../../src/core/http/stock-ui.ts";
import { claimedHome, realGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, nextHello, review, watchRequests } from "../support/journey.ts";

let home: ClaimedHome;
let device: Page;
let bundle: string;

async function readBundle(): Promise<string> {
  const assets = path.join(path.dirname(await installOpenclaw(() => undefined)), "dist/control-ui/assets");
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js") && !name.startsWith("locale-"));
  return scripts.map((name) => readFileSync(path.join(assets, name), "utf8")).join("\n");
}

beforeAll(async () => {
  [home, bundle] = await Promise.all([claimedHome(realGateway), readBundle()]);
  device = await home.newDevice();
});

afterAll(() => home?.stop());

test("[HD7] [GP3] the table is the pinned release's, and names every write and every field of its bundle", () => {
  expect(STOCK_UI_RELEASE).toBe(OPENCLAW_VERSION);
  // RPC over the socket that only looks like HTTP: `browser.request` with a method of its own.
  const overSocket = /(?:TE\(e,|browser\.request)[^;]{0,160}$/;
  const writes = [...bundle.matchAll(/method:[^,{}]{0,60}`(POST|PUT|PATCH|DELETE)`/g)].filter((match) => !overSocket.test(bundle.slice(match.index - 160, match.index)));
  const around = writes.map((match) => [match[1], bundle.slice(match.index - 240, match.index + 60)] as const);
  const known: readonly (readonly [string, RegExp])[] = [
    ["POST", /&meta=1.*&allow=1/],
    ["POST", /session\.offerUrl/],
    ["PUT", /\/api\/channels\/nostr\//],
    ["POST", /`\/import`/],
  ];
  expect(around.filter(([method, text]) => !known.some(([verb, mark]) => verb === method && mark.test(text)))).toEqual([]);
  expect(known.filter(([method, mark]) => !around.some(([verb, text]) => verb === method && mark.test(text)))).toEqual([]);
  const own = [...bundle.matchAll(/\.(?:set|append)\(`(x-[a-z-]+)`|headers[^;]{0,80}[`"'](x-[a-z-]+)[`"']:/g)].map((match) => match[1] ?? match[2] ?? "");
  expect([...new Set(own)].toSorted()).toEqual([...STOCK_UI_HEADERS].toSorted());
}); // prettier-ignore

/** What the connector would refuse, or take away. */
async function missing(request: Request): Promise<string[]> {
  const url = new URL(request.url());
  const headers = Object.entries(await request.allHeaders());
  const kept = new Set((fromVisitor(headers) ?? []).map(([name]) => name));
  const lost = (boundedFromVisitor(headers) ?? []).filter(([name]) => !kept.has(name)).map(([name]) => name);
  const target = { kind: "http", method: request.method(), path: url.pathname + url.search, access: "full" } as const;
  return [...(mayReach(target) ? [] : [`${target.method} ${target.path}`]), ...lost];
}

const PAGES = [
  "/chat",
  "/overview",
  "/channels",
  "/sessions",
  "/settings",
  "/settings/mcp",
  "/agents",
  "/skills",
  "/cron",
  "/nodes",
  "/logs",
  "/activity",
];

test("[HD1] [HD7] [GP3] a recorded run of the stock page loses no request and no header field", async () => {
  const asked: Request[] = [];
  device.on("request", (request) => {
    const url = new URL(request.url());
    if (request.url().startsWith(`${home.origin}/`) && !url.pathname.startsWith("/.gatehouse/")) asked.push(request);
  });
  const hello = nextHello(device);
  const digits = await ask(device, home.origin);
  await review(home.owner);
  await allow(home.owner, digits);
  await hello;
  for (const each of PAGES) {
    const [quiet, connected] = [watchRequests(device), nextHello(device)];
    await device.goto(home.origin + each);
    await connected;
    await quiet();
  }
  const lost = await Promise.all(asked.map(missing));
  expect([...new Set(lost.flat())]).toEqual([]);
  expect(asked.length).toBeGreaterThan(40);
});
