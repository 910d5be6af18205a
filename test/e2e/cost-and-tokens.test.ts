/** The gateway's cost and budget, and API tokens, as their owner meets them. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;
let device: Page;

beforeAll(async () => {
  home = await claimedHome(demoGateway);
  owner = home.owner;
  device = await home.newDevice();
  const digits = await ask(device, home.origin);
  await review(owner);
  await allow(owner, digits);
  await device.getByText("Connected. This device may").waitFor();
  await home.toDashboard();
});

afterAll(() => home?.stop());

test("[BU1] [BU4] the gateway's page shows what was counted, what it costs, and the budget; lowered to nothing, the device is told why it may not", async () => {
  await owner.getByText("so far, from what was counted").waitFor();
  await owner.getByText("What was counted", { exact: true }).click();
  await owner.getByText("Connections opened").waitFor();
  await look(owner, "gateway-cost");
  await owner.getByLabel("Dollars a day").fill("much");
  await owner.getByRole("button", { name: "Save budget" }).click();
  await owner.getByRole("alert").getByText("Type two numbers").waitFor();
  await owner.getByLabel("Dollars a day").fill("0");
  await owner.getByRole("button", { name: "Save budget" }).click();
  await owner.getByRole("region", { name: "Budget of Home" }).waitFor();
  await owner.getByText("has used up its budget of today").first().waitFor();
  await look(owner, "gateway-budget-used-up");
  const refused = await device.reload();
  expect(refused?.status()).toBe(503);
  expect(Number(refused?.headers()["retry-after"])).toBeGreaterThan(0);
  await heading(device, "Used up for today");
  await look(device, "door-used-up");
  await owner.getByRole("button", { name: "Understood" }).click();
  await owner.getByRole("region", { name: "Budget of Home" }).waitFor({ state: "detached" });
  await owner.getByLabel("Dollars a day").fill("2.5");
  await owner.getByRole("button", { name: "Save budget" }).click();
  await owner.getByText("of $2.50").waitFor();
  await device.getByRole("link", { name: "Try again" }).click();
  await device.getByText("Connected. This device may").waitFor();
});

test("[AT1] [AT3] a token made on the account page, shown once, suspends the device; the owner lets it go on, and revokes the token", async () => {
  await owner.goto(`${home.stack.control.appOrigin}/account`);
  await owner.getByRole("button", { name: "Make a token" }).click();
  await owner.getByRole("alert").getByText("Type a name").waitFor();
  await owner.getByLabel("Name of the token").fill("Watchman");
  await owner.getByRole("button", { name: "Make a token" }).click();
  await owner.getByText("it is shown this once").waitFor();
  const token = await owner.getByText(/^gtha_/).innerText();
  await owner.getByRole("heading", { level: 3, name: "Watchman" }).waitFor();
  await look(owner, "account-tokens");
  await owner.reload();
  await owner.getByRole("heading", { level: 3, name: "Watchman" }).waitFor();
  expect(await owner.getByText(/^gtha_/).count()).toBe(0);

  const script = async (method: string, path: string): Promise<Response> =>
    fetch(`${home.stack.control.appOrigin}/api${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  const { devices }: { devices: { id: string }[] } = await (await script("GET", home.gatewayPath)).json();
  expect((await script("POST", `${home.gatewayPath}/devices/${devices[0]?.id ?? ""}/suspend`)).status).toBe(200);
  expect((await script("POST", `${home.gatewayPath}/devices/${devices[0]?.id ?? ""}/resume`)).status).toBe(403);
  await device.reload();
  await device.getByText("Your access was paused at").waitFor();
  await owner.goto(home.stack.control.appOrigin + home.gatewayPath);
  await owner.getByText("Suspended: nothing of it connects").waitFor();
  await look(owner, "gateway-suspended");
  await owner.getByRole("button", { name: "Let it go on" }).click();
  await owner.getByText("Allowed", { exact: true }).waitFor();
  await device.reload();
  await device.getByText("Connected. This device may").waitFor();

  await owner.goto(`${home.stack.control.appOrigin}/account`);
  await owner.getByText("last used").waitFor();
  await owner.getByRole("button", { name: "Revoke", exact: true }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await owner.getByRole("heading", { level: 3, name: "Watchman" }).waitFor({ state: "detached" });
  expect((await script("GET", "/gateways")).status).toBe(401);
});
