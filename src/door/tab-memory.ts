/** What this tab remembers while it is elsewhere: its trip to the owner, where it wanted to go, how often it opened the gateway. */
import { pathToOpen } from "../core/http/door-flow.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import { DOOR_PREFIX } from "../protocol/words.ts";

const STATE_ITEM = "gatehouse-owner-state";
const LOOP_ITEM = "gatehouse-opened-at";
const TO_ITEM = "gatehouse-to";
/** A browser that forgets the cookie at once comes back here again and again: this often in this time is a loop. */
const LOOP_OPENS = 3;
const LOOP_WINDOW_MS = 12_000;

/** Whether the door stands at its own address, not in the place of a page of the gateway. */
function isOwnAddress(): boolean {
  return location.pathname.startsWith(DOOR_PREFIX) || location.pathname === "/.gatehouse";
}

/** Where to go once allowed: this very address, or what was wanted when the owner's way began, else the gateway's start. */
export function goOn(): void {
  if (isOwnAddress()) {
    const wanted = sessionStorage.getItem(TO_ITEM);
    sessionStorage.removeItem(TO_ITEM);
    location.replace(pathToOpen(wanted));
  } else if (location.hash === "") location.replace(location.pathname + location.search);
  // With a fragment, going to the same address would only scroll.
  else location.reload();
}

/** @returns when this tab opened the gateway a moment ago, milliseconds */
export function openings(): number[] {
  const kept = (sessionStorage.getItem(LOOP_ITEM) ?? "").split(" ").map(Number);
  return kept.filter((atMs) => Date.now() - atMs < LOOP_WINDOW_MS);
}

/** Whether this browser keeps no cookie: the gateway was opened so often a moment ago that another time would end here again. */
export function isInLoop(): boolean {
  return openings().length >= LOOP_OPENS;
}

export function noteOpening(): void {
  sessionStorage.setItem(LOOP_ITEM, [...openings(), Date.now()].join(" "));
}

export function forgetOpenings(): void {
  sessionStorage.removeItem(LOOP_ITEM);
}

/** The owner's way begins. @returns what tells this tab on the way back, and the path that it wants to open then, without fragment */
export function setOut(): { readonly state: string; readonly to: string } {
  const state = toBase64url(crypto.getRandomValues(new Uint8Array(24)));
  const to = isOwnAddress() ? "/" : location.pathname + location.search;
  sessionStorage.setItem(STATE_ITEM, state);
  // The fragment stays in this tab: it may hold what only the gateway's own page should see.
  sessionStorage.setItem(TO_ITEM, isOwnAddress() ? "/" : to + location.hash);
  return { state, to };
}

/** The owner's way ends. @returns whether it began in this tab */
export function cameBack(state: string): boolean {
  const expected = sessionStorage.getItem(STATE_ITEM);
  sessionStorage.removeItem(STATE_ITEM);
  return expected === state;
}
