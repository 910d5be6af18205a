/** `gatehouse owners`: who may decide for this gateway, said by the person at its machine. */
import { passkeyWords, readPasskey } from "../core/passkey-text.ts";
import { ownerRoleSchema } from "../protocol/key-log.ts";
import type { OwnerRole } from "../protocol/key-log.ts";
import { ownerKeySchema } from "../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../protocol/words.ts";
import { EXIT } from "./exit-codes.ts";
import { lookAtLog } from "./key-log-file.ts";
import { act } from "./lock-commands.ts";
import type { Options } from "./options.ts";
import { roleText } from "./owner-actions.ts";

const DAY_MS = 86_400_000;
const USAGE = `gatehouse owners [list]
gatehouse owners add <passkey> [owner | approver --max-access full|chat|look --max-days 0.04-90]
gatehouse owners role <passkey> owner | approver --max-access full|chat|look --max-days 0.04-90
gatehouse owners remove <passkey> | recovery-key`;

interface Ceiling {
  readonly maxAccess: string | undefined;
  readonly maxDays: string | undefined;
}

/** An owner has no ceiling but the policy; an approver's is said whole, so that nobody gets more than was meant. */
function roleOf(kind: string | undefined, { maxAccess, maxDays }: Ceiling): OwnerRole | null {
  if (kind === "owner" || kind === undefined) return maxAccess === undefined && maxDays === undefined ? { kind: "owner" } : null;
  const maxExpiryMs = Math.round(Number(maxDays) * DAY_MS);
  if (!(maxExpiryMs > 0 && maxExpiryMs <= EXPIRY_CHOICES_MS.quarter)) return null;
  const role = ownerRoleSchema.safeParse({ kind, maxAccess, maxExpiryMs });
  return role.success ? role.data : null;
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

async function list({ terminal, files }: Options): Promise<number> {
  const { ownerKeys, recovery } = await lookAtLog(files);
  for (const { credentialId, key, role } of ownerKeys) {
    const algorithm = { OKP: "EdDSA", EC: "ES256", RSA: "RS256" }[key.kty];
    terminal.say("owner", `${credentialId}  ${algorithm}  ${roleText(role)}`, {
      credentialId,
      kty: key.kty,
      role: role ?? { kind: "owner" },
    });
  }
  const text = recovery.key === null ? "No recovery key." : `Recovery key ${recovery.key.x.slice(0, 12)}…`;
  terminal.say("recovery-key", text, { recoveryKey: recovery.key });
  return EXIT.done;
}

/**
 * `owners`, `owners add|role|remove …`.
 *
 * @param words what follows the command
 * @returns the exit code
 */
export async function owners(options: Options, words: readonly string[], ceiling: Ceiling): Promise<number> {
  const [what = "list", passkey, kind] = words;
  if (what === "list") return list(options);
  if (passkey !== undefined && what === "remove")
    return act(options, passkey === "recovery-key" ? { do: "recovery-remove" } : { do: "owner-remove", credentialId: passkey });
  const role = what === "role" && kind === undefined ? null : roleOf(kind, ceiling);
  if (passkey !== undefined && role !== null && what === "add") return add(options, passkey, role);
  if (passkey !== undefined && role !== null && what === "role") return act(options, { do: "owner-role", credentialId: passkey, role });
  options.terminal.fail("usage", USAGE);
  return EXIT.usage;
}
