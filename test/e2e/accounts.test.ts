/** Accounts: first and invited sign-up, several passkeys, recovery codes, sign-out everywhere. Each state is looked at. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addAuthenticator, launch, profile, withPasskeys } from "../support/browser.ts";
import { signUp } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { startStack } from "../support/stack.ts";
import type { Stack } from "../support/stack.ts";

let stack: Stack;
let browser: Browser;
let ada: Page;
let takeLaptopAway: () => Promise<void>;
let codes: string[] = [];

async function newPage(): Promise<Page> {
  return await (await profile(browser)).newPage();
}

function heading(page: Page, name: string): Promise<void> {
  return page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

async function toAccount(page: Page): Promise<void> {
  await page.goto(`${stack.control.approveOrigin}/account`);
}

async function signOut(page: Page): Promise<void> {
  await toAccount(page);
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.waitForURL(`${stack.control.appOrigin}/`);
}

/** Signs in at the approval origin with whatever passkey the page's authenticators hold. */
async function signIn(page: Page): Promise<void> {
  await toAccount(page);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("heading", { level: 2, name: "Passkeys" }).waitFor();
}

async function passkeyNames(page: Page): Promise<string[]> {
  const names = await page.getByRole("button", { name: /^Rename / }).allTextContents();
  return names.map((name) => name.replace("Rename ", ""));
}

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launch()]);
  ada = await newPage();
  takeLaptopAway = await addAuthenticator(ada, "internal");
});

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

test("the first person signs up and comes to the dashboard, which says how to begin", async () => {
  await ada.goto(stack.control.appOrigin);
  await ada.getByRole("button", { name: "Sign in" }).click();
  await signUp(ada, "Ada");
  await heading(ada, "Gateways");
  await ada.getByText("You have no gateway yet").waitFor();
  await look(ada, "overview-empty");
});

/** A page whose clock stands still until a test moves it: what stands there for half a second is there for as long as the test looks. */
async function newStillPage(): Promise<Page> {
  const page = await newPage();
  const startMs = Date.now();
  await page.clock.install({ time: startMs });
  await page.clock.pauseAt(startMs + 1_000);
  return page;
}

test("a server that fails once is asked again, and the page says so", async () => {
  const page = await newStillPage();
  let failures = 0;
  await page.route("**/api/auth/nonce", (route) => {
    if (failures > 0) return route.continue();
    failures += 1;
    return route.fulfill({ status: 503, json: { error: { code: "unavailable", message: "The database does not answer." } } });
  });
  await page.goto(`${stack.control.approveOrigin}/account`);
  await page.getByText("Trying again").waitFor();
  await page.clock.runFor(500);
  await page.getByRole("button", { name: "Sign in with a passkey" }).waitFor();
  expect(failures).toBe(1);
  await page.context().close();
});

test("a server that keeps failing is reported in words, with a way to try again that works", async () => {
  const page = await newStillPage();
  await page.route("**/api/auth/**", (route) =>
    route.fulfill({ status: 503, json: { error: { code: "unavailable", message: "The database does not answer." } } }),
  );
  await page.goto(`${stack.control.approveOrigin}/account#x`);
  for (const waitMs of [500, 1_500, 4_000]) {
    await page.getByText("Trying again").waitFor();
    await page.clock.runFor(waitMs);
  }
  await heading(page, "That did not work");
  await page.clock.resume();
  await look(page, "approve-failed");
  await page.unroute("**/api/auth/**");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("button", { name: "Sign in with a passkey" }).waitFor();
  await page.context().close();
});

test("after the first account sign-up is closed: no passkey is made without an invitation, and a wrong one is refused", async () => {
  const page = await newPage();
  await withPasskeys(page);
  await page.goto(stack.control.approveOrigin);
  await page.getByRole("button", { name: "Make an account" }).click();
  await page.getByLabel("Your name").fill("Mallory");
  await page.getByRole("button", { name: "Make account with a passkey" }).click();
  await page.getByText("Sign-up is by invitation here. Type the code").waitFor();
  await look(page, "sign-up-by-invitation");
  await page.getByLabel("Invitation code").fill("gthi_wrong");
  await page.getByRole("button", { name: "Make account with a passkey" }).click();
  await page.getByText("Sign-up is by invitation here.", { exact: true }).waitFor();
  await page.context().close();
});

test("an invitation makes one account, in the invited person's browser, and leads to the dashboard signed in", async () => {
  await ada.goto(`${stack.control.appOrigin}/account`);
  await ada.getByRole("button", { name: "Make an invitation" }).click();
  const invitation = (await ada.locator("pre").textContent()) ?? "";
  expect(invitation.startsWith(`${stack.control.approveOrigin}/#invite=`)).toBe(true);
  await look(ada, "account-invitation");

  await ada.goto(invitation);
  await heading(ada, "You are signed in as Ada");
  await look(ada, "invited-already");

  const ben = await newPage();
  await withPasskeys(ben);
  await ben.goto(invitation);
  expect(await ben.getByLabel("Invitation code").inputValue()).toBe(invitation.split("=")[1]);
  await look(ben, "invited");
  await signUp(ben, "Ben");
  await heading(ben, "Gateways");
  expect(new URL(ben.url()).pathname).toBe("/");
  await ben.getByRole("link", { name: "Account" }).click();
  await heading(ben, "Ben");
  await ben.context().close();

  const second = await newPage();
  await withPasskeys(second);
  await second.goto(invitation);
  await second.getByLabel("Your name").fill("Cleo");
  await second.getByRole("button", { name: "Make account with a passkey" }).click();
  await second.getByText("Sign-up is by invitation here.", { exact: true }).waitFor();
  await second.context().close();
});

test("a second passkey: added with a yes of the first, renamed, signs in alone; the last one cannot be removed", async () => {
  await toAccount(ada);
  await ada.getByText("This is your only passkey").waitFor();
  expect(await ada.getByRole("button", { name: /^Remove/ }).count()).toBe(0);
  await addAuthenticator(ada, "usb");
  await ada.getByRole("button", { name: "Add a passkey" }).click();
  await ada.getByRole("button", { name: "Rename Passkey 2" }).waitFor();
  await look(ada, "passkeys-two");

  await ada.getByRole("button", { name: "Rename Passkey 2" }).click();
  await heading(ada, "Rename Passkey 2");
  await look(ada, "passkey-rename");
  await ada.getByLabel("Name of the passkey").fill("");
  await ada.getByRole("button", { name: "Save name" }).click();
  await ada.getByRole("alert").waitFor();
  await ada.getByLabel("Name of the passkey").fill("Security key on the key ring, blue");
  await ada.getByRole("button", { name: "Save name" }).click();
  await ada.getByRole("button", { name: "Rename Security key on the key ring, blue" }).waitFor();
  expect(await passkeyNames(ada)).toEqual(["First passkey", "Security key on the key ring, blue"]);

  await ada.getByRole("button", { name: "Remove First passkey" }).click();
  await heading(ada, "Remove First passkey?");
  await look(ada, "passkey-remove");
  await ada.getByRole("button", { name: "Remove", exact: true }).click();
  await ada.getByText("This is your only passkey").waitFor();
  expect(await passkeyNames(ada)).toEqual(["Security key on the key ring, blue"]);

  await takeLaptopAway();
  await signOut(ada);
  await signIn(ada);
  expect(await passkeyNames(ada)).toEqual(["Security key on the key ring, blue"]);
});

test("new recovery codes end the old ones; one signs in without a passkey, leads to a new passkey, and is used up", async () => {
  await toAccount(ada);
  await ada.getByText("10 of 10 are unused.").waitFor();
  const renew = async (): Promise<string[]> => {
    await ada.getByRole("button", { name: "Make new recovery codes" }).click();
    await heading(ada, "Keep these recovery codes");
    const made = await ada.locator(".codes li").allTextContents();
    await ada.getByRole("button", { name: "Continue" }).click();
    await ada.getByText("Keep the codes first").waitFor();
    await ada.getByLabel("I have kept them in a safe place").check();
    await ada.getByRole("button", { name: "Continue" }).click();
    await heading(ada, "Ada");
    return made;
  };
  const old = await renew();
  codes = await renew();
  expect(new Set([...old, ...codes]).size).toBe(20);

  const phone = await newPage();
  await withPasskeys(phone);
  await toAccount(phone);
  await phone.getByRole("button", { name: "Use a recovery code" }).click();
  await phone.getByLabel("Recovery code").fill(old[0] ?? "");
  await phone.getByRole("button", { name: "Sign in", exact: true }).click();
  await phone.getByText("The code is wrong, used or too old.").waitFor();
  await look(phone, "recovery-refused");
  await phone.getByLabel("Recovery code").fill((codes[0] ?? "").toUpperCase());
  await phone.getByRole("button", { name: "Sign in", exact: true }).click();
  await heading(phone, "Add a passkey for this device");
  await phone.getByText("9 of 10 recovery codes are left").waitFor();
  await look(phone, "recovered");
  await phone.getByRole("button", { name: "Add a passkey" }).click();
  await heading(phone, "Passkey added");
  await look(phone, "recovered-passkey");
  await phone.getByRole("button", { name: "Continue" }).click();
  await heading(phone, "Ada");
  await phone.getByText("9 of 10 are unused.").waitFor();
  expect(await passkeyNames(phone)).toEqual(["Security key on the key ring, blue", "Passkey 2"]);
  await signOut(phone);
  await signIn(phone);
  await phone.context().close();
});

test("sign out everywhere ends the other browser's session at once; signing in again leads back to where it was", async () => {
  const other = await newPage();
  await withPasskeys(other);
  await other.goto(`${stack.control.appOrigin}/activity`);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("button", { name: "Use a recovery code" }).click();
  await other.getByLabel("Recovery code").fill(codes[1] ?? "");
  await other.getByRole("button", { name: "Sign in", exact: true }).click();
  await other.getByRole("button", { name: "Not now" }).click();
  await heading(other, "Activity");
  await other.getByText("Signed in with a recovery code").first().waitFor();

  await toAccount(ada);
  await ada.getByRole("button", { name: "Sign out everywhere" }).click();
  await ada.getByRole("button", { name: "Sign in" }).waitFor();
  await other.getByText("You are signed out.").waitFor();
  await look(other, "signed-out");
  expect(await other.evaluate(() => document.activeElement?.textContent)).toBe("Sign in again");
  await other.getByRole("button", { name: "Sign in again" }).click();
  await other.getByRole("button", { name: "Use a recovery code" }).click();
  await other.getByLabel("Recovery code").fill(codes[2] ?? "");
  await other.getByRole("button", { name: "Sign in", exact: true }).click();
  await other.getByRole("button", { name: "Not now" }).click();
  await heading(other, "Activity");
  await other.context().close();
});
