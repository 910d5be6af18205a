/** A gateway's machine loses its state folder: its owner connects it anew, approves the devices again with one gesture, and they come in by themselves. */
import { rm } from "node:fs/promises";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, heading, realGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { cli } from "../support/cli.ts";
import { allow, ask, nextHello, review, signGenesis } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { isOnline, scratch } from "../support/stack.ts";

let home: ClaimedHome;

beforeAll(async () => {
  home = await claimedHome(realGateway);
});

afterAll(() => home?.stop());

async function admitted(): Promise<Page> {
  const { owner, origin } = home;
  const page = await home.newDevice();
  const hello = nextHello(page);
  const digits = await ask(page, origin);
  await home.toDashboard();
  await review(owner);
  await allow(owner, digits);
  await hello;
  // Two notices about devices of one name would be two landmarks of one name.
  await home.toDashboard();
  await owner.getByRole("button", { name: "Keep", exact: true }).click();
  return page;
}

/** Presses Connect anew, runs the command in an empty folder, and signs. */
async function connectAnew(): Promise<void> {
  const { owner, gatewayPath, stack } = home;
  await owner.goto(`${stack.control.appOrigin}${gatewayPath}/connect`);
  await owner.getByText("Only a passkey that decides for this gateway can sign").waitFor();
  await look(owner, "connect-anew");
  await owner.getByRole("button", { name: "Get a code", exact: true }).click();
  const code = ((await owner.locator("pre").first().textContent()) ?? "").split(" ").at(-1) ?? "";
  const folder = await scratch();
  const first = home.connect(["up", code, "--yes"], folder);
  await owner.getByRole("link", { name: "Compare the words" }).click();
  expect(await first.child.ended()).toBe(3);
  const words = await signGenesis(owner);
  home.connector = home.connect(["up", "--yes", "--check-words", words], folder);
  await home.connector.until(isOnline, "online again");
}

test("[EN11] [EN12] [EN13] [GR6] claim, two devices, a lost folder, connected anew: one signature, and both are in without asking", async () => {
  const { owner } = home;
  const devices = [await admitted(), await admitted()];
  expect((await cli(["policy", "--max-days", "30", "--state", home.connector.stateDir])).code).toBe(0);
  await home.connector.stop();
  await rm(home.connector.stateDir, { recursive: true });
  await connectAnew();
  expect(await home.connector.until(({ event }) => event === "policy-taken-over", "the policy before")).toMatchObject({
    policy: { maxAccess: "full", maxExpiryMs: 30 * 86_400_000 },
  });

  const hellos = devices.map(nextHello);
  // Their sessions are over, so their pages come back to the door by themselves (EA3).
  for (const page of devices) await heading(page, "The owner must approve this device again");
  await look(devices[0] as Page, "door-approve-again");
  await home.toDashboard();
  await owner.getByRole("heading", { name: "2 devices must be approved again" }).waitFor();
  await look(owner, "gateway-approve-again");
  await owner.getByRole("link", { name: "Approve again" }).click();
  await heading(owner, "Approve devices of “Home” again");
  expect(await owner.getByText(/Your passkey signs: .+ may use “Home” with “Full control” until /).count()).toBe(2);
  await owner.getByRole("checkbox").first().uncheck();
  await owner.getByRole("button", { name: "Approve 1 device", exact: true }).waitFor();
  await owner.getByRole("checkbox").first().check();
  await look(owner, "approve-again");
  await owner.getByRole("button", { name: "Approve 2 devices", exact: true }).click();
  await heading(owner, "Approved again");
  await look(owner, "approved-again");
  await Promise.all(hellos);

  await home.toDashboard();
  await owner.getByText("connected now", { exact: true }).nth(1).waitFor();
  expect(await owner.getByText("must be approved again").count()).toBe(0);
  await owner.goto(`${home.stack.control.appOrigin}/activity`);
  await owner.getByText("Machine connected anew: 2 devices must be approved again").waitFor();
});
