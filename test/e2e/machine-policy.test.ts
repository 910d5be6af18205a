/** What the gateway's machine has to say to an owner's yes, as the door, the approval page and the dashboard tell it: its policy, its alarm, and its records. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyLog } from "../../src/core/trust/key-log.ts";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { askAndAllow, clean, onHost, toHome } from "../support/decisions.ts";
import { look } from "../support/look.ts";
import { isLinkUp, isOnline } from "../support/stack.ts";

let home: ClaimedHome;
let owner: Page;
let origin: string;
const newDevice = (): Promise<Page> => home.newDevice();

const toDashboard = (): Promise<void> => toHome(home);

/** Approves the change that waits, with the passkey. */
async function approveChange(name: string): Promise<void> {
  await toDashboard();
  await owner.getByRole("link", { name: "Approve", exact: true }).click();
  await heading(owner, "A change on “Home” waits for you");
  await look(owner, `approve-${name}`);
  await owner.getByRole("button", { name: "Approve", exact: true }).click();
  await heading(owner, "The change is in force");
  await owner.getByRole("link", { name: "Back to the gateway" }).click();
  await heading(owner, "Home");
}

beforeAll(async () => {
  home = await claimedHome(demoGateway);
  ({ owner, origin } = home);
});

afterAll(() => home?.stop());

test("[KL4] more than the policy gives is refused in words, at the door, on the approval page and in the dashboard", async () => {
  await clean(home);
  expect((await onHost(home, "policy", "--max-access", "chat")).code).toBe(0);
  const device = await newDevice();
  await askAndAllow(home, device);
  await heading(owner, "The gateway's machine said no");
  await owner.getByText("Its owner policy does not give that much access").waitFor();
  await look(owner, "refused-by-machine");
  await heading(device, "The gateway's machine said no");
  await look(device, "door-over-ceiling");
  await toDashboard();
  await owner.getByText("The gateway's machine refused").waitFor();
  await look(owner, "gateway-refused");
  await device.context().close();
});

test("[LP1] [LP2] [LP3] the machine asks for a wider policy: Cancel ends it, a passkey puts it in force", async () => {
  await clean(home);
  const policy = async (): Promise<unknown> => (await onHost(home, "policy")).events[0]?.["policy"];
  expect((await onHost(home, "policy", "--max-access", "full")).code).toBe(0);
  await toDashboard();
  await owner.getByText("The machine of “Home” asks to let owners give more").waitFor();
  await look(owner, "gateway-proposal");
  await owner.getByRole("button", { name: "Cancel", exact: true }).click();
  await owner.getByText("The change is cancelled.").waitFor();
  expect(await policy()).toMatchObject({ maxAccess: "chat" });
  expect((await onHost(home, "policy", "--max-access", "full")).code).toBe(0);
  await approveChange("policy");
  await expect.poll(policy).toMatchObject({ maxAccess: "full" });
  expect(await owner.getByRole("link", { name: "Approve", exact: true }).count()).toBe(0);
});

test("[KL6] [case 29] an alarm of the machine: a banner says what it means, and goes with an approved resume", async () => {
  await clean(home);
  const { stateDir } = home.connector;
  await home.connector.stop();
  writeFileSync(path.join(stateDir, "alarm.json"), JSON.stringify({ alarm: "room-rolled-back", atMs: Date.now() }), { mode: 0o600 });
  home.connector = home.connect(["run"], stateDir);
  await home.connector.until(isLinkUp, "link");
  await home.connector.until(isOnline, "online");
  await toDashboard();
  await owner.getByRole("alert").getByText("Alarm: nobody new is admitted").waitFor();
  await look(owner, "gateway-alarm");
  await owner.goto(home.stack.control.appOrigin);
  await owner.getByText("Alarm: nobody new is admitted").waitFor();
  await look(owner, "overview-alarm");
  const device = await newDevice();
  await askAndAllow(home, device);
  await heading(owner, "The gateway's machine said no");
  await heading(device, "The gateway admits nobody new");
  await look(device, "door-alarm");
  await toDashboard();
  await owner.getByText("Alarm: nobody new is admitted").waitFor();
  expect((await onHost(home, "access-list", "resume")).code).toBe(0);
  await approveChange("resume");
  await owner.getByText("Alarm: nobody new is admitted").waitFor({ state: "detached" });
  expect(existsSync(path.join(stateDir, "alarm.json"))).toBe(false);
  await device.context().close();
});

test("[KL1] [AU6] the buttons on the gateway's page give a key log and an audit chain that verify", async () => {
  await toDashboard();
  const keyLog = owner.waitForEvent("download");
  await owner.getByRole("link", { name: "Download the key log" }).click();
  const file = await (await keyLog).path();
  const lines = readFileSync(file, "utf8").trim().split("\n");
  expect(await verifyLog(lines)).toMatchObject({ gateway: new URL(origin).hostname.split(".")[0] });
  expect((await onHost(home, "access-list", "verify", file)).code).toBe(0);
  const audit = owner.waitForEvent("download");
  await owner.getByRole("link", { name: "Download the audit chain" }).click();
  expect((await onHost(home, "history", "verify", await (await audit).path())).code).toBe(0);
});
