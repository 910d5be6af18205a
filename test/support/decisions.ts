/** What tests of decisions do again and again: a word on the gateway's machine, a device that is allowed, and an empty list to begin with. */
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { heading } from "./claimed-home.ts";
import type { ClaimedHome } from "./claimed-home.ts";
import { cli } from "./cli.ts";
import { allow, ask, review } from "./journey.ts";
import type { Event } from "./stack.ts";

/** One command on the gateway's machine. @returns exit code and JSON lines */
export async function onHost(
  home: ClaimedHome,
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly events: readonly Event[] }> {
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${home.gateway.port}`, OPENCLAW_GATEWAY_TOKEN: home.gateway.token };
  const ran = await cli([...args, "--json", "--state", home.connector.stateDir], env);
  return { code: ran.code, events: ran.json<Event>() };
}

/** The gateway's page in the owner's browser, loaded. */
export async function toHome(home: ClaimedHome): Promise<void> {
  await home.toDashboard();
  await heading(home.owner, "Home");
}

/** A device asks and the owner allows it as the page offers it. */
export async function askAndAllow(home: ClaimedHome, device: Page): Promise<void> {
  const digits = await ask(device, home.origin);
  await toHome(home);
  await review(home.owner);
  await allow(home.owner, digits);
}

/** Cuts what is allowed, and answers what is asked: each test begins with an empty list. */
export async function clean(home: ClaimedHome): Promise<void> {
  await onHost(home, "cut", "--all");
  await toHome(home);
  const button = home.owner.getByRole("button", { name: /^(?:Understood|Keep)$/ });
  const answered = async (): Promise<number> => {
    // One may go by itself in between: what it tells of was ended a moment ago.
    if ((await button.count()) > 0) await button.first().click({ timeout: 2_000 }).catch(() => undefined); // prettier-ignore
    return button.count();
  };
  await expect.poll(answered).toBe(0);
}
