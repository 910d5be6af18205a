/** A device whose access was ended, on the real OpenClaw and its stock page: it is told, asks again, and is back; and one that was blocked. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, heading, realGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { cli } from "../support/cli.ts";
import { allow, ask, nextHello, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;

beforeAll(async () => {
  home = await claimedHome(realGateway);
  ({ owner } = home);
});

afterAll(() => home?.stop());

async function cutNow(): Promise<void> {
  await home.toDashboard();
  await owner.getByRole("listitem").filter({ hasText: "connected now" }).getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText("✓ Removed on the gateway: 1 entry").waitFor();
}

async function askAgain(device: Page): Promise<void> {
  const hello = nextHello(device);
  await device.getByRole("button", { name: "Ask the owner" }).click();
  await device.locator("#digits:not([hidden])").waitFor();
  const digits = (await device.locator("#digits").textContent()) ?? "";
  await home.toDashboard();
  await review(owner);
  await allow(owner, digits);
  await hello;
}

test("[EA2] [EA3] cut: the stock page comes to the door by itself, which says since when; asked again and allowed it connects, and so a second time", async () => {
  const device = await home.newDevice();
  const hello = nextHello(device);
  const digits = await ask(device, home.origin);
  await home.toDashboard();
  await review(owner);
  await allow(owner, digits);
  await hello;
  await cutNow();
  // Nobody touches the device.
  await heading(device, "Your access has ended");
  await device.getByText(/^Your access was ended at .*\. Ask again\?$/).waitFor();
  await look(device, "door-ended");
  await device.reload();
  await heading(device, "Your access has ended");
  await askAgain(device);
  await cutNow();
  await heading(device, "Your access has ended");
  await askAgain(device);
  await device.context().close();
});

test("[BL1] [BL4] [BL6] a blocked door says until when and leaves the owner's way open; the page and the machine list it and end it", async () => {
  const device = await home.newDevice();
  await ask(device, home.origin);
  await home.toDashboard();
  await review(owner);
  await owner.getByLabel("With Deny: block this device from asking again").check();
  await owner.getByRole("button", { name: "Deny" }).click();
  const isBlocked = (): Promise<void> => device.getByText(/^The owner blocked this device from asking until .*\.$/).waitFor();
  await isBlocked();
  await device.reload();
  await isBlocked();
  expect(await device.getByRole("button").allTextContents()).toEqual(["I am the owner"]);
  await look(device, "door-blocked");
  await home.toDashboard();
  await heading(owner, "Home");
  const row = owner.getByRole("listitem", { name: /^Blocked: / });
  await row.waitFor();
  await look(owner, "gateway-blocked-device");
  await row.getByRole("button", { name: "Block for good" }).click();
  await row.getByText(", for good").waitFor();
  const { stateDir } = home.connector;
  const listed = await cli(["devices", "--blocked", "--json", "--state", stateDir]);
  const { blocked } = JSON.parse(listed.text) as { blocked: { device: string; untilMs: number | null }[] };
  expect([listed.code, blocked.length, blocked[0]?.untilMs]).toEqual([0, 1, null]);
  const unblocked = await cli(["unblock", blocked[0]?.device.slice(0, 6) ?? "", "--state", stateDir]);
  expect([unblocked.code, unblocked.text]).toEqual([0, expect.stringContaining("may ask again")]);
  await home.toDashboard();
  await owner.getByText("Devices", { exact: true }).first().waitFor();
  await expect.poll(() => row.count()).toBe(0);
  await device.reload();
  await heading(device, "This device is new here");
  await device.context().close();
});
