/** The dashboard where a person's way is not straight: reloads, lost sessions, lost networks, a keyboard, a screen reader. */
import type { Browser, Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, checkWordsOn, review, signGenesis, signUp } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { Event, RunningConnector, Stack } from "../support/stack.ts";

const TOKEN = "demo-token-of-the-dashboard-tests";
const UNAVAILABLE = { status: 503, json: { error: { code: "unavailable", message: "The database does not answer." } } };

let stack: Stack;
let gateway: DemoGateway;
let connector: RunningConnector;
let browser: Browser;
let owner: Page;
let gatewayPath: string;
let origin: string;

function connect(args: readonly string[], stateDir: string): RunningConnector {
  return startConnector({ args, stateDir, appOrigin: stack.control.appOrigin, gatewayPort: gateway.port, token: TOKEN });
}

function heading(name: string): Promise<void> {
  return owner.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

async function open(path: string): Promise<void> {
  await owner.goto(stack.control.appOrigin + path);
}

/** Name or text of what has the focus. */
function focused(): Promise<string> {
  return owner.evaluate(() => document.activeElement?.textContent ?? "");
}

async function newDevice(): Promise<Page> {
  return await (await profile(browser, { width: 360, height: 740 })).newPage();
}

beforeAll(async () => {
  [stack, browser, gateway] = await Promise.all([startStack(), launch(), startDemoGateway({ port: 0, token: TOKEN })]);
  const context = await profile(browser);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  owner = await context.newPage();
  await withPasskeys(owner);
  connector = connect(["up", "--yes"], await scratch());
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await gateway?.stop();
  await stack?.stop();
});

test("a claim goes on after terms that the server did not take, and after a reload in the middle", async () => {
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  await owner.goto(String(link["url"]));
  await signUp(owner, "Ada");
  await owner.getByLabel("Name of the gateway").fill("Home");
  const sent: string[] = [];
  const note = (request: Request): void => {
    if (request.url().endsWith("/propose")) sent.push((request.postDataJSON() as { nonce: string }).nonce);
  };
  owner.on("request", note);
  let refusals = 0;
  // The page tries four times by itself.
  await owner.route("**/propose", (route) => ((refusals += 1) <= 4 ? route.fulfill(UNAVAILABLE) : route.abort()));
  await owner.getByRole("button", { name: "Add gateway" }).click();
  await owner.getByText("The database does not answer.").waitFor();
  await look(owner, "claim-troubled");
  await owner.unroute("**/propose");
  await owner.reload();
  await owner.getByRole("heading", { name: "Compare with the terminal" }).waitFor();
  // One nonce for one commitment, however often it is sent.
  owner.off("request", note);
  expect(sent.length).toBeGreaterThan(1);
  expect(new Set(sent).size).toBe(1);
  const words = String((await connector.until((event) => event.event === "check-words", "words"))["words"]);
  expect(await checkWordsOn(owner)).toBe(words);
  await owner.reload();
  expect(await signGenesis(owner)).toBe(words);
  await owner.getByRole("link", { name: "Go on" }).click();
  await heading("Home");
  await connector.until(isOnline, "online");
  await owner.getByText("Online", { exact: true }).waitFor();
  gatewayPath = new URL(owner.url()).pathname;
  origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
});

test("a claim link that is over, or that was never one, says so and leads away", async () => {
  await owner.goto(`${stack.control.approveOrigin}/claim#unknown.secret`);
  await owner.reload();
  await owner.getByText("This link has been used.").waitFor();
  await look(owner, "claim-used");
  await owner.getByRole("link", { name: "To your gateways" }).click();
  await heading("Gateways");
});

test("an enrolment goes on after a reload with the same code and the same words; the ways are tabs", async () => {
  await open("/gateways/new");
  await owner.getByLabel("Name of the gateway").fill("Cabin");
  await owner.getByRole("button", { name: "Continue" }).click();
  await heading("Connect “Cabin”");
  const command = (await owner.locator("pre").first().textContent()) ?? "";
  await owner.reload();
  expect(await owner.locator("pre").first().textContent()).toBe(command);
  await look(owner, "connect-npx");

  await owner.getByRole("button", { name: "Copy the command" }).click();
  await owner.getByRole("status").getByText("Copied.").waitFor();
  expect(await owner.evaluate(() => navigator.clipboard.readText())).toBe(command);

  await owner.getByRole("tab", { name: "npx" }).focus();
  for (const name of ["Docker", "Compose", "Kubernetes", "Windows"]) {
    await owner.keyboard.press("ArrowRight");
    expect(await owner.getByRole("tab", { selected: true }).textContent()).toBe(name);
    expect(await focused()).toBe(name);
    await look(owner, `connect-${name.toLowerCase()}`);
  }
  await owner.keyboard.press("ArrowRight");
  expect(await focused()).toBe("npx");

  const code = command.split(" ").at(-1) ?? "";
  const stateDir = await scratch();
  const first = connect(["up", code, "--yes"], stateDir);
  await owner.getByRole("link", { name: "Compare the words" }).waitFor();
  expect(await owner.locator("pre").count()).toBe(0);
  await owner.reload();
  await owner.getByRole("link", { name: "Compare the words" }).waitFor();
  await look(owner, "connect-redeemed");
  await owner.getByRole("link", { name: "Compare the words" }).click();
  const words = String((await first.until((event) => event.event === "check-words", "words"))["words"]);
  await owner.getByRole("heading", { name: "Compare with the terminal" }).waitFor();
  await owner.reload();
  expect(await signGenesis(owner)).toBe(words);
  await owner.getByText("Signed. Answer y in the terminal.").waitFor();
  const cabin = connect(["up", "--yes", "--check-words", words], stateDir);
  await owner.getByRole("link", { name: "Go on" }).click();
  await heading("Cabin");
  await cabin.until(isOnline, "online");
  await cabin.stop();
});

test("the code's end is shown every second and said once; a new code is one press away, also from the gateway's page", async () => {
  // A browser with a clock of its own: signatures of a page that is minutes ahead are refused.
  const context = await browser.newContext({ storageState: await owner.context().storageState() });
  const page = await context.newPage();
  await page.goto(`${stack.control.appOrigin}/gateways/new`);
  const startMs = Date.now();
  await page.clock.install({ time: startMs });
  await page.clock.pauseAt(startMs + 1_000);
  await page.getByLabel("Name of the gateway").fill("Attic");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("for another 10:00 minutes").waitFor();
  const before = await page.locator("pre").first().textContent();
  // The page counts from its first frame on, which this clock draws, too.
  await page.clock.runFor(1_500);
  await page.getByText("for another 9:59 minutes").waitFor();
  expect(await page.locator("[role=status]").allTextContents()).not.toContain(expect.stringContaining("9:59"));
  await page.clock.fastForward(9 * 60_000);
  await page.getByRole("status").getByText("ends in less than a minute").waitFor();
  await page.clock.fastForward(60_000);
  await page.getByRole("status").getByText("The code has ended.").waitFor();
  expect(await page.locator("pre").count()).toBe(0);
  await page.clock.resume();
  await look(page, "connect-ended");
  await page.getByRole("button", { name: "Get a new code" }).click();
  await page.locator("pre").first().waitFor();
  expect(await page.locator("pre").first().textContent()).not.toBe(before);

  await page.goto(stack.control.appOrigin);
  await page.getByRole("link", { name: "Attic" }).click();
  await page.getByText("Not connected yet").waitFor();
  await look(page, "gateway-unclaimed");
  await page.evaluate(() => sessionStorage.clear());
  await page.getByRole("link", { name: "Connect its machine" }).click();
  await page.getByRole("heading", { level: 1, name: "Connect “Attic”" }).waitFor();
  await page.getByRole("button", { name: "Get a code" }).click();
  await page.locator("pre").first().waitFor();
  await context.close();
});

test("an unknown address, and a gateway that is not there, say so and lead back", async () => {
  for (const path of ["/nothing/here", `/gateways/${"a".repeat(23)}`, `/gateways/${"a".repeat(23)}/connect`]) {
    await open(path);
    await heading("Nothing is here");
  }
  await look(owner, "not-found");
  await owner.getByRole("link", { name: "To your gateways" }).click();
  await heading("Gateways");
});

test("signed out in the middle of an act: said at once and each time, and signing in leads back to the same page", async () => {
  await open(gatewayPath);
  await owner.getByLabel("Name of the gateway").waitFor();
  await owner.context().clearCookies({ domain: "localhost" });
  await owner.getByRole("button", { name: "Rename gateway" }).click();
  const alert = owner.getByRole("alert").filter({ hasText: "You are signed out. Nothing was changed." });
  await alert.waitFor();
  await expect.poll(focused).toBe("Sign in again");
  const first = await alert.elementHandle();
  await owner.getByRole("button", { name: "Rename gateway" }).click();
  // A new element: a screen reader says nothing of one that stays.
  await first?.waitForElementState("hidden");
  await alert.waitFor();
  await expect.poll(focused).toBe("Sign in again");
  const isBack = owner.waitForResponse((response) => response.url() === `${stack.control.appOrigin}/api/session`);
  await owner.getByRole("button", { name: "Sign in again" }).click();
  expect((await isBack).status()).toBe(200);
  await heading("Home");
  await owner.getByText("You are signed out.").waitFor({ state: "detached" });
  expect(new URL(owner.url()).pathname).toBe(gatewayPath);
});

test("signed out while somebody types: said aloud, and the keys still go into the field", async () => {
  const other = await owner.context().newPage();
  other.setDefaultTimeout(30_000);
  await other.goto(stack.control.appOrigin + gatewayPath);
  const field = other.getByLabel("Name of the gateway");
  await field.fill("At");
  await open("/account");
  await owner.getByRole("button", { name: "Sign out everywhere" }).click();
  await owner.getByRole("button", { name: "Sign in" }).waitFor();
  await other.getByRole("alert").getByText("You are signed out. Nothing was changed.").waitFor();
  await other.keyboard.type("tic");
  expect(await field.inputValue()).toBe("Attic");
  await look(other, "signed-out-typing");
  await other.close();
  await owner.getByRole("button", { name: "Sign in" }).click();
  await owner.getByRole("button", { name: "Sign in with a passkey" }).click();
  await heading("Gateways");
});

test("signed out before a page loads: signing in leads to that page, not to the start", async () => {
  await owner.context().clearCookies({ domain: "localhost" });
  await open("/activity");
  await owner.getByRole("button", { name: "Sign in" }).click();
  await heading("Activity");
  expect(new URL(owner.url()).pathname).toBe("/activity");
});

test("a waiting device: announced once without its ticking age, the heading first, one primary button; answered, the dashboard comes back by itself", async () => {
  await open(gatewayPath);
  const device = await newDevice();
  const digits = await ask(device, origin);
  await owner.getByRole("status").getByText("asks to use “Home”").waitFor();
  await owner.getByRole("link", { name: "Review" }).waitFor();
  const inLive = await owner.evaluate(() => document.querySelectorAll("[role=status] time, [role=alert] time, [aria-live] time").length);
  expect(inLive).toBe(0);
  expect(await owner.locator(".primary").allTextContents()).toEqual(["Review"]);
  await look(owner, "gateway-one-waiting");
  await review(owner, { leads: true });
  await allow(owner, digits);
  await owner.getByText("You go back to Gatehouse in 5 seconds.").waitFor();
  await owner.waitForURL(stack.control.appOrigin + gatewayPath);
  await heading("Home");
  await device.getByText("Connected. This device may").waitFor();
  await owner.getByText("connected now").first().waitFor();
  expect(await owner.locator(".primary").allTextContents()).toEqual(["Open"]);
  await look(owner, "gateway-connected");
});

test("Rename gives the focus to the field, and back to its button: after saving, and after Escape", async () => {
  await owner.getByRole("button", { name: "Rename", exact: true }).click();
  const field = owner.getByLabel("Name of the device");
  await field.fill("");
  await owner.getByRole("button", { name: "Save name" }).click();
  await owner.getByText("Type a name first.").waitFor();
  await look(owner, "device-rename");
  await field.fill("Phone");
  await owner.getByRole("button", { name: "Save name" }).click();
  await owner.getByRole("heading", { level: 3, name: "Phone" }).waitFor();
  expect(await focused()).toBe("Rename");
  await owner.keyboard.press("Enter");
  await field.waitFor();
  await owner.keyboard.press("Escape");
  await field.waitFor({ state: "detached" });
  expect(await focused()).toBe("Rename");
});

test("without WebSockets the list is asked for; without a network the page says so, and not any more when it is back", async () => {
  const context = owner.context();
  const page = await context.newPage();
  await page.addInitScript(() => {
    // A network that lets no WebSocket through.
    globalThis.WebSocket = class extends EventTarget {
      readonly readyState = 3;
      constructor() {
        super();
        queueMicrotask(() => this.dispatchEvent(new CloseEvent("close", { code: 1006 })));
      }
      close(): void {}
      send(): void {}
    } as unknown as typeof WebSocket;
  });
  await page.goto(stack.control.appOrigin);
  await page.getByRole("heading", { level: 1, name: "Gateways" }).waitFor();
  const device = await newDevice();
  await ask(device, origin);
  await page.getByRole("link", { name: "Review" }).waitFor();
  await device.context().close();

  await context.setOffline(true);
  await page.getByRole("status").getByText("No connection to Gatehouse").waitFor();
  await look(page, "offline");
  await context.setOffline(false);
  await page.getByText("No connection to Gatehouse").waitFor({ state: "detached" });
  await page.close();
});

test("Cut now: the receipt stays where it was pressed, and the focus on its device; ended devices are folded away later", async () => {
  await open(gatewayPath);
  await owner.getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText("✓ Removed on the gateway").waitFor();
  // In the list: a notice of the device, while it is there, has a button of the same name.
  await owner.getByRole("listitem").getByText("Cut", { exact: true }).waitFor();
  expect(await focused()).toBe("Rename");
  await look(owner, "gateway-cut");
  await owner.reload();
  await owner.getByText("No device may use this gateway yet.").waitFor();
  await look(owner, "gateway-folded");
  await owner.getByRole("button", { name: "Show 1 ended device" }).click();
  await owner.getByRole("heading", { level: 3, name: "Phone" }).waitFor();
});

test("what changes after a page has loaded and before it listens is shown", async () => {
  const page = await owner.context().newPage();
  let listen = (): void => undefined;
  await page.routeWebSocket("**/api/inbox", (socket) => {
    listen = () => void socket.connectToServer();
  });
  await page.goto(stack.control.appOrigin + gatewayPath);
  await page.getByText("Online", { exact: true }).waitFor();
  const { port } = gateway;
  await gateway.stop();
  const isOffline = ({ event, report }: Event): boolean => event === "openclaw" && (report as { state: string }).state === "offline";
  await connector.until(isOffline, "offline");
  await expect
    .poll(async () => (await page.request.get(`${stack.control.appOrigin}/api${gatewayPath}`)).text())
    .toContain('"state":"offline"');
  listen();
  await page.getByText("OpenClaw not running").first().waitFor();
  gateway = await startDemoGateway({ port, token: TOKEN });
  await page.getByText("Online", { exact: true }).waitFor();
  await page.close();
});

test("nothing moves while a page loads", async () => {
  const page = await owner.context().newPage();
  await page.addInitScript(() => {
    const shifts: number[] = [];
    Object.assign(globalThis, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
    }).observe({ type: "layout-shift", buffered: true });
  });
  const device = await newDevice();
  await ask(device, origin);
  const approve = stack.control.approveOrigin;
  for (const url of [...["/", gatewayPath, "/activity", "/account"].map((path) => stack.control.appOrigin + path), `${approve}/account`]) {
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await page.goto(url);
      await page.locator("main :is(li, button, section ~ .card a)").first().waitFor();
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      const total = await page.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts.reduce((a, b) => a + b, 0));
      expect(total, `${url} at ${width}`).toBeLessThan(0.02);
    }
  }
  await device.context().close();
  await page.close();
});
