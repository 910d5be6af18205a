/** Texts of the acts on the gateway's machine that an owner signs. */
import type { LocalActOutcome } from "../protocol/words.ts";

export const LOCAL_ACT_TEXTS = {
  whySettings: "Sign in to apply OpenClaw's settings.",
  settingsTitle: (gateway: string) => `Apply settings to “${gateway}”?`,
  settingsText: "These lines change in OpenClaw's settings. Nothing else changes. Your passkey signs exactly them.",
  settingsDiff: "Changes: + is added, - is removed",
  apply: "Apply",
  applying: "The gateway's machine applies them …",
  appliedTitle: "Settings applied",
  appliedText: "The machine checks OpenClaw once more. Then devices can connect.",
  nothingTitle: "No settings wait",
  nothingText: "They were applied already, or OpenClaw changed. The gateway's page shows how it stands.",
  hashDiffers: "The machine's answer does not fit together, so nothing was signed. Load this page again.",
  noHistory: "The gateway's machine has not told its history yet. Load this page again in a moment.",
  signsSettings: (gateway: string, lines: number) =>
    `Your passkey signs: change ${lines} ${lines === 1 ? "line" : "lines"} of OpenClaw's settings at “${gateway}”, within ten minutes, once.`,
  whySecret: "Sign in to change OpenClaw's password.",
  secretTitle: (gateway: string) => `Change OpenClaw's password at “${gateway}”?`,
  secretText: "The gateway's machine makes a new one. Nobody is shown it. Your devices stay or come back.",
  secretOthers: "Whatever else uses the old token or password stops working: apps, scripts, links.",
  change: "Change OpenClaw's password",
  changing: "The gateway's machine makes a new password …",
  changedTitle: "Password changed",
  changedText: "The old one opens nothing. Devices may connect again in a moment.",
  signsSecret: (gateway: string) => `Your passkey signs: change OpenClaw's password at “${gateway}”, within ten minutes, once.`,
  failedTitle: "Nothing was changed",
  unansweredTitle: "The machine did not answer",
  back: "Back to Gatehouse",
} as const;

/** Why an act was not done, and what helps. */
export const OUTCOME_TEXTS: Readonly<Record<Exclude<LocalActOutcome, "done">, string>> = {
  "bad-statement": "The gateway's machine could not read what was signed. Load the page again.",
  "bad-signature": "The signature does not fit. Load the page again and use your passkey once more.",
  "not-owner": "The gateway's machine does not know this passkey as an owner's. Your account page shows what helps.",
  "stale-head": "This page was made from another history of the gateway. Load it again.",
  "too-late": "The signature was too old, or a clock is wrong. Check the clocks, then sign again.",
  spent: "This signature was used already. Sign again if it is still needed.",
  alarm: "The gateway's machine raised an alarm and takes nothing from here. Run gatehouse doctor there.",
  over: "This no longer waits: somebody answered, or OpenClaw changed. Look at the gateway's page.",
  "gateway-away": "OpenClaw did not answer. Try again when it runs.",
  "not-taken": "OpenClaw refused the change. Run gatehouse doctor on the gateway's machine.",
  "from-environment": "The password comes from the environment. Change it where OpenClaw and Gatehouse are started.",
  "source-unknown": "This machine cannot see where the password is kept. Change it in OpenClaw's config on its machine.",
  "secret-reference": "OpenClaw's config only refers to the password. Change it in that secret store, then restart OpenClaw.",
  internal: "The gateway's machine failed. Run gatehouse doctor there.",
  unanswered: "The connection to the machine broke, or it took too long. Look at the gateway's page before you try again.",
};
