/** Texts of what an owner can have done on the gateway's machine. */

export const LOCAL_ACT = {
  settingsHeading: "Settings that OpenClaw needs",
  settingsText: "Its machine waits for your answer. Apply them here with your passkey, or answer in its terminal.",
  settingsDiff: "Changes: + is added, - is removed",
  apply: "Apply",
  secretText: "Somebody knows OpenClaw's token or password? Change it. Your devices stay or come back.",
  secret: "Change OpenClaw's password",
} as const;
