/** Texts about a gateway's persons and invitations. */
import type { Expiry } from "../core/trust/decision-view.ts";
import type { PersonRole } from "../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../protocol/words.ts";
import { ACCESS_TEXTS, EXPIRY_TEXTS } from "./texts.ts";

const HOUR_MS = 3_600_000;

/** @returns a time in words: as the choices are called, else in hours */
export function timeWords(ms: number): string {
  const known = (Object.keys(EXPIRY_CHOICES_MS) as Expiry[]).find((each) => EXPIRY_CHOICES_MS[each] === ms);
  return known === undefined ? `${Math.round((ms / HOUR_MS) * 100) / 100} hours` : EXPIRY_TEXTS[known];
}

/** @returns what a role is called, with everything that it says */
export function roleWords(role: PersonRole): string {
  switch (role.kind) {
    case "owner":
      return "an owner";
    case "approver":
      return `an approver, with at most “${ACCESS_TEXTS[role.maxAccess].label}” for at most ${timeWords(role.maxExpiryMs)}`;
    case "viewer":
      return "a viewer";
  }
}

export const ROLE_TEXTS: Readonly<Record<PersonRole["kind"], { readonly label: string; readonly hint: string; readonly means: string }>> = {
  owner: {
    label: "Owner",
    hint: "Everything that you can do, inviting and removing people included.",
    means: "You can do everything there: allow and cut devices, change its settings, invite and remove people.",
  },
  approver: {
    label: "Approver",
    hint: "Allows devices up to a limit, and cuts them. Invites nobody.",
    means: "You see its devices and what happens there, allow new devices up to that limit, and cut devices.",
  },
  viewer: {
    label: "Viewer",
    hint: "Sees devices and what happened. Decides nothing.",
    means: "You see its devices and what happens there. You decide nothing.",
  },
};

export const PERSON_TEXTS = {
  whyInvite: "Sign in to invite a person.",
  whyJoin: "You are invited to a gateway. Sign in, or make an account; then you see what you join, and as what.",
  whyPerson: "Sign in to decide about a person.",
  whyLeave: "Sign in to leave a gateway.",
  back: "Back to the gateway",
  toGatehouse: "To Gatehouse",

  // Inviting
  inviteTitle: (gateway: string) => `Invite a person to “${gateway}”`,
  nameLabel: "Who is it for",
  nameMissing: "Type who it is for first.",
  role: "They join as",
  highest: "Highest access they may give",
  longest: "For at most",
  make: "Make the invitation",
  madeTitle: (name: string) => `Invitation for ${name}`,
  madeText: (name: string, until: string) =>
    `Send this link to ${name}, to nobody else, in a way that only ${name} reads. It works once, until ${until}. Nothing is allowed yet: once it is accepted you confirm it here, best in this browser.`,
  linkLabel: "Link of the invitation",
  copyLink: "Copy the link",
  copied: "Copied.",
  copyRefused: "This browser does not let the page copy. Mark the link and copy it yourself.",
  tooMany: "This gateway has as many open invitations or people as it can. Withdraw one first.",
  overPolicy: "The gateway's machine does not give that much. Choose less, or raise the policy on that machine: gatehouse policy shows it.",

  // Joining
  joinTitle: (gateway: string) => `Join “${gateway}”?`,
  joinText: (role: string, gateway: string) => `You are invited to “${gateway}” as ${role}.`,
  joinAs: (name: string) => `You accept as ${name}, with the passkey that you use now. An owner confirms it afterwards.`,
  accept: "Accept",
  accepting: "Use the passkey that shall be named to the gateway.",
  otherAccount: "Use another account",
  noPasskey: "Your account has no passkey. Add one on your account page, then follow the link again.",
  notThisKey: "The key that was listed is not the one that this passkey holds. Nothing was accepted.",
  acceptedTitle: "Accepted",
  acceptedText: (gateway: string) => `An owner of “${gateway}” confirms you next. Until then you see nothing of it.`,
  wordsText: "If the owner asks for your check words, read out these twelve:",
  wordsLabel: "Twelve check words",
  confirmedTitle: (gateway: string) => `You have joined “${gateway}”`,
  hereTitle: "You are here already",
  hereText: (gateway: string) =>
    `Your account is one of the people of “${gateway}” already. The invitation is for somebody else: send it on, or use another account.`,
  overTitle: "This invitation does not work",
  overText: "It was used, withdrawn, or is too old. Ask whoever sent it for a new one.",
  codeMissing: "This address is incomplete. Follow the whole link of your invitation.",

  // Confirming
  confirmTitle: (name: string) => `Confirm ${name}?`,
  accountName: "Signs in as",
  asRole: "Joins as",
  acceptedAt: "Accepted",
  proven: "The passkey is the one that opened the link which you made in this browser.",
  notProven:
    "Do not confirm: this passkey is not the one that opened your link. Somebody may have put another one in its place. Turn it down, and make a new invitation.",
  compareText: (name: string) =>
    `This browser did not make the link, so it cannot check the passkey by itself. Call ${name} and compare these twelve words with those on their page after Accept:`,
  compared: "Their page shows the same twelve words",
  compareFirst: "Compare the words first, then tick the box.",
  refusedBefore:
    "The gateway's machine refused this passkey when it was confirmed. It may trust as many as it can, or its policy gives less.",
  confirm: "Confirm",
  confirmedText: (name: string) => `${name} has joined.`,
  turnDown: "Turn down",
  turnedDown: (name: string) => `${name} was turned down.`,
  machineAway: "The gateway's machine is away: it hears of it when it is back.",
  machineRefusedTitle: "The gateway's machine said no",
  machineRefused: "Nothing was changed there. Its policy may give less, or it may trust as many passkeys as it can.",

  // Removing
  removeTitle: (name: string) => `Remove ${name}?`,
  removeText: (name: string) =>
    `${name} sees this gateway no more and decides nothing. Devices that they opened for themselves are cut. Devices that they allowed for others stay allowed: cut those that you do not know.`,
  remove: "Remove",
  removed: (name: string) => `${name} is removed.`,
  nobody: "This person is not here any more.",
  done: "Done",

  // Leaving
  leaveTitle: (gateway: string) => `Leave “${gateway}”?`,
  leaveText:
    "You see it no more and decide nothing there. Devices that you opened for yourself are cut. To come back you must be invited again.",
  leave: "Leave",
  left: "You have left.",
  cannotLeave: "You claimed this gateway, so you cannot leave it. To hand it over, start anew on its machine; the README says how.",
} as const;
