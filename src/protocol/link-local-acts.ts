/** Acts on the gateway's machine that an owner signs elsewhere: what asks for them, what carries them, what came of them (PROTOCOL.md SA). */
import * as z from "zod";
import { MAX_SETTING_CHARS, MAX_SETTING_LINES } from "./limits.ts";
import { hashSchema, localActSchema, signedByOwnerSchema } from "./statements.ts";
import { LOCAL_ACT_OUTCOMES } from "./words.ts";

/** One line of a settings diff: a value that comes or goes at a dotted path of OpenClaw's config. */
export const settingLineSchema = z.object({
  path: z.string().max(MAX_SETTING_CHARS),
  change: z.enum(["add", "remove"]),
  /** As JSON; a longer one is cut short. */
  value: z.string().max(MAX_SETTING_CHARS),
});
export type SettingLine = z.infer<typeof settingLineSchema>;

/** Settings that wait for a yes. `hash` is `settingsHash` of the lines: a page computes it again and signs that. */
export const settingsQuestionSchema = z.object({ hash: hashSchema, lines: z.array(settingLineSchema).min(1).max(MAX_SETTING_LINES) });
export type SettingsQuestion = z.infer<typeof settingsQuestionSchema>;

/** Room to connector: judge this and do it. Never owed: what finds no link is over. */
export const localActMessageSchema = z.object({
  type: z.literal("local-act"),
  id: z.string().min(1).max(64),
  signed: signedByOwnerSchema,
});

export const localActOutcomeSchema = z.enum(LOCAL_ACT_OUTCOMES);

/** Connector to room: what came of an act. `id` null: somebody did it on the machine itself. */
export const localActDoneSchema = z.object({
  type: z.literal("local-act-done"),
  id: z.string().min(1).max(64).nullable(),
  act: localActSchema,
  outcome: localActOutcomeSchema,
});
export type LocalActDone = z.infer<typeof localActDoneSchema>;
