/** The door and the approval page where a person's way is not straight: lost tokens, fragments, second thoughts, outages. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, heading, realGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, nextHello, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;
let origin: string;
let approveOrigin: string;
const newDevice = (): Promise<Page> => home.newDevice();
const toDashboard = (): Promise<void> => home.toDashboard();

beforeAll(async () => {
  home = await claimedHome(realGateway);
  ({ owner, origin } = home);
  ({ approveOrigin } = home.stack.control);
});

afterAll(() => home?.stop());

test("[RQ3] a page that lost its connection takes its request up again: same digits; Stop asking ends it and takes the card away", async () => {
  const page = await newDevice();
  await page.goto(origin);
  await heading(page, "This device is new here");
  await look(page, "way-this-device-is-new-here");
  const digits = await ask(page, origin);
  await heading(page, "Waiting for the owner");
  await look(page, "way-waiting-for-the-owner");

  const isBack = new Promise((resolve) => page.on("websocket", (socket) => socket.on("framereceived", resolve)));
  await home.stack.restartControl();
  await isBack;
  await page.locator("#small").getByText("Asked at").waitFor();
  expect(await page.locator("#digits").textContent()).toBe(digits);

  await toDashboard();
  await owner.getByRole("link", { name: "Review" }).waitFor();
  await page.getByRole("button", { name: "Stop asking" }).click();
  await heading(page, "This device is new here");
  await owner.getByRole("link", { name: "Review" }).waitFor({ state: "detached" });
  await page.context().close();
});

test("[TK3] a device whose token is lost asks again and gets in; a fragment of the wanted address survives the door", async () => {
  const page = await newDevice();
  const first = nextHello(page);
  const digits = await ask(page, `${origin}/chat#part`);
  await toDashboard();
  await review(owner);
  await look(owner, "way-review");
  await allow(owner, digits);
  await heading(owner, "Allowed");
  await look(owner, "way-stay-here");
  await first;
  expect(new URL(page.url()).hash).toBe("#part");

  const later = await page.context().newPage();
  await page.context().clearCookies();
  await later.goto(`${origin}/chat`);
  await heading(later, "This device must be allowed again");
  await look(later, "way-this-device-must-be-allowed-again");
  await later.getByRole("button", { name: "Ask the owner" }).click();
  await later.locator("#digits:not([hidden])").waitFor();
  const again = nextHello(later);
  const newDigits = (await later.locator("#digits").textContent()) ?? "";
  await toDashboard();
  await review(owner);
  await allow(owner, newDigits);
  await again;
  await page.context().close();
});

test("a browser that keeps no cookies is told so instead of going round for ever", async () => {
  const page = await newDevice();
  // What a browser that blocks cookies does with every answer.
  await page.addInitScript(() => {
    const plain = globalThis.fetch;
    globalThis.fetch = (input, init) => plain(input, { ...init, credentials: "omit" });
  });
  const digits = await ask(page, origin);
  await toDashboard();
  await review(owner);
  await allow(owner, digits);
  await heading(page, "This browser keeps no cookies here");
  await page.context().close();
});

test("an owner's address that was changed on the way opens nothing", async () => {
  await owner.goto(`${approveOrigin}/owner?gateway=${new URL(origin).hostname.split(".")[0] ?? ""}&state=${"s".repeat(32)}&key=%7B%7D`);
  await heading(owner, "This address is incomplete");
  await look(owner, "way-this-address-is-incomplete");
});

test("a second passkey is added with a yes of the first; removing one asks first, and takes a yes of the other", async () => {
  await owner.goto(`${approveOrigin}/account`);
  await owner.getByRole("button", { name: "Sign out everywhere" }).waitFor();
  await look(owner, "way-sign-out-everywhere");
  const session = await owner.context().newCDPSession(owner);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "usb",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  // Put aside as soon as it is made: touched as well, it would answer for the first that it knows nothing.
  await owner.route("**/api/auth/passkeys", async (route) => {
    await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
    await route.continue();
  });
  await owner.getByRole("button", { name: "Add a passkey" }).click();
  await owner.getByRole("button", { name: "Remove Passkey 2" }).click();
  await heading(owner, "Remove Passkey 2?");
  await owner.getByRole("button", { name: "Keep it" }).click();
  await owner.getByRole("button", { name: "Remove Passkey 2" }).click();
  await owner.getByRole("button", { name: "Remove", exact: true }).click();
  await heading(owner, "What your gateways say");
  await owner.getByRole("button", { name: "Continue" }).click();
  await owner.getByRole("button", { name: "Add a passkey" }).waitFor();
  await owner.unroute("**/api/auth/passkeys");
  expect(await owner.getByRole("button", { name: /^Remove/ }).count()).toBe(0);
});

test("a request that is over is said to be over, and a recovery code signs in when there is no passkey", async () => {
  const gateway = new URL(origin).hostname.split(".")[0] ?? "";
  await owner.goto(`${approveOrigin}/decide?${new URLSearchParams({ gateway, request: "a".repeat(26) }).toString()}`);
  await heading(owner, "This request is over");
  await owner.goto(`${approveOrigin}/account`);
  await owner.getByRole("button", { name: "Make new recovery codes" }).click();
  await heading(owner, "Keep these recovery codes");
  await look(owner, "way-keep-these-recovery-codes");
  const code = (await owner.getByRole("listitem").first().textContent()) ?? "";
  await owner.getByLabel("I have kept them in a safe place").check();
  await owner.getByRole("button", { name: "Continue" }).click();

  const page = await newDevice();
  await page.goto(`${approveOrigin}/account`);
  await heading(page, "Sign in");
  await look(page, "way-sign-in");
  await page.getByRole("button", { name: "Use a recovery code" }).click();
  await page.getByLabel("Recovery code").fill(code);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await heading(page, "Add a passkey for this device");
  await look(page, "way-add-a-passkey-for-this-device");
  await page.getByRole("button", { name: "Not now" }).click();
  await heading(page, "Ada Owner");
  await page.getByText("9 of 10 are unused.").waitFor();
  await page.context().close();
});
