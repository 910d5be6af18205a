/** Somebody has a copy of the connector's state: the two fight, the gateway closes, and its owner settles it in the dashboard. */
import { cp } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { look } from "../support/look.ts";
import { MAX_COPY_ALTERNATIONS } from "../../src/protocol/limits.ts";
import { isLinkUp, isOnline, scratch } from "../support/stack.ts";
import type { Event, RunningConnector } from "../support/stack.ts";

let home: ClaimedHome;
let copy: RunningConnector | null = null;

function hasLink(state: string, why: string): (event: Event) => boolean {
  return (event) => {
    const link = event["link"] as { state?: string; why?: string } | undefined;
    return event.event === "link" && link?.state === state && link.why?.includes(why) === true;
  };
}

beforeAll(async () => {
  home = await claimedHome(demoGateway);
});

afterAll(async () => {
  await copy?.stop();
  await home?.stop();
});

test("[LINK9] [case 8] two copies of one machine: the gateway closes, nobody gets in, and Open it again lets in whichever machine connects next", async () => {
  const { owner, connector } = home;
  const stolen = await scratch();
  await connector.stop();
  await cp(connector.stateDir, stolen, { recursive: true });
  copy = home.connect(["run"], stolen);
  await copy.until(isLinkUp, "the copy is linked");
  for (let fight = 1; fight < MAX_COPY_ALTERNATIONS; fight += 1) {
    home.connector = home.connect(["run"], connector.stateDir);
    await home.connector.until(hasLink("stopped", "stale"), "refused as stale");
    await home.connector.stop();
  }
  home.connector = home.connect(["run"], connector.stateDir);
  await home.connector.until((event) => hasLink("stopped", "stale")(event) || hasLink("waiting", "")(event), "refused");
  await copy.until(hasLink("waiting", ""), "the copy is out, too");
  await copy.stop();
  await home.connector.stop();

  await home.toDashboard();
  await heading(owner, "Home");
  const settle = owner.getByRole("button", { name: "Open it again", exact: true });
  await settle.waitFor();
  await look(owner, "gateway-copied");
  await settle.click();
  await look(owner, "gateway-copied-settle");
  await owner.getByRole("button", { name: "Keep it closed", exact: true }).click();
  expect(await settle.count()).toBe(1);
  await settle.click();
  await owner.getByRole("button", { name: "Open it again", exact: true }).last().click();
  await expect.poll(() => settle.count()).toBe(0);
  // Only now: a machine that dialled before was refused.
  home.connector = home.connect(["run"], stolen);
  await home.connector.until(isOnline, "served again");
  await owner.getByText("Online", { exact: true }).waitFor();
});
