/** Steps of the main journey as a person does them, in a real browser. */
import type { Page } from "playwright-core";

/** Follows a claim link: makes the account on the way, keeps the recovery codes, adds the gateway. @returns the gateway's page path */
export async function claim(page: Page, claimUrl: string, name: string): Promise<string> {
  await page.goto(claimUrl);
  await page.getByRole("button", { name: "Sign in" }).click();
  await signUp(page, "Ada Owner");
  await page.getByRole("button", { name: "Add gateway" }).waitFor();
  await page.getByLabel("Name of the gateway").fill(name);
  await page.getByRole("button", { name: "Add gateway" }).click();
  await page.getByRole("link", { name: "Go on" }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  return new URL(page.url()).pathname;
}

/** On the approval origin: makes an account with a passkey. */
export async function signUp(page: Page, person: string): Promise<void> {
  await page.getByLabel("Your name").fill(person);
  await page.getByRole("button", { name: "Make account with a passkey" }).click();
  await page.getByRole("heading", { name: "Keep these recovery codes" }).waitFor();
  await page.getByLabel("I have kept them in a safe place").check();
  await page.getByRole("button", { name: "Continue" }).click();
}

/** At the door: asks the owner. @returns the four digits */
export async function ask(page: Page, origin: string): Promise<string> {
  await page.goto(origin);
  await page.getByRole("button", { name: "Ask the owner" }).click();
  await page.locator("#digits:not([hidden])").waitFor();
  return (await page.locator("#digits").textContent()) ?? "";
}

/** On the dashboard: opens the waiting card. */
export async function review(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Review" }).click();
  await page.getByLabel("Four digits on the device").waitFor();
}

export async function allow(page: Page, digits: string): Promise<void> {
  await page.getByLabel("Four digits on the device").fill(digits);
  await page.getByRole("button", { name: "Allow" }).click();
}

/** The stock Control UI of 2026.9.6 shows its message box once it is connected. */
export async function controlUiConnected(page: Page): Promise<void> {
  await page.locator("openclaw-app").waitFor({ state: "attached" });
  await page.waitForFunction(() => {
    const app = document.querySelector("openclaw-app") as { connected?: boolean } | null;
    return app?.connected === true || document.querySelector("textarea") !== null;
  });
}
