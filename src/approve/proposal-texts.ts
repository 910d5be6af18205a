/** Texts about a change that the gateway's machine asks for. */
import type { ProposalOutcome } from "../protocol/proposals-api.ts";

type Outcome = ProposalOutcome["outcome"];

export const PROPOSAL_TEXTS = {
  why: "Sign in to decide about a change on your gateway's machine.",
  title: (gateway: string) => `A change on “${gateway}” waits for you`,
  text: "Somebody asked for it on the gateway's machine. An agent with a shell there can ask, too.",
  early: "The machine acts on this change already, although no owner approved it in time.",
  unasked: "If you did not ask for it, go back and press Cancel.",
  compare: "Approve only if your account page shows the same twelve words for that passkey.",
  wordsLabel: "Twelve words to compare",
  approve: "Approve",
  back: "Back to the gateway",
  overTitle: "Nothing waits here any more",
  overText: "An owner has answered, or a later change took its place.",
  outcomeTitle: { done: "The change is in force", waiting: "Approved, waiting", refused: "The gateway's machine said no" } satisfies Record<
    Outcome,
    string
  >,
  outcome: {
    done: "The gateway's machine has it.",
    waiting: "It takes effect when the machine is back and raises no alarm.",
    refused: "Nothing was changed. Ask for it on the machine again.",
  } satisfies Record<Outcome, string>,

  // What the passkey signs
  policy: (gateway: string, access: string, time: string) =>
    `Your passkey signs: owners of “${gateway}” may give devices up to “${access}” for at most ${time}.`,
  ownerAdd: (gateway: string, passkey: string, role: string) =>
    `Your passkey signs: passkey ${passkey} decides for “${gateway}” as ${role}.`,
  ownerRole: (gateway: string, passkey: string, role: string) => `Your passkey signs: passkey ${passkey} becomes ${role} of “${gateway}”.`,
  resume: (gateway: string) => `Your passkey signs: “${gateway}” admits new devices again, although its machine raised an alarm.`,
} as const;
