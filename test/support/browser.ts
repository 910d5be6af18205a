/** Real Chromium for the tests: found, started, with a virtual authenticator where a person has a passkey. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import type { Browser, BrowserContext, Page } from "playwright-core";

const CANDIDATES = [
  process.env["GATEHOUSE_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** @throws Error that says how to install one */
export function chromiumPath(): string {
  const found = CANDIDATES.find((file) => file !== undefined && existsSync(file));
  if (found === undefined)
    throw new Error("No Chromium found. Install one (Debian: apt-get install chromium) or set GATEHOUSE_CHROMIUM to its path.");
  return found;
}

export async function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Ends what hangs. A door whose gateway was away looks again after 20 s, and that much later still where the machine is busy. */
const HANGS_MS = 60_000;

/** A browser profile of its own. */
export async function profile(browser: Browser, viewport = { width: 1280, height: 900 }): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport });
  context.setDefaultTimeout(HANGS_MS);
  return context;
}

/** Gives one page a platform authenticator with user verification, as a phone or laptop has. It follows the page, not the profile. */
export async function withPasskeys(page: Page): Promise<void> {
  await addAuthenticator(page, "internal");
}

/** One more authenticator for a page. `usb`: a security key, because a page has at most one platform authenticator. @returns takes it away */
export async function addAuthenticator(page: Page, transport: "internal" | "usb"): Promise<() => Promise<void>> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport,
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return async () => {
    await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  };
}
