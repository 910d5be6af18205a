/** Every text of the door, so that another language is an addition. */
import { LEG_TEXT } from "../core/link/hop-name.ts";
import type { StatusResponse } from "../protocol/door-messages.ts";
import type { GatewayState } from "../protocol/words.ts";

export const TEXTS = {
  openingTitle: "Opening",
  opening: "This device is allowed. Opening the gateway …",
  newTitle: "This device is new here",
  newText: (gateway: string) => `The owner of “${gateway}” must allow it once. Then it connects by itself.`,
  againTitle: "The owner must approve this device again",
  againText: (gateway: string) => `Another machine was connected to “${gateway}”, and it does not know this device yet.`,
  againSmall: "Keep this page open: it goes on by itself once the owner has approved it. You need not ask.",
  owner: "I am the owner",
  ask: "Ask the owner",
  again: "Ask again",
  stop: "Stop asking",
  retry: "Try again",
  waitTitle: "Waiting for the owner",
  waitText: "Tell the owner these four digits. The owner types them on a page of Gatehouse and presses Allow.",
  waitSeen: "The owner is looking at it. Tell the owner these four digits; the owner types them and presses Allow.",
  waitSmall: (clock: string) => `Asked at ${clock}. Keep this page open: it goes on by itself, also after sleep.`,
  connecting: "Connecting again …",
  allowedTitle: "Allowed",
  allowedText: "The owner allowed this device. Opening the gateway …",
  allowedSoon: "The owner allowed this device. The gateway is taking it in …",
  allowedOffline: "The owner allowed this device. It opens as soon as the gateway is back.",
  refusedTitle: "The owner said no",
  refused: "You can ask again, best after talking to the owner.",
  pausedTitle: "This device is paused",
  endedTitle: "Your access has ended",
  askAgain: "Ask again?",
  stoppedOwner: "If you are the owner, you can open the gateway here with your passkey.",
  expiredTitle: "Nobody answered",
  expired: "The request has ended because this page was silent for five minutes. Ask again when the owner has time.",
  wrongTitle: "The digits did not match",
  wrong: "Wrong digits were typed three times, so the request has ended. Ask again and read the new digits carefully.",
  replaced: "This device asked again from another page. That page shows the current digits.",
  grantRefused: "The gateway's machine did not accept the decision. Ask again; if it repeats, the owner finds the reason in Gatehouse.",
  ceilingTitle: "The gateway's machine said no",
  ceiling: "It does not give as much access, or for as long, as the owner chose. Ask again; the owner sees the reason and can choose less.",
  staleTitle: "The decision came too late",
  stale: "Something was cut on the gateway in between, so the owner must decide once more. Ask again.",
  alarmTitle: "The gateway admits nobody new",
  alarm: "Its machine raised an alarm. The owner sees in Gatehouse what it means; ask again when that is settled.",
  busyTitle: "Too many devices are waiting",
  busy: {
    address: "Two devices on your network are waiting already. Try again after the owner has decided.",
    gateway: "Three devices are waiting for the owner already. Try again in a few minutes.",
    hour: "Too many devices have asked within the last hour. Try again later.",
  },
  offlineTitle: "The gateway is away",
  unsafeTitle: "The gateway is closed for now",
  storageTitle: "This browser stores nothing",
  storage: "It cannot stay allowed, because it keeps no data for this page. Use a normal window, not a private one, and allow site data.",
  ownerAway: "The owner's own way needs the gateway; asking the owner works already now.",
  secureTitle: "This address is not secure",
  secure: "Open the https:// address of the gateway instead.",
  cookiesTitle: "This browser keeps no cookies here",
  cookies: "It was allowed, but forgot it at once. Allow cookies for this address and try again.",
  lostTitle: "This device must be allowed again",
  lost: "A part of what proves this device was lost or used elsewhere. The owner can allow it again.",
  clockTitle: "This device's clock is wrong",
  clock: "It differs from the gateway's by more than ten minutes. Set the clock and try again.",
  failedTitle: "That did not work",
  failed: "Gatehouse did not answer as expected. Try again in a moment.",
  manyTitle: "Too many tries",
  many: "This page tries again by itself in a moment.",
  networkTitle: "No connection",
  network: "This device does not reach Gatehouse. Check its internet; this page goes on by itself.",
  activationLost: "This page did not start that sign-in, so nothing was changed. Start again.",
  inAppHint: "This looks like a browser inside another app, which forgets. Open this address in your normal browser.",
  privateHint: "In a private window this is forgotten when the window closes.",
} as const;

/** @param restartExpectedMs what the gateway announced, if anything */
export function stateText(state: GatewayState, lastSeen: string | null, restartExpectedMs?: number): string {
  const seen = lastSeen === null ? "" : ` Last seen ${lastSeen}.`;
  switch (state) {
    case "online":
      return "";
    case "no-link":
      return `The gateway's machine is off or without internet.${seen} This page goes on by itself when it is back.`;
    case "offline":
      return `The gateway's machine is on, but OpenClaw is not running there.${seen} This page goes on by itself when it runs again.`;
    case "starting":
      return `The gateway is starting.${seen} This page goes on by itself.`;
    case "restarting":
      return `The gateway is restarting, ${restartExpectedMs === undefined ? "usually under a minute" : `about ${span(restartExpectedMs)}`}.${seen} This page goes on by itself.`;
    case "needs-settings":
      return `The gateway waits until its owner applies its settings.${seen} This page goes on by itself.`;
    case "unsafe":
      return `Gatehouse found that the gateway is not set up safely, so nobody is let in.${seen} The owner sees the reason in Gatehouse.`;
    case "unclaimed":
      return "No machine has been connected to this gateway yet.";
  }
}

function span(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** The status page; the sentences about a gateway that is away are `stateText`, as at the door. */
export const STATUS = {
  serving: "The gateway is serving: allowed devices can connect.",
  linkSince: "Machine connected since",
  notLinked: "not connected",
  state: "State",
  lastBreak: "Last break",
  noBreak: "none that is known",
  stale: "Gatehouse cannot be reached right now. What stands here may be old; this page tries again by itself.",
  overTitle: "This device is not let in now",
  over: "Its session has ended, or its access was taken away. Open the gateway to come in again; then this page works again, too.",
} as const;

const STATE_WORD: Readonly<Record<GatewayState, string>> = {
  online: "serving",
  starting: "starting",
  restarting: "restarting",
  offline: "offline: OpenClaw is not running",
  "no-link": "offline: its machine is away",
  "needs-settings": "waiting for its owner",
  unsafe: "closed for safety",
  unclaimed: "not connected yet",
};

/** @returns a few words for the browser's tab */
export function statusTitle(state: GatewayState): string {
  const word = STATE_WORD[state];
  return `${word[0]?.toUpperCase() ?? ""}${word.slice(1)}`;
}

/** @param at how a moment is written @returns names and values, in the order in which they are shown */
export function statusFacts(
  { gatewayState, lastSeenMs, linkSinceMs, lastBreak }: Pick<StatusResponse, "gatewayState" | "lastSeenMs" | "linkSinceMs" | "lastBreak">,
  at: (ms: number) => string,
): readonly (readonly [name: string, value: string])[] {
  const isOffline = gatewayState === "no-link" || gatewayState === "offline";
  const since = isOffline && lastSeenMs !== null ? `, since ${at(lastSeenMs)}` : "";
  return [
    [STATUS.state, `${STATE_WORD[gatewayState]}${since}`],
    [STATUS.linkSince, linkSinceMs === null ? STATUS.notLinked : at(linkSinceMs)],
    [STATUS.lastBreak, lastBreak === null ? STATUS.noBreak : `${at(lastBreak.atMs)}, ${LEG_TEXT[lastBreak.leg]}`],
  ];
}
