/** Several people on one gateway in a real browser: invited by a link, confirmed by a signature, bounded by a ceiling, gone when removed. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { profile, withPasskeys } from "../support/browser.ts";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, review, signUp } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;
let ann: Page;

async function newPage(): Promise<Page> {
  const page = await (await profile(home.browser)).newPage();
  await withPasskeys(page);
  return page;
}

async function toGateway(page: Page): Promise<void> {
  await page.goto(home.stack.control.appOrigin + home.gatewayPath);
  await heading(page, "Home");
}

/** From the gateway's page. @returns the invitation's link */
async function invite(name: string, choose: (page: Page) => Promise<void>): Promise<string> {
  await toGateway(owner);
  await owner.getByRole("link", { name: "Invite person" }).click();
  await heading(owner, "Invite a person to “Home”");
  await owner.getByLabel("Who is it for").fill(name);
  await choose(owner);
  await owner.getByRole("button", { name: "Make the invitation" }).click();
  await heading(owner, `Invitation for ${name}`);
  return (await owner.getByLabel("Link of the invitation").textContent()) ?? "";
}

/** Follows a link, makes an account and accepts. @returns the page and its check words */
async function accept(link: string, account: string): Promise<{ page: Page; words: string }> {
  const page = await newPage();
  await page.goto(link);
  await signUp(page, account);
  await heading(page, "Join “Home”?");
  await page.getByRole("button", { name: "Accept" }).click();
  await heading(page, "Accepted");
  return { page, words: (await page.getByLabel("Twelve check words").textContent()) ?? "" };
}

beforeAll(async () => {
  // Only the first account may make itself: everybody else needs an invitation.
  home = await claimedHome(demoGateway, { vars: { SIGN_UP: "first" } });
  owner = home.owner;
});

afterAll(() => home?.stop());

test("[PE2] [PE3] [PE4] an invited approver signs up by the link, accepts, is nobody until the owner confirms with a passkey, and then sees the gateway", async () => {
  await toGateway(owner);
  await owner.getByText("Only you may decide here.").waitFor();
  await look(owner, "people-none");
  const link = await invite("Ann", async (page) => {
    await page.getByLabel("Chat").check();
    await page.getByLabel("1 hour").check();
    await look(page, "people-invite");
  });
  expect(link).toContain("/join#invite=gthi_");
  await look(owner, "people-invitation-made");

  ann = await newPage();
  await ann.goto(link);
  await look(ann, "people-join-sign-up");
  await signUp(ann, "Ann Example");
  await heading(ann, "Join “Home”?");
  await ann.getByText("You are invited to “Home” as an approver, with at most “Chat” for at most 1 hour.").waitFor();
  await look(ann, "people-join");
  await ann.getByRole("button", { name: "Accept" }).click();
  await heading(ann, "Accepted");
  await look(ann, "people-accepted");
  await ann.getByRole("link", { name: "To Gatehouse" }).click();
  await heading(ann, "Gateways");
  await ann.getByText("You have no gateway yet.").waitFor();

  // A link that was used says so to whoever comes second.
  const second = await newPage();
  await second.goto(link);
  await second.getByLabel("Your name").fill("Eve");
  await second.getByRole("button", { name: "Make account with a passkey" }).click();
  await second.getByText("Sign-up is by invitation here.").waitFor();
  await second.context().close();

  await owner.goto(home.stack.control.appOrigin);
  await owner.getByText("1 person waits for you to confirm.").waitFor();
  await toGateway(owner);
  await owner.getByText("Ann accepted and waits for you.").waitFor();
  await look(owner, "people-accepted-owner");
  await owner.getByRole("link", { name: "Confirm" }).click();
  await heading(owner, "Confirm Ann?");
  await owner.getByText("The passkey is the one that opened the link which you made in this browser.").waitFor();
  await owner.getByText("Your passkey signs: Ann joins “Home” as an approver, with at most “Chat” for at most 1 hour.").waitFor();
  await look(owner, "people-confirm");
  await owner.getByRole("button", { name: "Confirm" }).click();
  await heading(owner, "Ann has joined.");
  await owner.getByRole("link", { name: "Back to the gateway" }).click();
  await owner.getByText("Approver: at most chat, for at most 1 hour").waitFor();
  await look(owner, "people-confirmed");

  // Her open page hears of it by itself.
  await ann.getByRole("link", { name: "Home" }).click();
  await heading(ann, "Home");
  await ann.getByText("You are an approver here").waitFor();
  expect(await ann.getByRole("link", { name: "Invite person" }).count()).toBe(0);
  expect(await ann.getByRole("button", { name: "Remove gateway" }).count()).toBe(0);
  await look(ann, "people-gateway-approver");
});

test("[PE1] [PE4] the approver allows a device within the ceiling, and is offered and given nothing above it; the owner hears who it was", async () => {
  const visitor = await newPage();
  const digits = await ask(visitor, home.origin);
  await review(ann);
  for (const label of ["Full control", "1 day", "90 days"]) expect(await ann.getByLabel(label).count()).toBe(0);
  await look(ann, "people-decide-approver");
  // A page that asks for more than it offers: the signature is good, the ceiling is not.
  await ann.locator('input[name="access"][value="chat"]').evaluate((input) => input.setAttribute("value", "full"));
  await allow(ann, digits);
  await ann.getByText("The gateway did not take this passkey's yes").waitFor();
  await ann
    .locator('input[name="access"]')
    .first()
    .evaluate((input) => input.setAttribute("value", "chat"));
  // The owner has the same card open, and comes too late.
  await owner.goto(home.stack.control.appOrigin);
  await review(owner);
  await allow(ann, digits);
  await heading(ann, "Allowed");
  await allow(owner, digits);
  await heading(owner, "This request is over");
  await owner.getByText("Somebody else has already allowed this device.").waitFor();
  await look(owner, "people-already-allowed");
  await owner.goto(home.stack.control.appOrigin);
  await owner.getByText(/Allowed .* on “Home”: chat, by Ann\./).waitFor();
  await owner.getByText("Was this right? If not, cut it now.").waitFor();
  await visitor.getByText("Connected. This device may").waitFor();
  await visitor.context().close();
});

test("[PE3] [PE4] without the link's secret owner and guest compare twelve words; a passkey that was put in between is not confirmed", async () => {
  const link = await invite("Ben", async (page) => {
    await page.getByLabel("Viewer").check();
    await look(page, "people-invite-viewer");
  });
  const { page: ben, words } = await accept(link, "Ben Example");
  await toGateway(owner);
  const confirm = owner.locator("li", { hasText: "Ben accepted" }).getByRole("link", { name: "Confirm" });
  const address = (await confirm.getAttribute("href")) ?? "";

  // What a hostile database or relay would answer: the same person with another key.
  await owner.goto(address);
  await owner.getByText("The passkey is the one that opened the link").waitFor();
  const path = `/api/decisions/${home.gatewayPath.split("/").at(-1)}/persons`;
  const seen = await owner.evaluate((from) => fetch(from).then((answer) => answer.json()), path);
  const swapped = JSON.parse(JSON.stringify(seen)) as { persons: { name: string; passkey: { credentialId: string } }[] };
  for (const each of swapped.persons) if (each.name === "Ben") each.passkey.credentialId = "c3dhcHBlZA";
  await owner.route(`**${path}`, (route) => route.fulfill({ json: swapped }));
  await owner.reload();
  await owner.getByText("Do not confirm: this passkey is not the one that opened your link.").waitFor();
  expect(await owner.getByRole("button", { name: "Confirm" }).count()).toBe(0);
  await look(owner, "people-confirm-swapped");
  // And in a browser that did not make the link the words differ.
  await owner.evaluate(() => localStorage.clear());
  await owner.reload();
  expect(await owner.getByLabel("Twelve check words").textContent()).not.toBe(words);
  await owner.unroute(`**${path}`);
  await owner.reload();
  await heading(owner, "Confirm Ben?");
  expect(await owner.getByLabel("Twelve check words").textContent()).toBe(words);
  await owner.getByRole("button", { name: "Confirm" }).click();
  await owner.getByText("Compare the words first, then tick the box.").waitFor();
  await look(owner, "people-confirm-words");
  await owner.getByLabel("Their page shows the same twelve words").check();
  await owner.getByRole("button", { name: "Confirm" }).click();
  await heading(owner, "Ben has joined.");

  await ben.getByRole("link", { name: "To Gatehouse" }).click();
  await ben.getByRole("link", { name: "Home" }).click();
  await ben.getByText("You are a viewer here").waitFor();
  for (const name of ["Cut now", "Rename"]) expect(await ben.getByRole("button", { name }).count()).toBe(0);
  await look(ben, "people-gateway-viewer");
  await ben.getByRole("link", { name: "Leave" }).click();
  await heading(ben, "Leave “Home”?");
  await look(ben, "people-leave");
  await ben.getByRole("button", { name: "Leave" }).click();
  await heading(ben, "You have left.");
  await ben.context().close();
});

test("[PE5] a removed approver loses the open dashboard and the open decision at once", async () => {
  const visitor = await newPage();
  const digits = await ask(visitor, home.origin);
  await toGateway(ann);
  await review(ann);
  const watching = await ann.context().newPage();
  await toGateway(watching);
  await toGateway(owner);
  await owner.getByRole("link", { name: "Remove", exact: true }).click();
  await heading(owner, "Remove Ann?");
  await owner.getByText("Your passkey signs: Ann may no longer decide for “Home”.").waitFor();
  await look(owner, "people-remove");
  await owner.getByRole("button", { name: "Remove" }).click();
  await heading(owner, "Ann is removed.");
  await heading(watching, "Nothing is here");
  await allow(ann, digits);
  await ann.getByRole("alert").waitFor();
  await watching.goto(home.stack.control.appOrigin);
  await watching.getByText("You have no gateway yet.").waitFor();
  await owner.getByRole("link", { name: "Back to the gateway" }).click();
  await owner.getByText("Only you may decide here.").waitFor();
  await owner.goto(`${home.stack.control.appOrigin}/activity`);
  for (const text of [
    "Person invited: Ann",
    "Invitation accepted, waits for an owner: Ann",
    "Person confirmed: Ann",
    "Person removed: Ann",
  ])
    await owner.getByText(text).waitFor();
  await look(owner, "people-activity");
  await visitor.context().close();
});
