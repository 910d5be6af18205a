/** Steps of the main journey as a person does them, in a real browser. */
import type { Page, Request } from "playwright-core";

/** Follows a claim link: makes the account on the way, keeps the recovery codes, adds the gateway. @returns the gateway's page path */
export async function claim(page: Page, claimUrl: string, name: string): Promise<string> {
  await page.goto(claimUrl);
  await signUp(page, "Ada Owner");
  await page.getByRole("button", { name: "Add gateway" }).waitFor();
  await page.getByLabel("Name of the gateway").fill(name);
  await page.getByRole("button", { name: "Add gateway" }).click();
  await signGenesis(page);
  await page.getByRole("link", { name: "Go on" }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  return new URL(page.url()).pathname;
}

/** On the approval page: signs what the terminal shows as well. @returns the four check words */
export async function signGenesis(page: Page): Promise<string> {
  await page.getByRole("heading", { name: "Compare with the terminal" }).waitFor();
  const words = await checkWordsOn(page);
  await page.getByRole("button", { name: "Sign with your passkey" }).click();
  return words;
}

/** @returns the four check words that the approval page shows */
export async function checkWordsOn(page: Page): Promise<string> {
  return (await page.locator("dt", { hasText: "Check words" }).locator("xpath=following-sibling::dd[1]").textContent()) ?? "";
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

/**
 * On the dashboard: opens the waiting card. Once it is answered, the page stays, as for a person who presses "Stay here": it would lead back by
 * itself after a pause, and an address that the test types at that very moment loses against it, sometimes without a word.
 *
 * @param leads the page leads back by itself
 */
export async function review(page: Page, { leads = false } = {}): Promise<void> {
  await page.getByRole("link", { name: "Review" }).click();
  await page.getByLabel("Four digits on the device").waitFor();
  if (leads) return;
  await page.evaluate(() => {
    const stay = (): void => {
      for (const button of document.querySelectorAll("button")) if (button.textContent === "Stay here") button.click();
    };
    new MutationObserver(stay).observe(document.body, { subtree: true, childList: true });
  });
}

export async function allow(page: Page, digits: string): Promise<void> {
  await page.getByLabel("Four digits on the device").fill(digits);
  await page.getByRole("button", { name: "Allow" }).click();
}

/**
 * Watches the stock page's own socket. Call before the page connects.
 *
 * @returns the scopes in the gateway's next hello-ok
 */
export function nextHello(page: Page): Promise<readonly string[]> {
  return new Promise((resolve) => {
    page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => {
        const text = payload.toString();
        if (!text.includes('"hello-ok"')) return;
        const frame = JSON.parse(text) as { payload?: { type?: string; auth?: { scopes?: string[] } } };
        if (frame.payload?.type === "hello-ok") resolve(frame.payload.auth?.scopes ?? []);
      });
    });
  });
}

const QUIET_MS = 500;

/**
 * Watches what the page asks for. Call before it loads. Playwright's `networkidle` waits for bodies as well, and the stock page leaves that of a
 * missing picture unread, which then never ends.
 *
 * @returns waits until every request has its answer, what was found also its body, and nothing was asked for half a second
 */
export function watchRequests(page: Page): () => Promise<void> {
  const open = new Set<Request>();
  let quiet: (() => void) | null = null;
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(timer);
    if (open.size === 0) timer = setTimeout(() => quiet?.(), QUIET_MS);
  };
  page.on("request", (request) => {
    open.add(request);
    look();
  });
  const answered = (request: Request): void => {
    open.delete(request);
    look();
  };
  page.on("response", (response) => {
    if (response.status() !== 200) answered(response.request());
  });
  page.on("requestfinished", answered);
  page.on("requestfailed", answered);
  return () =>
    new Promise((resolve) => {
      quiet = resolve;
      look();
    });
}

/** Every text that the page's sockets carried, both ways; for proving what never crosses. */
export function recordFrames(page: Page): string[] {
  const seen: string[] = [];
  page.on("websocket", (socket) => {
    socket.on("framereceived", ({ payload }) => seen.push(payload.toString()));
    socket.on("framesent", ({ payload }) => seen.push(payload.toString()));
  });
  return seen;
}
