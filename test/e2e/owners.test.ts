/** Lost and removed passkeys in a real browser: who may decide is what the machine's own key log says, and the account page leads there. */
import { execFile } from "node:child_process";
import path from "node:path";
import type { CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { node24, root } from "../../scripts/children.ts";
import { Admitted } from "../../src/connector/trust/admissions.ts";
import { loadIdentity } from "../../src/connector/trust/identity.ts";
import { KeyLog } from "../../src/connector/trust/key-log-file.ts";
import { StateFiles } from "../../src/connector/state/state-files.ts";
import type { SignedByOwner } from "../../src/protocol/statements.ts";
import { profile } from "../support/browser.ts";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, review } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { copyState, scratch } from "../support/stack.ts";
import type { Event } from "../support/stack.ts";

let home: ClaimedHome;
let laptop: Page;
/** Holds the passkey that the recovery key let in. */
let phone: Page;
/** The same person's other window, which holds only the second passkey. */
let other: Page;
let codes: string[];

/** A virtual authenticator of one page. */
interface VirtualKey {
  readonly session: CDPSession;
  readonly authenticatorId: string;
}

async function newKey(page: Page, transport: "internal" | "usb"): Promise<VirtualKey> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport, hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } as const; // prettier-ignore
  return { session, ...(await session.send("WebAuthn.addVirtualAuthenticator", { options })) };
}

/**
 * A security key that is asked for another one's passkey answers that it has none, and Chromium takes this for the person's no. So it is not
 * touched any more once it holds its passkey, which is before the page hears of it.
 */
async function asideOnceMade(page: Page, { session, authenticatorId }: VirtualKey): Promise<void> {
  await page.route("**/api/auth/passkeys", async (route) => {
    await session.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled: false });
    await route.continue();
  });
}

/** Takes an authenticator out of one window and puts it into another. */
async function carry(key: VirtualKey, to: Page): Promise<void> {
  const { session, authenticatorId } = key;
  const { credentials } = await session.send("WebAuthn.getCredentials", { authenticatorId });
  await session.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  const there = await newKey(to, "usb");
  for (const credential of credentials)
    await there.session.send("WebAuthn.addCredential", { authenticatorId: there.authenticatorId, credential });
}

async function newPage(context = profile(home.browser)): Promise<Page> {
  return await (await context).newPage();
}

async function toAccount(page: Page): Promise<void> {
  await page.goto(`${home.stack.control.approveOrigin}/account`);
}

/** The connector's own program beside the running one. @returns exit code and events */
function gatehouse(...args: readonly string[]): Promise<{ readonly code: number; readonly events: readonly Event[] }> {
  const file = path.join(root, "dist/connector/gatehouse.mjs");
  return new Promise((resolve) => {
    const child = execFile(node24, [file, ...args, "--json", "--state", home.connector.stateDir], (_error, stdout) => {
      const events = stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Event); // prettier-ignore
      resolve({ code: child.exitCode ?? -1, events });
    });
  });
}

async function trustedOnMachine(): Promise<unknown[]> {
  const [line] = (await gatehouse("owners")).events;
  return ((line?.["owners"] ?? []) as { credentialId: string }[]).map(({ credentialId }) => credentialId);
}

/** The connector's judgement of a grant, on its own files, without any room. */
async function judgement(dir: string, signed: SignedByOwner): Promise<unknown> {
  const files = new StateFiles(dir);
  return new Admitted(files, await KeyLog.open(files, loadIdentity(files)), () => Date.now()).keepGrant(signed);
}

beforeAll(async () => {
  home = await claimedHome(demoGateway, { passkeys: (page) => newKey(page, "internal") });
  laptop = home.owner;
});

afterAll(() => home?.stop());

test("[KL9] [case 29] a passkey that was removed on the account page decides no more: room and connector refuse its next grant", async () => {
  await toAccount(laptop);
  await laptop.getByText("Decides for “Home”.").waitFor();
  const ring = await newKey(laptop, "usb");
  await asideOnceMade(laptop, ring);
  await laptop.getByRole("button", { name: "Add a passkey" }).click();
  await laptop.getByRole("button", { name: "Rename Passkey 2" }).waitFor();
  await expect.poll(() => laptop.getByText("Decides for “Home”.").count()).toBe(2);
  const [first, second] = await trustedOnMachine();
  expect(second).toBeTypeOf("string");

  // The decision is open in one window; the passkey is removed in the other.
  const visitor = await newPage();
  const digits = await ask(visitor, home.origin);
  await laptop.goto(home.stack.control.appOrigin);
  await review(laptop);
  const before = await scratch();
  copyState(home.connector.stateDir, before);
  other = await newPage(Promise.resolve(laptop.context()));
  await carry(ring, other);
  await toAccount(other);
  await other.getByRole("button", { name: "Remove First passkey" }).click();
  await heading(other, "Remove First passkey?");
  await look(other, "passkey-remove-signed");
  await other.getByRole("button", { name: "Remove", exact: true }).click();
  await heading(other, "What your gateways say");
  await other.getByText("“Home”: done.").waitFor();
  await look(other, "owners-results");
  expect(await trustedOnMachine()).toEqual([second]);

  const sent = laptop.waitForRequest((request) => request.url().endsWith("/allow"));
  await allow(laptop, digits);
  const { signed } = (await sent).postDataJSON() as { signed: SignedByOwner };
  expect(signed.assertion.credentialId).toBe(first);
  await laptop.getByText("The gateway did not take this passkey's yes").waitFor();
  expect(await judgement(home.connector.stateDir, signed)).toEqual({ ok: false, refusal: "unknown-owner-key" });
  expect(await judgement(before, signed)).toEqual({ ok: true, value: null });
  await laptop.getByRole("button", { name: "Deny", exact: true }).click();
  await heading(laptop, "Denied");
  await visitor.context().close();
});

test("[KL10] every passkey lost: a recovery code only signs in; the recovery key lets the new passkey decide and takes out the lost ones", async () => {
  await other.getByRole("button", { name: "Continue" }).click();
  await other.getByRole("button", { name: "Make a recovery key" }).click();
  await heading(other, "Write down this recovery key");
  await look(other, "recovery-key");
  const paper = (await other.getByLabel("Recovery key", { exact: true }).textContent()) ?? "";
  expect(paper).toMatch(/^([a-z2-7]{4}-){8}[a-z2-7]{4}$/);
  await other.getByLabel("I have written it down").check();
  await other.getByRole("button", { name: "Continue" }).click();
  await other.getByText("“Home”: done.").waitFor();
  await other.getByRole("button", { name: "Continue" }).click();
  await other.getByText("Known to “Home”.").waitFor();
  await look(other, "account-owners");
  await other.getByRole("button", { name: "Make new recovery codes" }).click();
  await heading(other, "Keep these recovery codes");
  codes = await other.locator(".codes li").allTextContents();
  const lost = await trustedOnMachine();

  phone = await newPage();
  await newKey(phone, "internal");
  await recoverWithCode(phone, codes[0] ?? "");
  await phone.getByText("Cannot decide for “Home” yet.").waitFor();
  await phone.getByRole("button", { name: "Let Passkey 3 decide" }).click();
  await heading(phone, "Let Passkey 3 decide for your gateways");
  await look(phone, "owners-ways");
  await phone.getByRole("button", { name: "Use the recovery key" }).click();
  await heading(phone, "Use your recovery key");
  await look(phone, "recovery-key-typed");
  await phone.getByLabel("Recovery key, nine groups of four").fill(paper.replace(/^./, (char) => (char === "a" ? "b" : "a")));
  await phone.getByRole("button", { name: "Use the recovery key" }).click();
  await phone.getByText("A character is missing or wrong.").waitFor();
  expect(await trustedOnMachine()).toEqual(lost);
  await phone.getByLabel("Recovery key, nine groups of four").fill(paper.toUpperCase().replaceAll("-", " "));
  await phone.getByRole("button", { name: "Use the recovery key" }).click();
  await phone.getByText("“Home”: done.").waitFor();
  await phone.getByRole("button", { name: "Continue" }).click();
  await phone.getByText("Decides for “Home”.").waitFor();
  const now = await trustedOnMachine();
  expect(now).toHaveLength(1);
  expect(now).not.toEqual(lost);

  const visitor = await newPage();
  const digits = await ask(visitor, home.origin);
  await phone.goto(home.stack.control.appOrigin);
  await phone.getByRole("button", { name: "Sign in" }).click();
  await review(phone);
  await allow(phone, digits);
  await heading(phone, "Allowed");
  await visitor.context().close();
});

/** Signs in with a recovery code and adds a passkey that nobody confirms. */
async function recoverWithCode(page: Page, code: string): Promise<void> {
  await toAccount(page);
  await page.getByRole("button", { name: "Use a recovery code" }).click();
  await page.getByLabel("Recovery code").fill(code);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await heading(page, "Passkey added");
  await page.getByRole("link", { name: "With the recovery key or on the machine" }).click();
}

test("[KL12] neither passkey nor recovery key: the machine asks for a new passkey, after twelve words that the page shows, and an owner approves it", async () => {
  const tablet = await newPage();
  await newKey(tablet, "internal");
  await recoverWithCode(tablet, codes[1] ?? "");
  await tablet.getByRole("button", { name: "Let Passkey 4 decide" }).click();
  const command = (await tablet.getByLabel("Command for the gateway's machine").textContent()) ?? "";
  const words = (await tablet.getByLabel("Twelve words to compare").textContent()) ?? "";
  const [, ...args] = command.split(" ");
  expect(args.slice(0, 2)).toEqual(["owners", "add"]);
  const before = await trustedOnMachine();
  expect(await gatehouse(...args)).toMatchObject({ code: 3, events: [{ event: "check-words", words }, { event: "needs-confirmation" }] });
  expect((await gatehouse(...args, "--check-words", words.replace(/^\w+/, "nothing"))).code).toBe(1);
  expect(await trustedOnMachine()).toEqual(before);
  expect((await gatehouse(...args, "approver", "--max-access", "chat", "--max-days", "1", "--check-words", words)).code).toBe(0);
  expect(await trustedOnMachine()).toEqual(before);
  await phone.goto(home.stack.control.appOrigin);
  await phone.getByRole("link", { name: "Approve", exact: true }).click();
  expect(await phone.getByLabel("Twelve words to compare").textContent()).toBe(words);
  await phone.getByRole("button", { name: "Approve", exact: true }).click();
  await heading(phone, "The change is in force");
  await expect.poll(trustedOnMachine).toHaveLength(2);
  // The machine has it at once, the room a moment later, and this page does not look again by itself.
  const shown = async (): Promise<number> => {
    await toAccount(tablet);
    await heading(tablet, "Ada Owner");
    return tablet.getByText("Decides within limits, set on the machine, for “Home”.").count();
  };
  await expect.poll(shown).toBe(1);
  await look(tablet, "account-approver");
});
