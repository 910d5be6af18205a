/** The table of what the stock Control UI sends, against the pinned release: its bundle as it is installed, and a recorded run of it in Chromium. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import type { Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OPENCLAW_VERSION, installOpenclaw } from "../../scripts/real-openclaw.ts";
import { mayReach } from "../../src/core/http/gateway-paths.ts";
import { boundedFromVisitor, fromVisitor } from "../../src/core/http/header-filter.ts";
import { readSession } from "../../src/core/trust/statement.ts";
import type { SessionStatement } from "../../src/protocol/statements.ts";
import { STOCK_UI_HEADERS, STOCK_UI_RELEASE } from "../../src/core/http/stock-ui.ts";
import { claimedHome, realGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { pairedDevices } from "../support/gateway-rpc.ts";
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

/** Asks at the door and is approved. @returns what the door signed for the session */
async function admit(page: Page): Promise<SessionStatement> {
  const hello = nextHello(page);
  const opening = page.waitForRequest((request) => request.url().endsWith("/.gatehouse/api/session"));
  const digits = await ask(page, home.origin);
  await review(home.owner);
  await allow(home.owner, digits);
  await hello;
  await home.toDashboard();
  const { signed } = (await opening).postDataJSON() as { signed: { statement: string } };
  const read = readSession(signed.statement);
  if (read === null) throw new Error("no session statement");
  return read.body;
}

const pairedKeys = async (): Promise<string[]> => {
  const paired = await pairedDevices(home.gateway.port, home.gateway.token);
  return paired.map(({ deviceId }) => Buffer.from(deviceId, "hex").toString("base64url")).toSorted();
};

/** What the connector would refuse, or take away. */
async function missing(request: Request): Promise<string[]> {
  const url = new URL(request.url());
  const headers = Object.entries(await request.allHeaders());
  const kept = new Set((fromVisitor(headers) ?? []).map(([name]) => name));
  const lost = (boundedFromVisitor(headers) ?? []).filter(([name]) => !kept.has(name)).map(([name]) => name);
  const target = { kind: "http", method: request.method(), path: url.pathname + url.search, access: "full" } as const;
  return [...(mayReach(target) ? [] : [`${target.method} ${target.path}`]), ...lost];
}

/** @returns the code with which the gateway refuses the page's next connect */
function refusedConnect(page: Page): Promise<string> {
  return new Promise((resolve) => {
    page.on("websocket", (socket) =>
      socket.on("framereceived", ({ payload }) => {
        const code = /"code":"(AUTH_[A-Z_]+|PAIRING_REQUIRED)"/.exec(payload.toString())?.[1];
        if (code !== undefined) resolve(code);
      }),
    );
  });
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
  await admit(device);
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

test("[SE3] [R8] the page connects under the key that the door made for it and named, also after a reload", async () => {
  const page = await home.newDevice();
  const before = await pairedKeys();
  const { handover } = await admit(page);
  expect((await pairedKeys()).filter((key) => !before.includes(key))).toEqual("key" in handover ? [handover.key] : []);
  const again = nextHello(page);
  await page.reload();
  await again;
  await page.context().close();
});

test("[SE3] [R8] a stock page whose stored key is in another format comes in by the one-time cookie", async () => {
  const page = await home.newDevice();
  // Newer than this release knows; the page of today makes itself another key.
  await page.addInitScript(() => {
    if (location.pathname.startsWith("/.gatehouse") || localStorage.getItem("openclaw-device-identity-v1") === null)
      localStorage.setItem("openclaw-device-identity-v1", '{"version":2}');
  });
  const before = await pairedKeys();
  expect((await admit(page)).handover).toHaveProperty("once");
  expect((await pairedKeys()).length).toBe(before.length + 1);
  await page.context().close();
});

test.each([["thief"], ["owner of the key"]])(
  "[SE3] [R8] [case 48] two browsers with one session cookie, the %s first: only the proven key is paired",
  async (first) => {
    const [mine, theirs] = [await home.newDevice(), await home.newDevice()];
    const before = await pairedKeys();
    // The device's own page waits at the gate that the thief is to take.
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const opened = mine.waitForResponse((response) => response.url().endsWith("/.gatehouse/api/session") && response.status() === 200);
    const connected = nextHello(mine);
    const digits = await ask(mine, home.origin);
    if (first === "thief")
      await mine.route(`${home.origin}/`, async (route) => {
        await held;
        await route.continue();
      });
    await review(home.owner);
    await allow(home.owner, digits);
    const { signed } = (await opened).request().postDataJSON() as { signed: { statement: string } };
    if (first !== "thief") await connected;
    const stolen = (await mine.context().cookies(home.origin)).filter((cookie) => cookie.name === "__Host-gth_s");
    await theirs.context().addCookies(stolen);
    const refused = refusedConnect(theirs);
    await theirs.goto(home.origin);
    expect(await refused).toBe("AUTH_TOKEN_MISSING");
    go();
    await connected;
    const handover = readSession(signed.statement)?.body.handover ?? { once: "" };
    expect((await pairedKeys()).filter((key) => !before.includes(key))).toEqual("key" in handover ? [handover.key] : []);
    await home.toDashboard();
    for (const page of [mine, theirs]) await page.context().close();
  },
);
