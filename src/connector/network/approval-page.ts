/** The page that asks for the owner's passkey: whether what is served now is what this connector was built with (PROTOCOL.md PG1). */
import { createHash } from "node:crypto";
import { jsonOf } from "./dialler.ts";
import type { Answer, Dialler } from "./dialler.ts";

/** Written in by scripts/build.ts: SHA-256 of the whole page, as `sha256-<base64>`. */
declare const APPROVAL_PAGE_HASH: string | undefined;

/** @returns the hash that this program was built with, or null when it runs from source */
export function builtPageHash(): string | null {
  return typeof APPROVAL_PAGE_HASH === "string" ? APPROVAL_PAGE_HASH : null;
}

/** @returns `sha256-<base64>` of the bytes, as the build prints it */
export function pageHash(page: Uint8Array): string {
  return `sha256-${createHash("sha256").update(page).digest("base64")}`;
}

/** What was found, all that the words depend on. Null: not known, or no answer. */
export interface ServedPage {
  readonly built: string | null;
  readonly served: string | null;
  /** Versions of this program and of the control plane. */
  readonly version: string;
  readonly servedVersion: string | null;
}

/** @returns whether all is well, and a line for people that shows both hashes */
export function judgePage(found: ServedPage): { readonly isSame: boolean; readonly text: string } {
  const { built, served, version, servedVersion } = found;
  if (served === null)
    return { isSame: false, text: `it does not answer, so it cannot be compared; built with this connector: ${built ?? "unknown"}` };
  if (built === null) return { isSame: false, text: `served now: ${served}; this connector was not built with one to compare` };
  if (served === built) return { isSame: true, text: `${served}, the one that this connector was built with` };
  const both = `served now: ${served}; built with this connector: ${built}.`;
  const why =
    servedVersion === null || servedVersion === version
      ? "Somebody changed the page that asks for your passkey, or it was built anew. Use no passkey there until you know which"
      : `The control plane runs ${servedVersion}, this connector ${version}: start the connector with the command that Add gateway shows, then look again`;
  return { isSame: false, text: `${both} ${why}` };
}

/** @returns the bytes of a page as it is served, following nothing; null when there is no whole answer with status 200 */
export async function fetchServed(dialler: Dialler, url: URL): Promise<Uint8Array | null> {
  const answer = await dialler.get(url).catch(() => null);
  return answer?.status === 200 ? answer.body : null;
}

/** @returns the version that an answer of GET /healthz names, or null when it is no control plane's */
export function versionIn(answer: Answer): string | null {
  const value = jsonOf(answer) as { version?: unknown } | null;
  const version = value?.version;
  return answer.status === 200 && typeof version === "string" && /^[\w.+-]{1,40}$/.test(version) ? version : null;
}

/** @returns the control plane's version from GET /healthz, or null when nothing there says one */
export async function servedVersion(dialler: Dialler, appOrigin: string): Promise<string | null> {
  const answer = await dialler.get(new URL("/healthz", appOrigin)).catch(() => null);
  return answer === null ? null : versionIn(answer);
}

/**
 * @param found version of the running connector, of this program, and of the control plane (null: unknown)
 * @returns whether they are the same, and a line for people
 */
export function versionGap(found: { readonly own: string; readonly program: string; readonly served: string | null }): {
  readonly isSame: boolean;
  readonly text: string;
} {
  const { own, program, served } = found;
  if (own !== program) return { isSame: false, text: `the running connector is ${own}, this program ${program}: restart the connector` };
  if (served === null) return { isSame: true, text: `${own}; the control plane's is not known` };
  if (served === own) return { isSame: true, text: `${own}, as the control plane` };
  return {
    isSame: false,
    text: `this connector is ${own}, the control plane ${served}: start the connector with the command that Add gateway shows`,
  };
}
