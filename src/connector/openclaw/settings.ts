/** The few OpenClaw settings that Gatehouse needs: planned as a diff, applied through the gateway's own RPC, restored at uninstall (openclaw.md 1.3). */
import * as z from "zod";
import { diffText, settingLines } from "../../core/trust/settings-diff.ts";
import type { SettingValues } from "../../core/trust/settings-diff.ts";
import { MAX_DROPPED_ORIGINS } from "../../protocol/limits.ts";
import type { ControlLeg } from "./rpc-client.ts";
import { settingAt } from "./auth-mode.ts";
import { GatewayRefusedError } from "./rpc-client.ts";

/** `path` is dotted, below the config's root. */
export type SettingChange = SettingValues;

const configSchema = z.object({ config: z.record(z.string(), z.unknown()), hash: z.string() });
const ORIGINS_PATH = "gateway.controlUi.allowedOrigins";
const LOOPBACK_PROXIES = ["127.0.0.1", "::1"];

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

function withAll(value: unknown, needed: readonly string[]): string[] {
  const own = strings(value);
  return [...own, ...needed.filter((each) => !own.includes(each))];
}

/** `gateway.publicOrigin` takes HTTPS, and plain HTTP only for three names of this machine. */
function mayBePublicOrigin(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

/**
 * What has to change for this gateway to be served at `origin`.
 *
 * @param config the gateway's config as `config.get` shows it
 * @param former origins that we added and no gateway here uses: they go with whatever else changes, and are no reason of their own
 * @returns the changes; empty when all is set. Arrays are merged here because the gateway replaces them.
 */
export function planSettings(config: unknown, origin: string, former: readonly string[] = []): SettingChange[] {
  const wanted: SettingChange[] = [];
  const want = (path: string, isSet: boolean, after: unknown): void => {
    if (!isSet) wanted.push({ path, before: settingAt(config, path), after });
  };
  const proxies = strings(settingAt(config, "gateway.trustedProxies"));
  want(
    "gateway.trustedProxies",
    LOOPBACK_PROXIES.every((each) => proxies.includes(each)),
    withAll(proxies, LOOPBACK_PROXIES),
  );
  const origins = strings(settingAt(config, ORIGINS_PATH));
  const published = settingAt(config, "gateway.publicOrigin");
  const isOurs = published === origin || (typeof published === "string" && former.includes(published));
  // OpenClaw allows a published origin of itself only while the list is unset.
  const theirs = !isOurs && typeof published === "string" && URL.canParse(published) ? [new URL(published).origin] : [];
  const needed = [...new Set([...theirs, origin])];
  const dropped = origins.filter((each) => !needed.includes(each) && former.includes(each)).slice(0, MAX_DROPPED_ORIGINS);
  const kept = withAll(origins.filter((each) => !dropped.includes(each)), needed); // prettier-ignore
  const areAllowed = needed.every((each) => origins.includes(each));
  want(ORIGINS_PATH, areAllowed, kept);
  want("gateway.nodes.pairing.autoApproveLocal", settingAt(config, "gateway.nodes.pairing.autoApproveLocal") === false, false);
  // One that somebody set is theirs: QR codes, join links and links in chats name it.
  if (mayBePublicOrigin(origin)) want("gateway.publicOrigin", published === origin || (published !== undefined && !isOurs), origin);
  if (wanted.length > 0 && dropped.length > 0 && areAllowed) want(ORIGINS_PATH, false, kept);
  return wanted;
}

/**
 * Origins that we once added to OpenClaw's list, for gateways that this machine is no longer.
 *
 * @param applied every change that we made here
 * @param origin of the gateway that this machine is now
 */
export function formerOrigins(applied: readonly Pick<SettingChange, "path" | "before" | "after">[], origin: string): string[] {
  const added = applied
    .filter(({ path }) => path === ORIGINS_PATH)
    .flatMap(({ before, after }) => strings(after).filter((each) => !strings(before).includes(each)));
  return [...new Set(added)].filter((each) => each !== origin);
}

function nested(changes: readonly { readonly path: string; readonly value: unknown }[]): object {
  const root: Record<string, unknown> = {};
  for (const { path, value } of changes) {
    const parts = path.split(".");
    const last = parts.pop() ?? "";
    let node = root;
    for (const part of parts) node = (node[part] ??= {}) as Record<string, unknown>;
    node[last] = value;
  }
  return root;
}

/** @returns what a config that only its own machine's tools write must hold, as JSON to paste into it */
export function settingsFragment(changes: readonly SettingChange[]): string {
  return JSON.stringify(nested(changes.map(({ path, after }) => ({ path, value: after ?? null }))), null, 2);
}

/** @returns the gateway's config now, secrets redacted by the gateway itself */
export async function readConfig(leg: ControlLeg): Promise<{ config: Record<string, unknown>; hash: string }> {
  return configSchema.parse(await leg.request("config.get", {}));
}

const CONFLICT_TRIES = 3;

/** Arrays that lose entries: the gateway drops none unless the request names the array. */
function shrinking(changes: readonly SettingChange[]): string[] {
  return changes.filter(({ before, after }) => strings(before).some((each) => !strings(after).includes(each))).map(({ path }) => path);
}

/**
 * Applies changes with the hash of what was read, again when somebody else wrote in between.
 *
 * @throws GatewayRefusedError when the gateway does not take them (read-only config, for one)
 */
export async function applySettings(
  leg: ControlLeg,
  plan: (config: Record<string, unknown>) => readonly SettingChange[],
): Promise<readonly SettingChange[]> {
  for (let tries = 1; ; tries += 1) {
    const { config, hash } = await readConfig(leg);
    const changes = plan(config);
    if (changes.length === 0) return changes;
    try {
      const raw = JSON.stringify(nested(changes.map(({ path, after }) => ({ path, value: after ?? null }))));
      const replacePaths = shrinking(changes);
      await leg.request("config.patch", { raw, baseHash: hash, ...(replacePaths.length === 0 ? {} : { replacePaths }) });
      return changes;
    } catch (error) {
      if (tries >= CONFLICT_TRIES || !(error instanceof GatewayRefusedError)) throw error;
    }
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** What a setting becomes without our change to it; of a list only our own entries go. */
function undone(current: unknown, { before, after }: SettingChange): unknown {
  if (isSame(current, after)) return before;
  if (!Array.isArray(after) || !Array.isArray(current)) return current;
  const ours = after.filter((entry) => !strings(before).includes(String(entry)));
  const rest = current.filter((entry) => !ours.includes(entry));
  return rest.length === 0 && before === undefined ? undefined : rest;
}

/**
 * What to write at uninstall: our changes taken back, the newest first, and nothing that somebody set since.
 *
 * @param applied the changes in the order in which they were made
 */
export function planRestore(config: unknown, applied: readonly SettingChange[]): SettingChange[] {
  return [...new Set(applied.map((change) => change.path))].flatMap((path) => {
    const before = settingAt(config, path);
    const after = applied.filter((change) => change.path === path).reduceRight((value, change) => undone(value, change), before);
    return isSame(before, after) ? [] : [{ path, before, after }];
  });
}

/** Whether nothing is set anywhere in a section. */
function isBare(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isBare);
}

/** What to write after `planRestore`: sections that held nothing but our settings, and are empty now, go as well. */
export function planTidy(config: unknown, applied: readonly SettingChange[]): SettingChange[] {
  const sections = applied.flatMap(({ path }) => {
    const parts = path.split(".");
    const outer = parts.slice(2).map((_, i) => parts.slice(0, i + 2).join("."));
    return outer.filter((section) => isBare(settingAt(config, section))).slice(0, 1);
  });
  return [...new Set(sections)].map((path) => ({ path, before: settingAt(config, path), after: undefined }));
}

/** @returns what goes and what comes, for people */
export function settingsDiff(changes: readonly SettingChange[]): string {
  return diffText(settingLines(changes));
}
