/** The door in browsers and moments that are not the usual ones: old browsers, blocked storage, an owner who looks, a gateway that restarts or is away. */
import type { Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;
let origin: string;
const newDevice = (): Promise<Page> => home.newDevice();
const toDashboard = (): Promise<void> => home.toDashboard();

beforeAll(async () => {
  home = await claimedHome(demoGateway);
  ({ owner, origin } = home);
});

afterAll(() => home?.stop());

test("a browser without Ed25519 uses P-256: it asks, the owner's opening is shown at the door, and it gets in", async () => {
  const device = await newDevice();
  await device.addInitScript(() => {
    // Only where the door is: the demo's own page needs Ed25519.
    const isDoor = (): boolean => document.querySelector('script[src="/.gatehouse/door.js"]') !== null;
    const plain = crypto.subtle.generateKey.bind(crypto.subtle) as (...rest: unknown[]) => Promise<CryptoKeyPair>;
    crypto.subtle.generateKey = ((algorithm: { name?: string } | string, ...rest: unknown[]) =>
      (typeof algorithm === "string" ? algorithm : algorithm.name) === "Ed25519" && isDoor()
        ? Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"))
        : plain(algorithm, ...rest)) as typeof crypto.subtle.generateKey;
  });
  const challenged = device.waitForRequest((request) => request.url().endsWith("/api/challenge"));
  const digits = await ask(device, origin);
  expect((await challenged).postDataJSON()).toMatchObject({ key: { kty: "EC", crv: "P-256" } });
  await device.getByText("Tell the owner these four digits.").waitFor();
  expect(await device.getByText("The owner is looking at it.").count()).toBe(0);
  await toDashboard();
  await review(owner);
  await device.getByRole("status").getByText("The owner is looking at it.").waitFor();
  expect(await device.locator("#digits").textContent()).toBe(digits);
  await look(device, "door-owner-looks");
  await device.reload();
  await device.getByRole("button", { name: "Ask the owner" }).click();
  await device.getByText("The owner is looking at it.").waitFor();
  await allow(owner, digits);
  await device.getByText("Connected. This device may").waitFor();
  await device.context().close();
});

test.each([
  ["none at all", () => Object.defineProperty(globalThis, "indexedDB", { get: () => { throw new DOMException("denied", "SecurityError"); } })],
  ["an open that fails", () => { IDBFactory.prototype.open = () => { throw new DOMException("denied", "InvalidStateError"); }; }],
  ["one that cannot hold keys, as in old private windows", () => { IDBObjectStore.prototype.add = () => { throw new DOMException("no clone", "DataCloneError"); }; }],
] as const)("storage is blocked (%s): the door says so and what helps, and asks nobody", async (_how, block) => {
  const device = await newDevice();
  await device.addInitScript(block);
  await device.goto(origin);
  await heading(device, "This browser stores nothing");
  await device.getByRole("alert").getByText("Use a normal window, not a private one").waitFor();
  expect(await device.getByRole("button").allTextContents()).toEqual(["Try again"]);
  await look(device, "door-no-storage");
  await device.context().close();
}); // prettier-ignore

test("a private window is warned of before anybody is asked", async () => {
  const device = await newDevice();
  await device.goto(origin);
  await device.getByText("In a private window this is forgotten").waitFor();
  await device.context().close();
});

test("a restart that the gateway announced shows how long it takes, until the gateway is back", async () => {
  const waiting = await newDevice();
  await ask(waiting, origin);
  await waiting.getByText("Asked at").waitFor();
  const { port, token } = home.gateway;
  await home.gateway.stop(20_000);
  await waiting.getByText("The gateway is restarting, about 20 s.").waitFor();
  const visitor = await newDevice();
  await visitor.goto(origin);
  await visitor.getByText("The gateway is restarting, about 20 s.").waitFor();
  await look(visitor, "door-restarting");
  await visitor.getByRole("button", { name: "I am the owner" }).focus();
  home.gateway = await demoGateway({ port, token });
  await waiting.getByText("Asked at").waitFor();
  await visitor.getByText("In a private window").waitFor();
  // The view renewed itself under the person's hands.
  expect(await visitor.evaluate(() => document.activeElement?.textContent)).toBe("I am the owner");
  await waiting.getByRole("button", { name: "Stop asking" }).click();
  await heading(waiting, "This device is new here");
  await waiting.context().close();
  await visitor.context().close();
});

test("[GR2] the owner's own way while the gateway is away: said before the passkey, which is asked for once the gateway is back", async () => {
  const { stateDir } = home.connector;
  await home.connector.stop();
  await toDashboard();
  await owner.getByText("Machine offline").waitFor();
  await owner.getByRole("link", { name: "Open", exact: true }).click();
  await heading(owner, "“Home” is away");
  await owner.getByRole("status").getByText("Its machine is off or without internet.").waitFor();
  expect(await owner.getByRole("button").count()).toBe(0);
  await look(owner, "owner-away");
  home.connector = home.connect(["run"], stateDir);
  await heading(owner, "Open “Home” on this device?");
  await look(owner, "owner-here");
  await owner.getByRole("button", { name: "Open", exact: true }).click();
  await owner.getByText("Connected. This device may").waitFor();
});

test("Stay here stops the way back; the digits' third error, a denial and a decision made meanwhile end with the way back", async () => {
  const device = await newDevice();
  const digits = await ask(device, origin);
  await toDashboard();
  await review(owner, { leads: true });
  for (const left of ["2 tries left", "1 try left"]) {
    await allow(owner, digits === "0000" ? "1111" : "0000");
    await owner.getByText(left).waitFor();
  }
  await look(owner, "decide-wrong");
  await allow(owner, digits === "0000" ? "1111" : "0000");
  await heading(owner, "This request is over");
  await owner.getByRole("button", { name: "Stay here" }).click();
  await owner.getByText("You stay on this page.").waitFor();
  await look(owner, "request-over");
  await heading(device, "The digits did not match");
  await look(device, "door-wrong-digits");
  await device.getByRole("button", { name: "Ask again" }).click();
  await device.locator("#digits:not([hidden])").waitFor();
  await owner.getByRole("link", { name: "Back to Gatehouse" }).click();
  await review(owner, { leads: true });
  await owner.getByRole("button", { name: "Deny" }).click();
  await owner.getByText("You go back to Gatehouse in 5 seconds.").waitFor();
  await heading(device, "The owner said no");
  await owner.waitForURL(home.stack.control.appOrigin + home.gatewayPath);
  await device.context().close();
});

test("Stay here holds even when the page is on its way already: a dashboard that is slow to come does not come", async () => {
  const device = await newDevice();
  await ask(device, origin);
  await toDashboard();
  await review(owner, { leads: true });
  const dashboard = home.stack.control.appOrigin + home.gatewayPath;
  const held = new Promise<Route>((resolve, reject) => {
    owner.route(dashboard, resolve).catch(reject);
  });
  await owner.getByRole("button", { name: "Deny" }).click();
  // Focused now: once the page is on its way, Playwright waits for the next one before it looks for a button.
  await owner.getByRole("button", { name: "Stay here" }).focus();
  const late = await held;
  const ended = new Promise<string>((resolve) => {
    owner.once("requestfailed", () => resolve("given up"));
    owner.once("domcontentloaded", () => resolve("shown"));
  });
  await owner.keyboard.press("Enter");
  await late.continue().catch(() => undefined);
  expect(await ended).toBe("given up");
  await owner.getByText("You stay on this page.").waitFor();
  await heading(owner, "Denied");
  await owner.unroute(dashboard);
  await owner.getByRole("link", { name: "Back to Gatehouse" }).click();
  await owner.waitForURL(dashboard);
  await device.context().close();
});

test("[ST10] an allowed device's tab while the gateway is away says why and since when, answers 503, and goes on by itself at the same address", async () => {
  const device = await newDevice();
  const digits = await ask(device, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await device.getByText("Connected. This device may").waitFor();
  const { port, token } = home.gateway;
  const { stateDir } = home.connector;
  await home.gateway.stop();
  await toDashboard();
  await owner.getByText("OpenClaw not running").first().waitFor();
  const answer = await device.goto(`${origin}/some/chat?x=1#part`);
  expect([answer?.status(), answer?.headers()["retry-after"], answer?.headers()["cache-control"]]).toEqual([503, "5", "no-store"]);
  await heading(device, "The gateway is away");
  await device
    .getByRole("status")
    .getByText(/OpenClaw is not running there\. Last seen \d/)
    .waitFor();
  const file = await device.evaluate(async () => {
    const answer = await fetch("/demo.js");
    return [answer.status, await answer.text()];
  });
  expect(file).toEqual([503, "OpenClaw is not running on the gateway's machine (connector-gateway).\n"]);
  await look(device, "away-openclaw");
  await home.connector.stop();
  await device
    .getByRole("status")
    .getByText(/machine is off or without internet\. Last seen \d/)
    .waitFor();
  await look(device, "away-machine");
  home.gateway = await demoGateway({ port, token });
  home.connector = home.connect(["run", "--yes"], stateDir);
  await device.getByText("Connected. This device may").waitFor();
  expect(device.url()).toBe(`${origin}/some/chat?x=1#part`);
  await device.context().close();
});
