/** A change of OpenClaw's settings as people see it and an owner signs it: only what comes and what goes, bounded. Pure. */
import type { SettingLine } from "../../protocol/link-local-acts.ts";
import { MAX_SETTING_CHARS } from "../../protocol/limits.ts";
import { joined, tagged, toBase64url } from "../../protocol/statement-encoding.ts";
import { sha256 } from "./digests.ts";

/** One setting before and after; undefined: nothing is set. */
export interface SettingValues {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Of a list its entries, of anything else the one value. */
function valuesOf(value: unknown): readonly string[] {
  const values: readonly unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return values.map((each) => JSON.stringify(each) ?? "null");
}

function clipped(text: string): string {
  return text.length <= MAX_SETTING_CHARS ? text : `${text.slice(0, MAX_SETTING_CHARS - 1)}…`;
}

/** @returns what goes and what comes with these changes, in their order; entries of a list that stay are left out */
export function settingLines(changes: readonly SettingValues[]): SettingLine[] {
  return changes.flatMap(({ path, before, after }) => {
    const [gone, come] = [valuesOf(before), valuesOf(after)];
    const line = (change: SettingLine["change"], value: string): SettingLine => ({ path: clipped(path), change, value: clipped(value) });
    return [
      ...gone.filter((each) => !come.includes(each)).map((each) => line("remove", each)),
      ...come.filter((each) => !gone.includes(each)).map((each) => line("add", each)),
    ];
  });
}

/** @returns base64url SHA-256 of a diff: what an owner signs, and what the connector compares with its own (PROTOCOL.md SA3) */
export async function settingsHash(lines: readonly SettingLine[]): Promise<string> {
  const fields = lines.flatMap(({ path, change, value }) => [path, change, value]);
  return toBase64url(await sha256(tagged("settings", joined(fields))));
}

/** What moves with a setting, beside itself. */
const MOVES: Readonly<Record<string, string>> = {
  "gateway.publicOrigin": "\n    QR codes, join links and links in chats then name this address.",
};

/** @returns the diff for people, a line each, and what moves with it */
export function diffText(lines: readonly SettingLine[]): string {
  const text = ({ path, change, value }: SettingLine): string =>
    change === "add" ? `+ ${path}: ${value}${MOVES[path] ?? ""}` : `- ${path}: ${value}`;
  return lines.map(text).join("\n");
}
