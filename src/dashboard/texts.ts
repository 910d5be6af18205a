/** Every text of the dashboard, so that another language is an addition. */
import type { Device, Gateway } from "../protocol/api.ts";
import type { EnrolmentProgress } from "../protocol/enrolment-api.ts";
import type { PersonRole } from "../protocol/statements.ts";
import { MIN_OPENCLAW_VERSION } from "../protocol/version.ts";
import type { Access, GatewayState } from "../protocol/words.ts";
import { DAY_MS } from "./time-texts.ts";

export const STATE: Readonly<Record<GatewayState, readonly [tone: string, word: string, text: string]>> = {
  unclaimed: ["warn", "Not connected yet", "Its machine has not been connected: get a code and run one command there."],
  "no-link": ["bad", "Machine offline", "The gateway's machine is off or without internet. Switch it on or check its network."],
  offline: ["bad", "OpenClaw not running", "The machine is on, but OpenClaw does not answer there. Start it with: openclaw gateway run"],
  starting: ["warn", "Starting", "Usually done in a few seconds."],
  restarting: ["warn", "Restarting", "Devices connect again by themselves."],
  "needs-settings": ["warn", "Needs settings", "OpenClaw lacks settings that it needs. Until you apply them nobody is let in."],
  unsafe: ["bad", "Closed for safety", "Nobody is let in until this is mended."],
  online: ["good", "Online", "Devices that you allowed can connect."],
};

export const REASON: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer on its port.",
  "too-old": `This OpenClaw cannot tell strangers from local users. Update it to ${MIN_OPENCLAW_VERSION} or newer.`,
  "way-in-refused": "This OpenClaw does not take the way in that Gatehouse uses. Update it, or set gateway.auth.mode to password.",
  "auth-failed": "The gateway's secret is wrong. Set OPENCLAW_GATEWAY_TOKEN on its machine and start Gatehouse there again.",
  "no-secret": "Gatehouse found no secret of OpenClaw on the machine. Set OPENCLAW_GATEWAY_TOKEN there.",
  "settings-missing": "OpenClaw did not take the settings that it needs. Run `gatehouse doctor` on its machine for the cure.",
  "settings-refused": "Somebody at its machine answered no to the settings. To be asked again, start Gatehouse there again.",
  "auth-mode": "OpenClaw's own sign-in must be a token or a password. Run `gatehouse doctor` on its machine for the cure.",
  "not-local":
    "OpenClaw does not see Gatehouse as local: it probably runs in a container. Run Gatehouse in its network: Add gateway shows the Docker and Compose lines.",
  "settings-not-taken": "OpenClaw's config cannot be written from Gatehouse. Add the settings that its terminal shows to that config.",
  "connector-copied":
    "Two machines use this gateway's key and push each other out, so neither is let in. End the one that should not run, then open it again here. If the key may be stolen, connect the right machine again instead (below): that makes a new one.",
  "stranger-admitted": "The gateway would let a stranger in. Run `gatehouse doctor` on its machine for the cure.",
};

/** What an alarm of the gateway's machine means. */
export const ALARM: Readonly<Record<NonNullable<Gateway["alarm"]>["kind"], string>> = {
  "room-rolled-back":
    "Gatehouse's own record of this gateway lost entries that its machine knows: it was restored from an old copy, or somebody tampers with it.",
  "log-rolled-back":
    "Gatehouse knows entries that the gateway's machine does not have: that machine was restored from an old copy, or another one runs with its key.",
  fork: "Gatehouse and the gateway's machine know two different histories: another machine runs with its key, or somebody tampers with one of them.",
  "early-effect":
    "The gateway's machine acts on a change that no owner approved in time. Cancel it if you did not ask for it, then connect the machine again from this page.",
  "audit-rewound":
    "The audit chain lost or changed entries that the gateway's machine knows: it was restored from an old copy, or somebody tampers with it.",
};

/** @returns the heading of an alarm */
export function alarmTitle(kind: NonNullable<Gateway["alarm"]>["kind"]): string {
  return kind === "early-effect" ? "Alarm: the machine widened its own rights" : TEXTS.alarmTitle;
}

export const ACCESS: Readonly<Record<Access, string>> = { full: "Full control", chat: "Chat", look: "Look only" };

/** @returns a role with everything that it says */
export function roleText(role: PersonRole): string {
  if (role.kind !== "approver") return role.kind === "owner" ? "Owner" : "Viewer";
  const days = role.maxExpiryMs / DAY_MS;
  const time = days >= 1 ? `${Math.round(days * 100) / 100} ${days === 1 ? "day" : "days"}` : `${Math.round(days * 2400) / 100} hours`;
  return `Approver: at most ${ACCESS[role.maxAccess].toLowerCase()}, for at most ${time === "1 hours" ? "1 hour" : time}`;
}

export const DEVICE_STATE: Readonly<Record<Device["state"], readonly [tone: string, text: string]>> = {
  waiting: ["warn", "Allowed, takes effect when the gateway is back"],
  allowed: ["good", "Allowed"],
  "approve-again": ["warn", "Must be approved again"],
  suspended: ["warn", "Suspended: nothing of it connects until you let it go on"],
  expired: ["", "Ended: its time is over"],
  cut: ["bad", "Cut"],
};

/** What the owner sees of a device that the gateway's machine holds back. */

/** What the dashboard shows at each state of an enrolment. */
export const ENROLMENT: Readonly<Record<EnrolmentProgress["state"], readonly [tone: string, text: string]>> = {
  open: ["", "Waiting for the machine …"],
  redeemed: ["", "The machine is here. Compare the words and sign."],
  proposed: ["", "The machine is here. Compare the words and sign."],
  revealed: ["", "The machine is here. Compare the words and sign."],
  signed: ["", "Signed. Answer y in the terminal."],
  done: ["good", "Connected. This machine answers only to your passkey."],
  failed: ["bad", "The words were not confirmed. Nothing was connected; get a new code."],
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
  thisNetwork: "this network",
  wants: "Wants",
  asked: "Asked",
  review: "Review",

  // Was this you?
  noticeLabel: (device: string, gateway: string) => `${device} was allowed on ${gateway}`,
  noticeAsk: "Was this you? If not, cut it now.",
  noticeAskShared: "Was this right? If not, cut it now.",
  noticeOverdue: "Nobody has answered this for more than a day.",
  noticeKeep: "Keep",
  noticeCutNow: "Cut",
  noticeRead: "Understood",
  noticeCut: (device: string) => `${device} is cut.`,

  // A change that a gateway's machine asks for
  proposal: {
    label: (gateway: string) => `Change asked for on the machine of ${gateway}`,
    waits: "Nothing changes until an owner approves it.",
    until: (time: string, at: string) => `An owner can approve it now. Without an answer it takes effect ${time} (${at}).`,
    early:
      "The machine acts on it already, although no owner approved it in time. Gatehouse does not. Cancel it if you did not ask for it.",
    cancel: "Cancel",
    approve: "Approve",
    cancelled: "The change is cancelled.",
    cancelledLater: "The change is cancelled. The machine hears of it when it is back.",
  },

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
  connectedSince: (when: string) => `connected since ${when}`,
  machineClock: (difference: string) =>
    `The clock of the gateway's machine is ${difference}. Set it: decisions and sessions carry times, and from ten minutes on they are refused.`,
  machineFault: {
    "disk-full":
      "The disk of the gateway's machine is full. Approved devices still connect, but nothing new is kept. Free some space there.",
    "disk-refused":
      "The gateway's machine cannot write its state folder. Approved devices still connect, but nothing new is kept. Run gatehouse doctor there.",
    "shared-user":
      "The connector shares OpenClaw's user: programs there can imitate the host. Run gatehouse install --system there to separate them.",
  },
  lastSeenAt: (when: string) => `last seen ${when}`,

  // One gateway
  alarmTitle: "Alarm: nobody new is admitted",
  alarmText:
    "Allowed devices go on. On the gateway's machine, see what it says. When you know why, ask to resume; an owner approves it here:",
  alarmCommands: "gatehouse access-list\ngatehouse access-list resume",
  recordsHeading: "Records",
  recordsText:
    "The key log is what the gateway's machine admits by; the audit chain is what happened. Check them on any machine with: gatehouse access-list verify, gatehouse history verify.",
  exportKeyLog: "Download the key log",
  exportAudit: "Download the audit chain",
  gatewayTitle: "Gateway",

  // Cost and budget
  costHeading: "Cost",
  costText: (month: string, cost: string) => `${month}: ${cost} so far, from what was counted and the list prices.`,
  costLast: (cost: string) => `The month before: ${cost}.`,
  costSmall: (checked: string) => `Before what your plan includes. Prices as of ${checked}; an estimate from above, no bill.`,
  costDetails: "What was counted",
  costItem: "Item",
  costUnits: "Billed",
  costMoney: "Cost",
  costSource: "The platform's price list",
  counted: {
    messages: "Messages relayed in",
    exchanges: "Pages and files relayed",
    upgrades: "Connections opened",
    bytes: "Bytes relayed",
    wakes: "Wake-ups",
    rowsWritten: "Rows written",
    alarms: "Alarms",
  },
  budgetToday: (used: string, limit: string, bytes: string, byteLimit: string) =>
    `Today your allowed devices used ${used} of ${limit}, and ${bytes} of ${byteLimit}.`,
  budgetBar: "Used part of today's budget",
  budgetText:
    "The budget bounds what allowed devices may cause in one day (UTC). At 80 % you are told; when it is used up, only devices that you opened with your own passkey connect until midnight. Cutting and the door always work.",
  budgetMoney: "Dollars a day",
  budgetBytes: "Gigabytes a day",
  budgetSave: "Save budget",
  budgetSaved: "Saved.",
  budgetWrong: "Type two numbers, from 0 on: at most 1,000 dollars and 100,000 gigabytes.",
  budgetLabel: (gateway: string) => `Budget of ${gateway}`,
  budgetShow: "Show its cost",
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
  resume: "Let it go on",
  cut: "Cut now",
  cutTitle: (device: string) => `Cut “${device}”?`,
  cutText: "Its connections end at once, and OpenClaw forgets it. To come back it must ask again.",
  keepIt: "Keep it",
  socketsEnded: (count: number, ms: number) => `✓ Connections ended: ${count}, in ${Math.round(ms)} ms.`,
  removed: (count: number, ms: number | null) =>
    `✓ Removed on the gateway: ${count} ${count === 1 ? "entry" : "entries"}${ms === null ? "" : `, in ${Math.round(ms)} ms`}.`,
  removalSuperseded: "Allowed again before the gateway's machine heard of this cut. The new decision took its place there.",
  notConfirmed: {
    asking: "… Not confirmed by the gateway yet: it is being asked. Through Gatehouse the device is already out.",
    "no-link": "… Not confirmed by the gateway yet: its machine is not connected. Through Gatehouse the device is already out.",
    "no-answer":
      "… Not confirmed by the gateway yet: its machine did not answer, so its connection was closed. Through Gatehouse the device is already out.",
    "gateway-away":
      "… Not confirmed by the gateway yet: its machine has ended the connections, but OpenClaw is not running. Its entry goes as soon as it is back.",
    "not-written":
      "… Not confirmed by the gateway yet: its machine could not write the cut down. Look at its disk; it is asked again every minute.",
    "bad-receipt": "… Not confirmed by the gateway: what its machine answered does not carry its signature. Look at that machine.",
  },
  superseded: "The device was allowed again before the gateway heard of this cut.",
  saveReceipt: "Save the receipt",
  showReceipt: "Show the receipt",
  blockedHeading: "Blocked devices",
  blockedText: "They cannot ask to be let in. Unblocking lets a device ask again; it lets nobody in.",
  blockedLabel: (name: string) => `Blocked: ${name}`,
  blockedSince: (when: string) => `Blocked since ${when}`,
  blockedUntil: (when: string) => `until ${when}`,
  blockedForGood: "for good",
  unblocked: (name: string) => `${name} may ask again.`,
  blockedNow: (name: string) => `${name} is blocked for good.`,
  unblock: "Unblock",
  blockForGood: "Block for good",
  driftHeading: "On the gateway itself",
  driftText: "OpenClaw's own list of devices differs from what is allowed here:",
  driftLabel: (name: string) => `Difference: ${name}`,
  driftNone: "OpenClaw's own list of devices agrees with what is allowed here.",
  drift: {
    local: "It was paired on the gateway itself, not through Gatehouse.",
    removed: "It is allowed here, but somebody removed it on the gateway. It comes back with its next visit, unless you cut it.",
    wider: "It may do more on the gateway than Gatehouse ever approves.",
    auto: "The gateway let it in without asking anybody.",
    left: "Its access ended here, but it is still in the gateway's list.",
  },
  driftRemove: "Remove on the gateway",
  driftRemoveTitle: (name: string) => `Remove “${name}” on the gateway?`,
  driftRemoveText: "OpenClaw ends its connections and forgets it. To come back it must be paired again.",
  driftKeep: "It is fine",
  driftMay: "May do",
  driftApproved: "Approved",
  client: "Program",
  personsHeading: "People",
  placeHeading: "Your place",
  person: {
    nobody: "Only you may decide here. Invite somebody to share this gateway, or to decide while you are away.",
    invite: "Invite person",
    invited: "Invited:",
    linkEnds: (when: string) => `The link was not used yet. It ends ${when}.`,
    withdraw: "Withdraw",
    withdrawTitle: (name: string) => `Withdraw the invitation for ${name}?`,
    withdrawText: "Its link stops working.",
    waiting: (count: number) => (count === 1 ? "1 person waits for you to confirm." : `${count} people wait for you to confirm.`),
    accepted: (name: string) => `${name} accepted and waits for you.`,
    refused: "The gateway's machine refused this person's passkey. Confirm again, or turn them down.",
    account: (name: string) => `Signs in as “${name}”; accepted`,
    confirm: "Confirm",
    remove: "Remove",
    removeTitle: (name: string) => `Remove ${name}?`,
    keep: "Let them stay",
    removeViewer: "They see this gateway no more.",
    youAre: {
      owner: "You are an owner of this gateway. Somebody else claimed it.",
      approver: "You are an approver here: you allow devices up to your limit, and cut them.",
      viewer: "You are a viewer here: you see devices and what happens, and decide nothing.",
    },
    leave: "Leave",
  },
  settingsHeading: "Settings",
  gatewayName: "Name of the gateway",
  renameGateway: "Rename gateway",
  renamed: "Renamed.",
  settle: "Open it again",
  settleKeep: "Keep it closed",
  settleTitle: "Has the other machine been ended?",
  settleText:
    "Whichever machine connects next is this gateway's machine. If both still run, they fight again and the gateway closes again.",
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
  connectAnewText:
    "Its devices must be approved again afterwards, together and with one signature. Only a passkey that decides for this gateway can sign; with another one, add the machine as a new gateway.",
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
    npxRun: "In a terminal on that machine:",
    npxKeep:
      "Closing that terminal takes the gateway offline. Once it says Connected, press Ctrl-C, then make it a service with a user of its own:",
    npxNote: "Node 22.19 or newer is needed. In a script without a terminal add --yes, and confirm with --check-words.",
    version: `OpenClaw ${MIN_OPENCLAW_VERSION} or newer is needed: openclaw update brings it.`,
    packaged:
      "In October the Home Assistant add-on had 2026.7.1: update it in the add-on store. 1Panel had 2026.8.1: update it in its App Store.",
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
    kubernetesEnd: "Once it says Connected, press Ctrl-C: the container takes over.",
    windowsWsl: "On Windows OpenClaw and this command run in WSL. Open the WSL terminal and run:",
  },
  machine: "Machine:",
  compareWords: "Compare the words",
  goOn: "Go on",

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
  tokens: "API tokens",
  tokensText:
    "A token lets a script read your gateways, devices, what waits and the activity, and suspend a device. It can never let one in.",
  tokenName: "Name of the token",
  tokenDays: "Good for, in days",
  tokenMake: "Make a token",
  tokenMissing: "Type a name, and from 1 to 366 days.",
  tokenOnce: "Copy it now: it is shown this once.",
  tokenCopy: "Copy the token",
  tokenNever: "never used",
  tokenUsed: "last used",
  tokenEnds: (when: string) => `ends ${when}`,
  tokenEnded: "ended",
  tokenRevoke: "Revoke",
  tokenRevokeTitle: (name: string) => `Revoke “${name}”?`,
  tokenRevokeText: "Whatever uses it is refused from now on.",
  session: "Sign-in",
  signOut: "Sign out",
  signOutEverywhere: "Sign out everywhere",
  everywhereText: "“Everywhere” ends every sign-in of your account, on all devices. Allowed devices keep their access to gateways.",
} as const;

/** @returns the sentence under a gateway's state: why it is so, where a reason is known */
export function stateText(gateway: Gateway): string {
  const reason = gateway.reason === null ? "" : (REASON[gateway.reason] ?? "");
  return gateway.state === "online" ? STATE.online[2] : reason || STATE[gateway.state][2];
}
