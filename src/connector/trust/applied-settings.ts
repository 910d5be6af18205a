/** OpenClaw's settings that this machine changed, in order: what `uninstall` takes back (PROTOCOL.md R17). */
import type { SettingChange } from "../openclaw/settings.ts";
import type { StateFiles } from "../state/state-files.ts";

function isSame(one: SettingChange, other: SettingChange): boolean {
  return JSON.stringify([one.path, one.before, one.after]) === JSON.stringify([other.path, other.before, other.after]);
}

/** @returns the changes that this machine made to OpenClaw's settings, in their order */
export function appliedSettings(files: StateFiles): SettingChange[] {
  return (files.read("settings") ?? []).map(({ path, before, after }) => ({ path, before, after }));
}

/** Before they are written. A change that stands as the last of its setting already is not kept twice. */
export function keepApplied(files: StateFiles, changes: readonly SettingChange[]): void {
  const kept = appliedSettings(files);
  const fresh = changes.filter((change) => {
    const last = kept.findLast((each) => each.path === change.path);
    return last === undefined || !isSame(last, change);
  });
  if (fresh.length > 0) files.write("settings", [...kept, ...fresh]);
}

/** OpenClaw refused them: they are no changes of ours. */
export function dropApplied(files: StateFiles, changes: readonly SettingChange[]): void {
  const kept = appliedSettings(files);
  const isLast = (each: SettingChange, at: number): boolean => kept.findLastIndex((other) => other.path === each.path) === at;
  const left = kept.filter((each, at) => !(isLast(each, at) && changes.some((change) => isSame(change, each))));
  if (left.length === 0) files.remove("settings");
  else if (left.length < kept.length) files.write("settings", left);
}
