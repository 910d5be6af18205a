/** A gateway's machine comes back from a backup: it stops by name, takes over what the backup lacks, and its owner lets it in. */
import { cp } from "node:fs/promises";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { cli } from "../support/cli.ts";
import { askAndAllow } from "../support/decisions.ts";
import { nextHello } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { isOnline, scratch } from "../support/stack.ts";

let home: ClaimedHome;

beforeAll(async () => {
  home = await claimedHome(demoGateway);
});

afterAll(() => home?.stop());

async function admitted(): Promise<Page> {
  const page = await home.newDevice();
  const hello = nextHello(page);
  await askAndAllow(home, page);
  await hello;
  await home.toDashboard();
  await home.owner.getByRole("button", { name: "Keep", exact: true }).click();
  return page;
}

test("[KL14] [LINK9] a backup, a device approved later, the backup restored: refused by name, restored, let in, and the device still comes in", async () => {
  const { owner } = home;
  await admitted();
  await home.connector.stop();
  const backup = await scratch();
  await cp(home.connector.stateDir, backup, { recursive: true });
  home.connector = home.connect(["run"], home.connector.stateDir);
  await home.connector.until(isOnline, "online");
  const later = await admitted();
  await home.connector.stop();

  const refused = home.connect(["run"], backup);
  expect(await refused.child.ended()).toBe(4);
  expect(refused.events.find(({ event, link }) => event === "link" && (link as { why?: string }).why === "stale")).toBeDefined();
  const status = await cli(["status", "--state", backup]);
  expect([status.code, status.text]).toEqual([1, expect.stringMatching(/It stopped for good at .+ restore <file>/)]);
  const checked = await cli(["doctor", "--state", backup]);
  expect(checked.text).toMatch(/warn last stop: .+ restore <file>/);

  await home.toDashboard();
  await owner.getByRole("heading", { name: "An older copy of this machine was refused" }).waitFor();
  await look(owner, "copy-waiting");
  const [download] = await Promise.all([
    owner.waitForEvent("download"),
    owner.getByRole("link", { name: "Download the key log", exact: true }).click(),
  ]);
  const file = path.join(await scratch(), "key-log.jsonl");
  await download.saveAs(file);
  expect((await cli(["restore", file, "--state", backup])).code).toBe(3);
  const restored = await cli(["restore", file, "--yes", "--json", "--state", backup]);
  expect(restored.json()).toMatchObject([
    { event: "restore", added: expect.arrayContaining([expect.objectContaining({ type: "grant" })]) as unknown },
    { event: "restored" },
  ]);

  await owner.getByRole("button", { name: "Let this copy in", exact: true }).click();
  await look(owner, "copy-waiting-question");
  await owner.getByRole("button", { name: "Let this copy in", exact: true }).last().click();
  await owner.getByRole("heading", { name: "An older copy of this machine was refused" }).waitFor({ state: "detached" });
  home.connector = home.connect(["run"], backup);
  await home.connector.until(isOnline, "served again");
  const hello = nextHello(later);
  await later.goto(home.origin);
  await hello;
  await home.toDashboard();
  await heading(owner, "Home");
  await owner.getByText("Online", { exact: true }).waitFor();
  expect(home.connector.events.filter(({ event }) => event === "alarm")).toEqual([]);
});
