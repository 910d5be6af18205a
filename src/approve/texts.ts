/** Every text of the approval page, so that another language is an addition. */
import type { Expiry } from "../core/trust/decision-view.ts";
import type { GrantRefusal } from "../protocol/approval-api.ts";
import type { Access, GatewayState } from "../protocol/words.ts";

export const ACCESS_TEXTS: Readonly<Record<Access, { readonly label: string; readonly hint: string }>> = {
  full: { label: "Full control", hint: "Everything you can do, settings and other devices included." },
  chat: { label: "Chat", hint: "Talk to the agent. What the agent may do on the machine, this device can make it do." },
  look: { label: "Look only", hint: "Read everything, logs and settings included. Change nothing." },
};
export const EXPIRY_TEXTS: Readonly<Record<Expiry, string>> = { hour: "1 hour", day: "1 day", quarter: "90 days" };

/** Why a gateway cannot be opened now; empty for one that can. */
export const STATE_TEXTS: Readonly<Record<GatewayState, string>> = {
  unclaimed: "No machine has been connected to it yet.",
  "no-link": "Its machine is off or without internet.",
  offline: "Its machine is on, but OpenClaw is not running there.",
  starting: "It is starting, usually a few seconds.",
  restarting: "It is restarting, usually under a minute.",
  "needs-settings": "It waits until its owner applies OpenClaw's settings: the dashboard shows them.",
  unsafe: "It is closed for safety: the dashboard says why.",
  online: "",
};

/** Why the gateway's machine did not take a yes, and what helps. */
export const REFUSAL_TEXTS: Readonly<Record<GrantRefusal, string>> = {
  "over-ceiling":
    "Its owner policy does not give that much access, or not for so long. Choose less, or raise the policy on that machine: gatehouse policy shows it. The device has to ask again.",
  "stale-head":
    "Something was cut on this gateway after this page was opened. Look at its devices, then let the device ask again and decide anew.",
  alarm: "It raised an alarm and admits nobody new. The dashboard says what it means; on the machine, gatehouse access-list tells more.",
  "unknown-owner-key":
    "It does not know this passkey. A passkey added after a recovery code must first be confirmed by an earlier one, by your recovery key or on that machine: your account page shows the ways.",
  other: "It did not accept what was signed. Let the device ask again; if it repeats, run gatehouse doctor on that machine.",
};

export const TEXTS = {
  back: "Back to Gatehouse",
  stay: "Stay here",
  returning: (seconds: number) => `You go back to Gatehouse in ${seconds} seconds.`,
  staying: "You stay on this page.",
  tryAgain: "Try again",
  failedTitle: "That did not work",

  // Signing in
  whyDecide: "Sign in to decide about a device.",
  whyOwner: "Sign in to open your gateway on this device.",
  whyAccount: "Sign in to see your passkeys.",
  why: "Gatehouse lets you reach your gateways and decide which devices may.",
  signInTitle: "Sign in",
  signInWithPasskey: "Sign in with a passkey",
  makeAccount: "Make an account",
  useRecovery: "Use a recovery code",
  makeAccountTitle: "Make an account",
  makeAccountText: "A passkey on this device signs you in. There is no password.",
  yourName: "Your name",
  invitationCode: "Invitation code",
  makeAccountWithPasskey: "Make account with a passkey",
  haveAccount: "I have an account",
  invitationMissing: "Sign-up is by invitation here. Type the code of your invitation, or follow its link.",
  invitedTitle: (name: string) => `You are signed in as ${name}`,
  invited:
    "An invitation makes an account for one more person. Send its link to that person, or sign out here to make another account in this browser.",
  invitedLeave: "Sign out and use the invitation",
  nameMissing: "Type your name first.",
  recoveryTitle: "Use a recovery code",
  recoveryText: "Each code works once. Afterwards you add a passkey for this device.",
  recoveredTitle: "Add a passkey for this device",
  recovered: (left: number) =>
    `You are signed in. ${left} of 10 recovery codes are left. With a passkey on this device you sign in without using up another.`,
  later: "Not now",
  recoveryCode: "Recovery code",
  recoveryMissing: "Type a recovery code first.",
  signIn: "Sign in",
  goBack: "Back",
  noCookies: "This browser does not keep the sign-in. Allow cookies for this address.",

  // Recovery codes
  codesTitle: "Keep these recovery codes",
  codesText:
    "If you lose every passkey, each of these lets you in once. They are shown only now. Print them, or keep them with your other papers.",
  codesLabel: "Recovery codes",
  copy: "Copy",
  copied: "Copied.",
  copyRefused: "This browser does not let the page copy. Mark the codes and copy them yourself, or print them.",
  print: "Print",
  kept: "I have kept them in a safe place",
  keepFirst: "Keep the codes first, then tick the box.",
  goOn: "Continue",

  // What a passkey signs
  signsThisDevice: (name: string) => `this device (${name})`,
  signsGrant: (device: string, access: string, gateway: string, until: string) =>
    `Your passkey signs: ${device} may use “${gateway}” with “${access}” until ${until}.`,
  signsOwnerKey: (passkey: string) =>
    `An earlier passkey signs: “${passkey}”, just made on this device, may decide for all gateways of this account.`,
  signsOwnerKeyAgain: (passkey: string) =>
    `An earlier passkey signs: “${passkey}”, which you just used, may decide for all gateways of this account.`,
  signsOwnerRemove: (passkey: string) =>
    `A passkey that you keep signs: “${passkey}” may no longer decide for any gateway of this account, and signs nobody in.`,
  signsPerson: (name: string, role: string, gateway: string) => `Your passkey signs: ${name} joins “${gateway}” as ${role}.`,
  signsPersonRemove: (name: string, gateway: string) => `Your passkey signs: ${name} may no longer decide for “${gateway}”.`,
  signsLeave: (gateway: string) => `Your passkey signs: it may no longer decide for “${gateway}”.`,
  signsRecoveryKey:
    "A passkey that decides for your gateways signs: the recovery key that you just wrote down may let a passkey decide for all gateways of this account. One made before ends.",

  // Deciding
  decideTitle: (gateway: string) => `Allow a device on “${gateway}”?`,
  decideText: "Allow only a device that you hold, or whose screen you can see.",
  says: "What the device says",
  name: "Name",
  system: "System",
  browser: "Browser",
  wants: "Wants",
  saw: "What Gatehouse saw",
  address: "Address",
  country: "Country",
  notKnown: "not known",
  thisNetwork: "this network",
  askedAt: "Asked at",
  digits: "Four digits on the device",
  tries: (left: number) => (left === 1 ? "1 try" : `${left} tries`),
  access: "Access",
  endsAfter: "Ends after",
  residue: "Chat and Look only hold for this address. A device that reaches the gateway on another path could do more there.",
  block: "With Deny: block this device from asking again for 24 hours",
  deny: "Deny",
  allow: "Allow",
  allowing: "Allowing …",
  digitsMissing: "Type the four digits that the device shows.",
  digitsWrong: (left: number) => `Those are not the four digits on the device. ${left} ${left === 1 ? "try" : "tries"} left.`,
  digitsSpent: "Wrong digits were typed three times. The device can ask again.",
  notTogether: "The request on this page does not belong to those digits. Nothing was allowed.",
  yesRefused:
    "The gateway did not take this passkey's yes, and nothing was changed. A passkey added after a recovery code must first be confirmed: your account page shows the ways.",
  overTitle: "This request is over",
  goneText: "The device no longer asks, or another person decided already. Open its page again if it is still needed.",
  alreadyAllowed: "Somebody else has already allowed this device.",
  alreadyDenied: "Somebody else has already denied this device.",
  allowedTitle: "Allowed",
  allowedText: (device: string) => `${device} is connecting by itself.`,
  waitingTitle: "Allowed, waiting",
  waitingText: "The gateway is away. The decision takes effect as soon as it is back.",
  refusedTitle: "The gateway's machine said no",
  deniedTitle: "Denied",
  deniedText: "The device was told.",
  blockedText: "The device was told, and cannot ask again for 24 hours. The gateway's page lists it.",

  // The owner's own device
  awayTitle: (gateway: string) => `“${gateway}” is away`,
  awayText:
    "Opening it on this device must be finished within two minutes of your passkey, and only the gateway's machine can finish it. This page asks for your passkey as soon as the gateway is back.",
  ownerTitle: (gateway: string) => `Open “${gateway}” on this device?`,
  ownerText: "Do this only if you just pressed I am the owner in this browser.",
  thisDevice: "This device",
  open: "Open",
  opening: "Opening …",
  tripBrokenTitle: "This address is incomplete",
  tripBroken: "It was changed on the way, so nothing can be opened with it. Open the gateway again and press I am the owner there.",
  notYours: "This gateway is not in your account. Sign in with the account that owns it, or let its owner allow this device.",

  // Account
  passkeys: "Passkeys",
  added: (day: string) => `Added ${day}`,
  rename: (name: string) => `Rename ${name}`,
  renameTitle: (name: string) => `Rename ${name}`,
  passkeyName: "Name of the passkey",
  saveName: "Save name",
  lastPasskey: "This is your only passkey, so it cannot be removed. Add another first.",
  lastUsed: (day: string) => `last used ${day}`,
  addedTitle: "Passkey added",
  confirmEarlier: "Confirm with an earlier passkey",
  remove: (name: string) => `Remove ${name}`,
  removeTitle: (name: string) => `Remove ${name}?`,
  removeYes: "Remove",
  keep: "Keep it",
  addPasskey: "Add a passkey",
  newPasskey: (number: number) => `Passkey ${number}`,
  notEndorsed:
    "The new passkey signs you in. It cannot decide for gateways that you added before, until an earlier passkey confirms it, or your recovery key, or the gateway's machine.",
  otherWays: "With the recovery key or on the machine",
  recoveryHeading: "Recovery codes",
  codesLeft: (left: number) => `${left} of 10 are unused.`,
  newCodes: "Make new recovery codes",
  signingOut: "Signing out",
  signOut: "Sign out",
  signOutEverywhere: "Sign out everywhere",

  // Failures
  tryingAgain: "Gatehouse does not answer at the moment. Trying again …",
  noAnswer: "Gatehouse did not answer. Try again.",
  noNetwork: "Gatehouse cannot be reached. Check this device's internet and try again.",
  passkeyUnused:
    "The passkey was not used: cancelled, or none for this address is on this device. Try again, or use another way to sign in.",
  passkeyHere: "This device already holds a passkey of this account. Sign in with it.",
  passkeysUnsupported: "This browser cannot use passkeys here. Use a current browser in a normal window.",
  unknown: "That did not work. Try again.",
} as const;
