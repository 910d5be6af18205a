/** Texts about who may decide for the gateways. */
import type { OwnerChangeAt } from "../protocol/approval-api.ts";

export const OWNER_TEXTS = {
  // Under each passkey
  decidesFor: (gateways: string) => `Decides for ${gateways}.`,
  approverFor: (gateways: string) => `Decides within limits, set on the machine, for ${gateways}.`,
  waitsFor: (gateways: string) => `Takes effect when the machine is back: ${gateways}.`,
  notFor: (gateways: string) => `Cannot decide for ${gateways} yet.`,
  letDecide: (name: string) => `Let ${name} decide`,

  // Passkeys that gateways trust, and the account does not have
  strangersTitle: "Still trusted by gateways",
  strangersText:
    "These passkeys are not in your account any more, but a gateway still takes their word. If you no longer hold one, take it out there, too.",
  stranger: (start: string) => `Passkey ${start}…`,
  leavingTitle: "On its way out",
  trustedBy: (gateways: string) => `Trusted by ${gateways}.`,
  leaving: (gateways: string) => `Has no say any more; the machine hears of it when it is back: ${gateways}.`,
  takeOut: (start: string) => `Take out passkey ${start}`,

  // After a change
  resultsTitle: "What your gateways say",
  outcome: {
    done: (gateway: string) => `${gateway}: done.`,
    waiting: (gateway: string) => `${gateway}: its machine is away. It takes effect there as soon as the machine is back.`,
    refused: (gateway: string) =>
      `${gateway}: refused, because this gateway does not trust the key that signed. Nothing was changed there.`,
  } satisfies Record<OwnerChangeAt["outcome"], (gateway: string) => string>,
  goOn: "Continue",

  // Ways for a passkey that no gateway trusts
  waysTitle: (name: string) => `Let ${name} decide for your gateways`,
  waysText:
    "It signs you in. A gateway takes its word only after somebody whom the gateway trusts already has said so: signing in is not enough, so that a stolen sign-in cannot let devices in.",
  wayEarlier: "With an earlier passkey",
  wayEarlierText: "You use this passkey first, then one that decides already.",
  confirmEarlier: "Confirm with an earlier passkey",
  wayPaper: "With your recovery key",
  wayPaperText: "If the earlier passkeys are lost.",
  wayPaperMissing: "You have no recovery key. Make one as soon as a passkey decides again.",
  useRecoveryKey: "Use the recovery key",
  wayHost: "On the gateway's machine",
  wayHostText:
    "Run this on the machine of each gateway; it shows the same twelve words. An owner's passkey must approve it then, and no passkey comes in by time alone.",
  hostCommand: (word: string) => `gatehouse owners add ${word}`,
  hostCommandLabel: "Command for the gateway's machine",
  hostWordsLabel: "Twelve words to compare",
  copy: "Copy command",
  copied: "Copied.",
  copyRefused: "This browser does not let the page copy. Mark the command and copy it yourself.",
  back: "Back to your passkeys",
  proveNew: "Use the passkey that shall decide, so that the page knows its key.",
  notThisKey: "The key that was listed is not the one that this passkey holds. Nothing was confirmed.",

  // Recovery key
  recoveryHeading: "Recovery key for your gateways",
  recoveryNone:
    "You have none. It lets a new passkey decide for your gateways when all others are lost; it can do nothing else. Recovery codes only sign you in.",
  recoveryHave: "You have one on paper.",
  recoveryPinned: (gateways: string) => `Known to ${gateways}.`,
  recoveryWaits: (gateways: string) => `Takes effect when the machine is back: ${gateways}.`,
  recoveryUnknown: (gateways: string) => `Not known to ${gateways}: make a new one with a passkey that decides there.`,
  makeRecoveryKey: "Make a recovery key",
  newRecoveryKey: "Make a new recovery key",
  paperTitle: "Write down this recovery key",
  paperText:
    "It is shown only now and kept nowhere. Whoever has it can let a passkey decide for your gateways: keep it with your other papers, away from your devices. A recovery key that you made before ends with this one.",
  paperLabel: "Recovery key",
  print: "Print",
  kept: "I have written it down and keep it in a safe place",
  keepFirst: "Write it down first, then tick the box.",
  noEd25519: "This browser cannot make or use a recovery key. Use a current browser.",
  typeTitle: "Use your recovery key",
  typeText: (name: string) => `It lets ${name} decide for your gateways. You use that passkey once, then the key takes effect.`,
  typeLabel: "Recovery key, nine groups of four",
  lostLegend: "Passkeys that are lost, and shall decide no more",
  recoveryMissing: "Type the recovery key first.",
  recoveryMistyped: "A character is missing or wrong. Compare it with the paper, group by group.",

  // Removal
  removeText:
    "It no longer signs you in, and no gateway takes its word any more. Another of your passkeys must say so. Devices that you allowed with it stay allowed: cut those that you do not know.",
} as const;
