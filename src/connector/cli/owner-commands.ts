/** `gatehouse owners`: who may decide for this gateway, said by the person at its machine. */
import type { PinnedKey } from "../../core/trust/judge.ts";
import { matchesOf } from "../../core/words/named-match.ts";
import { passkeyWords, readPasskey } from "../../core/trust/passkey-text.ts";
import { ownerRoleSchema } from "../../protocol/key-log.ts";
import type { OwnerRole } from "../../protocol/key-log.ts";
import { ownerKeySchema } from "../../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../../protocol/words.ts";
import type { ListedOwner } from "./output.ts";
import { EXIT } from "../exit-codes.ts";
import { lookAtLog } from "../trust/key-log-file.ts";
import { act } from "./lock-commands.ts";
import type { Options } from "./options.ts";
import { roleText, waitingFacts, waitingLines } from "../trust/policy-texts.ts";

type Host = Pick<Options, "terminal" | "files">;

const DAY_MS = 86_400_000;
interface Ceiling {
  readonly maxAccess: string | undefined;
  readonly maxDays: string | undefined;
}

/**
 * An owner has no ceiling but the policy; an approver's is said whole, so that nobody gets more than was meant.
 *
 * @returns the role, or what is wrong
 */
function roleOf(kind: string | undefined, { maxAccess, maxDays }: Ceiling): OwnerRole | string {
  if (kind === "owner" || kind === undefined)
    return maxAccess === undefined && maxDays === undefined ? { kind: "owner" } : "An owner has no ceiling: leave --max-access and --max-days out, or write approver."; // prettier-ignore
  if (maxAccess === undefined || maxDays === undefined) return "An approver needs both --max-access and --max-days.";
  const maxExpiryMs = Math.round(Number(maxDays) * DAY_MS);
  const role = ownerRoleSchema.safeParse({ kind, maxAccess, maxExpiryMs });
  return role.success && maxExpiryMs > 0 && maxExpiryMs <= EXPIRY_CHOICES_MS.quarter
    ? role.data
    : "An approver's ceiling is full, chat or look, for 0.04 to 90 days.";
}

function parsePasskey(value: unknown) {
  const parsed = ownerKeySchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

async function add(options: Options, text: string, role: OwnerRole): Promise<number> {
  const { terminal, checkWords } = options;
  const key = readPasskey(text, parsePasskey);
  if (key === null) {
    terminal.fail("bad-passkey", "That is not a passkey, or not all of it. Copy the whole command from your account page.");
    return EXIT.usage;
  }
  const words = await passkeyWords(key);
  terminal.say("check-words", `Check words: ${words}`, { words, role });
  const asked = `Does your account page show the same twelve words, and shall this passkey decide here (${roleText(role)})?`;
  const typed = checkWords?.trim().toLowerCase().split(/\s+/).join(" ");
  if (typed === undefined && !terminal.isInteractive) {
    terminal.fail(
      "needs-confirmation",
      'Compare these words with your account page, then run this again with: --check-words "<words on the page>"',
    );
    return EXIT.needsConfirmation;
  }
  if (typed === undefined ? !(await terminal.confirm(asked)) : typed !== words) {
    terminal.fail("words-differ", "The words were not confirmed. Nothing was changed.");
    return EXIT.failed;
  }
  return act(options, { do: "owner-add", key, role });
}

function algorithmOf(key: PinnedKey["key"]): "EdDSA" | "ES256" | "RS256" {
  return ({ OKP: "EdDSA", EC: "ES256", RSA: "RS256" } as const)[key.kty];
}

function ownerLines(keys: readonly PinnedKey[]): string {
  return keys.map(({ credentialId, key, role }) => `${credentialId}  ${algorithmOf(key)}  ${roleText(role)}`).join("\n");
}

function listedOwners(keys: readonly PinnedKey[]): ListedOwner[] {
  return keys.map(({ credentialId, key, role }) => ({ credentialId, algorithm: algorithmOf(key), role: role ?? { kind: "owner" } }));
}

async function list({ terminal, files }: Host): Promise<number> {
  const { ownerKeys, recovery, proposals } = await lookAtLog(files);
  const text = recovery.key === null ? "No recovery key." : `Recovery key ${recovery.key.x.slice(0, 12)}…`;
  const waiting = [...proposals.values()].filter(({ change }) => change.kind === "owner-add" || change.kind === "owner-role");
  const lines = [ownerLines(ownerKeys), text, ...waitingLines(waiting, Date.now())];
  const data = { owners: listedOwners(ownerKeys), recoveryKey: recovery.key, waiting: waitingFacts(waiting) };
  terminal.say("owners", lines.join("\n"), data);
  return EXIT.done;
}

/** The passkey that somebody means. @returns its id, or the exit code */
async function chosen({ terminal, files }: Host, text: string): Promise<{ readonly credentialId: string } | number> {
  const keys = (await lookAtLog(files)).ownerKeys;
  const found = matchesOf(
    keys.map((key) => ({ id: key.credentialId, name: key.credentialId, key })),
    text,
  ).map(({ key }) => key);
  const [first, second] = found;
  if (first === undefined) {
    terminal.fail("not-found", `No passkey "${text}" here. \`gatehouse owners\` lists them.`);
    return EXIT.failed;
  }
  if (second === undefined) return { credentialId: first.credentialId };
  terminal.fail("ambiguous", `"${text}" fits several passkeys. Write more of the id:\n${ownerLines(found)}`, {
    owners: listedOwners(found),
  });
  return EXIT.usage;
}

/**
 * `owners`, `owners add|role|remove …`.
 *
 * @param words what follows the command, as the table of commands allows it
 * @returns the exit code
 */
export async function owners(options: Options, words: readonly string[], ceiling: Ceiling): Promise<number> {
  const [what = "list", passkey = "", kind] = words;
  if (what === "list") return list(options);
  if (what === "remove" && passkey === "recovery-key") return act(options, { do: "recovery-remove" });
  const role = what === "remove" ? null : roleOf(kind, ceiling);
  if (typeof role === "string") {
    options.terminal.fail("usage", role);
    return EXIT.usage;
  }
  if (what === "add" && role !== null) return add(options, passkey, role);
  const key = await chosen(options, passkey);
  if (typeof key === "number") return key;
  return act(options, role === null ? { do: "owner-remove", ...key } : { do: "owner-role", ...key, role });
}
