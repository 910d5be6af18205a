import { expect, test } from "vitest";
import { applyInbox, applyNotices, mustAsk, redialMs, stepLine } from "../../../src/dashboard/inbox.ts";
import type { Line, LineEvent } from "../../../src/dashboard/inbox.ts";
import { announcement, noticeText } from "../../../src/dashboard/notice-texts.ts";
import type { Notice, WaitingCard } from "../../../src/protocol/api.ts";

function card(id: string, name = "Phone"): WaitingCard {
  return {
    id,
    gateway: "g",
    gatewayName: "Home",
    gatewayState: "online",
    device: `device-${id}`,
    requestedAccess: "full",
    claims: { name, platform: "Test", browser: "Test" },
    observed: { address: "203.0.113.1", country: null },
    createdAtMs: 1,
    lastSeenMs: 1,
    expiresAtMs: 2,
  };
}

test("cards keep the order in which devices asked; a changed one stays in its place; a decided one goes", () => {
  const two = [card("a"), card("b")];
  const three = applyInbox(two, { type: "request", request: card("c") });
  expect(three.map((each) => each.id)).toEqual(["a", "b", "c"]);
  const renamed = applyInbox(three, { type: "request", request: card("a", "Tablet") });
  expect(renamed.map((each) => `${each.id} ${each.claims.name}`)).toEqual(["a Tablet", "b Phone", "c Phone"]);
  expect(applyInbox(renamed, { type: "request-gone", gateway: "g", request: "b" }).map((each) => each.id)).toEqual(["a", "c"]);
  expect(applyInbox(renamed, { type: "list", requests: [card("z")], notices: [] }).map((each) => each.id)).toEqual(["z"]);
});

test("what changes nothing gives the same array, so that nothing is announced again", () => {
  const cards = [card("a")];
  expect(applyInbox(cards, { type: "request-gone", gateway: "g", request: "x" })).toBe(cards);
  expect(applyInbox(cards, { type: "gateway", gateway: "g", state: "online" })).toBe(cards);
  expect(applyInbox(cards, { type: "enrolment", enrolment: "e" })).toBe(cards);
});

function notice(id: string, changes: Partial<Notice> = {}): Notice {
  const device = `device-${id}`;
  const first = { id, gateway: "g", gatewayName: "Home", device, name: "Phone", access: "chat", kind: "ask" } as const;
  return { ...first, state: "granted", refusal: null, by: "Laptop key", atMs: 1, ...changes };
}

test("[NT1] the newest notice comes first; a changed one stays in its place; an answered one goes, here or elsewhere", () => {
  const two = applyNotices([notice("a")], { type: "notice", notice: notice("b") });
  expect(two.map((each) => each.id)).toEqual(["b", "a"]);
  const held = applyNotices(two, { type: "notice", notice: notice("a", { state: "lapsed" }) });
  expect(held.map((each) => `${each.id} ${"state" in each ? each.state : ""}`)).toEqual(["b granted", "a lapsed"]);
  const one = applyNotices(held, { type: "notice-gone", gateway: "g", id: "b" });
  expect(one.map((each) => each.id)).toEqual(["a"]);
  expect(applyNotices(one, { type: "notice-gone", gateway: "g", id: "b" })).toBe(one);
  expect(applyNotices(one, { type: "gateway", gateway: "g", state: "online" })).toBe(one);
  expect(applyNotices(one, { type: "list", requests: [], notices: [] })).toEqual([]);
});

test("[NT1] a notice says who was allowed where, how much, and by which passkey when that is known", () => {
  expect(noticeText(notice("a"))).toBe("Allowed Phone on “Home”: chat, by Laptop key.");
  expect(noticeText(notice("a", { by: null, access: "full", state: "refused" }))).toBe(
    "The gateway's machine refused Phone on “Home”: full control.",
  );
  expect(noticeText(notice("a", { state: "lapsed" }))).toContain("somebody sent you that link");
});

test("the newest device is announced, with the number when several wait", () => {
  expect(announcement([])).toBe("");
  expect(announcement([card("a")])).toBe("Phone asks to use “Home”.");
  expect(announcement([card("a"), card("b", "Tablet")])).toBe("Tablet asks to use “Home”. 2 devices wait.");
});

function after(...events: LineEvent[]): Line {
  return events.reduce(stepLine, { state: "connecting", closes: 0 });
}

test("one lost connection asks nothing; a second close without an opening begins to ask", () => {
  expect(mustAsk(after("opened", "closed"))).toBe(false);
  expect(mustAsk(after("opened", "closed", "closed"))).toBe(true);
  expect(mustAsk(after("closed", "closed", "opened"))).toBe(false);
});

test("offline is said only when neither socket nor question is answered, and is over with either", () => {
  expect(after("closed", "closed").state).toBe("connecting");
  expect(after("closed", "closed", "unanswered").state).toBe("offline");
  expect(after("closed", "closed", "unanswered", "closed").state).toBe("offline");
  expect(after("closed", "closed", "unanswered", "answered").state).toBe("polling");
  expect(after("closed", "closed", "unanswered", "opened").state).toBe("live");
  expect(after("opened", "unanswered").state).toBe("live");
});

test("the socket is tried again with jitter, never later than half a minute", () => {
  expect(redialMs({ state: "connecting", closes: 1 }, 0.5)).toBe(500);
  expect(redialMs({ state: "offline", closes: 500 }, 1)).toBe(30_000);
  expect(redialMs({ state: "offline", closes: 5 }, 0)).toBe(0);
});
