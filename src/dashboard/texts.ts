/** Every text of the dashboard, so that another language is an addition. */
import type { AuditEvent, Device, EnrolmentView, Gateway, WaitingCard } from "../protocol/api.ts";
import type { Access, GatewayState } from "../protocol/words.ts";

export const STATE: Readonly<Record<GatewayState, readonly [tone: string, word: string, text: string]>> = {
  unclaimed: ["warn", "Not connected yet", "Its machine has not been connected: get a code and run one command there."],
  "no-link": ["bad", "Machine offline", "The gateway's machine is off or without internet. Switch it on or check its network."],
  offline: ["bad", "OpenClaw not running", "The machine is on, but OpenClaw does not answer there. Start it with: openclaw gateway run"],
  starting: ["warn", "Starting", "Usually done in a few seconds."],
  restarting: ["warn", "Restarting", "Devices connect again by themselves."],
  unsafe: ["bad", "Closed for safety", "Nobody is let in until this is mended."],
  online: ["good", "Online", "Devices that you allowed can connect."],
};

export const REASON: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer on its port.",
  "too-old": "This OpenClaw is older than 2026.8.1 and cannot tell strangers from local users. Update it.",
  "auth-failed": "The gateway's secret is wrong. Set OPENCLAW_GATEWAY_TOKEN on its machine and start Gatehouse there again.",
  "no-secret": "Gatehouse found no secret of OpenClaw on the machine. Set OPENCLAW_GATEWAY_TOKEN there.",
  "settings-missing": "OpenClaw lacks settings that it needs. Run `gatehouse run --yes` on its machine.",
  "settings-refused": "The needed settings were not applied. Run `gatehouse run --yes` on its machine.",
  "auth-mode": "OpenClaw's own sign-in must be a token or a password. Run `gatehouse doctor` on its machine for the cure.",
  "stranger-admitted": "The gateway would let a stranger in. Run `gatehouse doctor` on its machine for the cure.",
};

export const ACCESS: Readonly<Record<Access, string>> = { full: "Full control", chat: "Chat", look: "Look only" };

const ACTIONS: Readonly<Record<string, string>> = {
  "signed-up": "Account made",
  "signed-in": "Signed in",
  "signed-in-with-recovery-code": "Signed in with a recovery code",
  "signed-out-everywhere": "Signed out everywhere",
  "passkey-added": "Passkey added",
  "passkey-removed": "Passkey removed",
  "recovery-codes-renewed": "Recovery codes renewed",
  "recovery-key-made": "Recovery key made",
  "recovery-key-used": "Recovery key used",
  "owner-key-added": "Passkey may decide for the gateway",
  "owner-key-removed": "Passkey may no longer decide for the gateway",
  "recovery-key-set": "Recovery key told to the gateway",
  "owners-recovered": "Passkeys of the gateway changed by the recovery key",
  "owner-key-refused": "The gateway's machine refused a new passkey",
  "owner-remove-refused": "The gateway's machine refused to take a passkey out",
  "recovery-key-refused": "The gateway's machine refused a recovery key",
  "recover-refused": "The gateway's machine refused the recovery key's word",
  "log-owner-add": "Passkey added on the machine",
  "log-owner-remove": "Passkey taken out on the machine",
  "log-owner-role": "Passkey's role changed on the machine",
  "log-recovery-key": "Recovery key taken out on the machine",
  "connector-enrolled": "Machine connected to the gateway",
  "gateway-online": "Gateway online",
  "gateway-no-link": "Gateway's machine went offline",
  "gateway-unsafe": "Gateway closed for safety",
  asked: "A device asked to be allowed",
  "request-allowed": "Request answered: allowed",
  "request-denied": "Request denied",
  "request-expired": "Request ended: nobody answered",
  "request-wrong-code": "Request ended: wrong digits three times",
  "request-withdrawn": "Request withdrawn",
  "wrong-match-code": "Wrong digits typed",
  allow: "Device allowed",
  "grant-applied": "Allowance took effect on the gateway",
  "grant-refused": "The gateway's machine refused the allowance",
  "session-opened": "Device connected",
  "device-paired": "OpenClaw accepted the device",
  "device-connected": "Control page connected",
  "device-pairing-refused": "OpenClaw asked for more than a browser may have; refused",
  cut: "Device cut",
  "cut-done-on-gateway": "Device removed on the gateway",
  "token-copied": "Device frozen: its admission was used from two places",
};

export function actionText(event: AuditEvent): string {
  return ACTIONS[event.action] ?? event.action;
}

export const DEVICE_STATE: Readonly<Record<Device["state"], readonly [tone: string, text: string]>> = {
  waiting: ["warn", "Allowed, takes effect when the gateway is back"],
  allowed: ["good", "Allowed"],
  expired: ["", "Ended: its time is over"],
  cut: ["bad", "Cut"],
};

/** What the ceremony says at each state; `revealed` is said with the words. */
export const ENROLMENT: Readonly<Record<EnrolmentView["state"], readonly [tone: string, text: string]>> = {
  open: ["", "Waiting for the machine …"],
  redeemed: ["", "The machine is here. Agreeing on the words …"],
  "nonce-given": ["", "The machine is here. Agreeing on the words …"],
  revealed: ["", ""],
  done: ["good", "Connected. This machine now answers only to your passkeys."],
  failed: ["bad", "The words were not confirmed in the terminal. Nothing was connected; get a new code."],
  expired: ["bad", "The code is too old. Get a new one."],
};

export const TEXTS = {
  brand: "Gatehouse",
  skip: "Skip to content",
  navigation: "Main",
  links: { overview: "Gateways", activity: "Activity", account: "Account" },
  title: (view: string) => `${view} · Gatehouse`,
  loading: "Loading …",

  // Failures, sessions, connection
  unknown: "That did not work. Try again.",
  noNetwork: "Gatehouse cannot be reached. Check this device's network.",
  noAnswer: "Something went wrong on our side.",
  failedTitle: "That did not work",
  tryAgain: "Try again",
  offline: "No connection to Gatehouse. What you see may be old; this page tries again by itself.",
  signedOut: "You are signed out. Nothing was changed.",
  signInAgain: "Sign in again",
  storageNeeded: "This browser keeps no data for this page, so it cannot sign in. Allow site data, or use a normal window.",
  notFoundTitle: "Nothing is here",
  notFound: "This address is none of Gatehouse's, or what was here has been removed.",
  toGateways: "To your gateways",
  copied: "Copied.",
  copyRefused: "This browser does not let the page copy. Mark the text and copy it yourself.",

  // Before signing in
  welcome:
    "Reach your OpenClaw gateways from anywhere, without an open port. New devices ask; you allow them with your passkey, wherever you are.",
  signIn: "Sign in",

  // Devices that wait
  waitingTitle: (gateway: string) => `A device asks to use “${gateway}”`,
  waitingLabel: (device: string, gateway: string) => `${device} asks for ${gateway}`,
  says: "It says",
  seenFrom: "Seen from",
  wants: "Wants",
  asked: "Asked",
  review: "Review",

  // Overview
  overviewTitle: "Gateways",
  firstRun: "You have no gateway yet. In about two minutes this page shows your own:",
  firstRunSteps: [
    "Press Add gateway and give it a name.",
    "Run the one command shown, on the machine where OpenClaw runs. It needs no open port and no other software than Node.",
    "Compare four words, and open the gateway from any device.",
  ],
  addGateway: "Add gateway",
  demo: "demo gateway",
  openclaw: (version: string) => `OpenClaw ${version}`,
  connector: (version: string) => `Gatehouse ${version}`,
  devices: (count: number) => (count === 1 ? "1 device" : `${count} devices`),
  waiting: (count: number) => `${count} waiting`,
  neverSeen: "never seen",
  lastSeenAt: (when: string) => `last seen ${when}`,

  // One gateway
  gatewayTitle: "Gateway",
  open: "Open",
  addDevice: "Add device",
  connectMachine: "Connect its machine",
  connectAgain: "Connect another machine",
  connectAgainText: "For a new or newly installed machine. The machine that is connected now stays until the new one is confirmed.",
  addDeviceText: "Open this address on the other device and press “Ask the owner”. Its request appears here at once.",
  copyAddress: "Copy the address",
  devicesHeading: "Devices",
  noDevice: "No device may use this gateway yet.",
  noDeviceSteps: [
    "Press Open to use it on this device, with your passkey.",
    "For a phone or another computer press Add device, open the address there, and allow it here.",
  ],
  noDeviceOffline: "Connect the gateway's machine first; then this device and others can open it.",
  showEnded: (count: number) => (count === 1 ? "Show 1 ended device" : `Show ${count} ended devices`),
  state: "State",
  connectedNow: "connected now",
  system: "System",
  on: " on ",
  notTold: "not told",
  access: "Access",
  lastSeen: "Last seen",
  never: "never",
  ends: "Ends",
  ended: "Ended",
  rename: "Rename",
  deviceName: "Name of the device",
  saveName: "Save name",
  cancel: "Cancel",
  nameMissing: "Type a name first.",
  cut: "Cut now",
  cutTitle: (device: string) => `Cut “${device}”?`,
  cutText: "Its connections end at once, and OpenClaw forgets it. To come back it must ask again.",
  keepIt: "Keep it",
  socketsEnded: (count: number, ms: number) => `✓ Connections ended: ${count}, in ${Math.round(ms)} ms.`,
  removed: (count: number, ms: number | null) =>
    `✓ Removed on the gateway: ${count} ${count === 1 ? "entry" : "entries"}${ms === null ? "" : `, in ${Math.round(ms)} ms`}.`,
  removalWaits: "… Removal on the gateway happens as soon as it is back. Through Gatehouse the device is already out.",
  settingsHeading: "Settings",
  gatewayName: "Name of the gateway",
  renameGateway: "Rename gateway",
  renamed: "Renamed.",
  removeGateway: "Remove gateway",
  removeTitle: (gateway: string) => `Remove “${gateway}”?`,
  removeText:
    "Its address stops working and every device is cut. OpenClaw itself stays as it is; run “gatehouse uninstall” on its machine to put its settings back.",

  // Connecting a machine
  addTitle: "Add gateway",
  addText: "Give it a name. Then you run one command on the machine where OpenClaw runs; it needs no open port.",
  goOnToCode: "Continue",
  connectTitle: (gateway: string) => `Connect “${gateway}”`,
  connectPlain: "Connect a machine",
  codeText: "Run this on the machine where OpenClaw runs, as the same user.",
  codeLeft: (left: string) => `The code works once, for another ${left} minutes.`,
  codeSoon: "The code ends in less than a minute.",
  codeOver: "The code has ended. Get a new one.",
  newCode: "Get a new code",
  getCode: "Get a code",
  getCodeText: "A code connects one machine to this gateway. It works once, for ten minutes.",
  waysLabel: "Where OpenClaw runs",
  ways: {
    npx: "npx",
    docker: "Docker",
    compose: "Compose",
    kubernetes: "Kubernetes",
    windows: "Windows",
    copyCommand: "Copy the command",
    copySecond: "Copy the second command",
    copyFile: "Copy the text",
    npxRun: "In a terminal on that machine, as the user who runs OpenClaw:",
    npxNote: "Node 22.19 or newer is needed. In a script without a terminal add --yes, and confirm with --check-words.",
    dockerRun:
      "The connector joins the network of the gateway's container, so that 127.0.0.1 there is the gateway. Replace “openclaw” by that container's name, and set OPENCLAW_GATEWAY_TOKEN in this shell to the gateway's own:",
    dockerKeep: "Once it says Connected, press Ctrl-C and let it run in the background:",
    dockerNote: "The volume “gatehouse” holds the connector's key. Keep it: without it the machine must be connected again.",
    composeFile: "Add this beside the gateway's service; replace “openclaw” by that service's name:",
    composeRun: "Then connect it once, in a terminal:",
    composeUp: "Once it says Connected, press Ctrl-C and let it run:",
    kubernetesSidecar:
      "Add this container to the gateway's pod, with a persistent volume named gatehouse and the gateway's token in a secret:",
    kubernetesExec: "Then connect it once; replace “openclaw” by the name of the gateway's deployment:",
    kubernetesEnd: "Once it says Connected, press Ctrl-C: the container goes on by itself.",
    windowsWsl: "If OpenClaw runs in WSL, open its WSL terminal and run:",
    windowsNative: "If OpenClaw runs on Windows itself, run this in PowerShell:",
  },
  machine: "Machine:",
  wordsCompare: "Compare these words with the terminal, and answer there:",
  wordsSame: "The terminal shows the same four words:",
  elsewhere: "Another tab connects this machine. Go on there, or get a new code here.",
  answerDiffers: "The machine's answer does not fit what it promised. Do not go on; get a new code.",
  goOn: "Go on",
  claimTitle: "Add this gateway",
  claimWaits: "waits for its owner. Add it only if its terminal showed you this link.",
  claimUsed: "This link has been used. Look at your gateways, or start Gatehouse on the machine again for a new link.",
  claimOver: "This link is too old. Start Gatehouse on the machine again for a new one.",
  claimMissing: "This page needs the link that the machine's terminal shows. Open that link again.",
  defaultName: "My gateway",

  // Activity and account
  activityTitle: "Activity",
  nothingYet: "Nothing has happened yet. Here you see who asked, who was allowed or cut, and when.",
  by: (actor: string) => `by ${actor}`,
  older: "Show older",
  passkeysText: "Passkeys and recovery codes are kept on the page where you decide.",
  passkeys: "Passkeys and recovery codes",
  invitations: "Invitations",
  invitationsText: "An invitation lets one more person make an account here. It works once, for seven days.",
  invite: "Make an invitation",
  copyInvitation: "Copy the invitation",
  session: "Sign-in",
  signOut: "Sign out",
  signOutEverywhere: "Sign out everywhere",
  everywhereText: "“Everywhere” ends every sign-in of your account, on all devices. Allowed devices keep their access to gateways.",
} as const;

export function clock(ms: number): string {
  return new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** @returns how long ago, for people: seconds up to a day, then the date */
export function age(ms: number, nowMs: number): string {
  const passed = Math.max(0, nowMs - ms);
  if (passed < MINUTE_MS) return `${Math.round(passed / 1000)} s ago`;
  if (passed < HOUR_MS) return `${Math.round(passed / MINUTE_MS)} min ago`;
  return passed < DAY_MS ? `${Math.round(passed / HOUR_MS)} h ago` : clock(ms);
}

/** @returns how far ahead, for people: never more than is left */
export function ahead(ms: number, nowMs: number): string {
  const left = ms - nowMs;
  if (left < MINUTE_MS) return "in less than a minute";
  if (left < HOUR_MS) return `in ${Math.floor(left / MINUTE_MS)} min`;
  if (left < 2 * DAY_MS) return `in ${Math.floor(left / HOUR_MS)} h`;
  return `in ${Math.floor(left / DAY_MS)} days`;
}

/** What a screen reader hears when the waiting devices change; empty when nobody waits. */
export function announcement(cards: readonly WaitingCard[]): string {
  const newest = cards.at(-1);
  if (newest === undefined) return "";
  const text = `${newest.claims.name} asks to use “${newest.gatewayName}”.`;
  return cards.length === 1 ? text : `${text} ${cards.length} devices wait.`;
}

export function stateText(gateway: Gateway): string {
  const reason = gateway.reason === null ? "" : (REASON[gateway.reason] ?? "");
  return gateway.state === "online" ? STATE.online[2] : reason || STATE[gateway.state][2];
}
