/** `gatehouse restore`: a machine that came back from a backup takes over the entries of its key log that the backup lacks. */
import { existsSync, readFileSync } from "node:fs";
import { readGrant } from "../../core/trust/statement.ts";
import { judgeRestore } from "../../core/trust/restored-log.ts";
import type { RestoreProblem } from "../../core/trust/restored-log.ts";
import type { KeyLogEntry } from "../../protocol/key-log.ts";
import { EXIT } from "../exit-codes.ts";
import { loadIdentity } from "../trust/identity.ts";
import { KeyLog, splitLog } from "../trust/key-log-file.ts";
import type { Options } from "./options.ts";
import { limitsText, roleText } from "../trust/policy-texts.ts";
import { takeState } from "../state/state-lock.ts";

const ID_CHARS = 12;

const PROBLEM_TEXTS = {
  "other-gateway": "it is another gateway's key log",
  fork: "it has other entries where this machine's own log has its own: two histories of one gateway. Connect the machine anew from the gateway's page",
  "nothing-new": "this machine has all of its entries already",
  rotated:
    "this machine's key was changed after the backup, and the new one is not here. Connect the machine anew from the gateway's page: its devices can then be approved together",
} as const;

function problemText(problem: RestoreProblem): string {
  return problem.problem === "fault" ? `entry ${problem.seq} does not verify (${problem.why})` : PROBLEM_TEXTS[problem.problem];
}

function short(credentialId: string): string {
  return `${credentialId.slice(0, ID_CHARS)}…`;
}

/** @returns what an entry changed, for people */
function entryText({ body }: KeyLogEntry): string {
  switch (body.type) {
    case "grant": {
      const grant = readGrant(body.signed.statement)?.body;
      return grant === undefined
        ? "grant"
        : `approved ${grant.name}, ${grant.access} access until ${new Date(grant.notAfterMs).toISOString()}`;
    }
    case "revoke":
      return `cut device ${body.device}`;
    case "revoke-all":
      return "cut every device";
    case "policy":
      return `policy ${limitsText(body.policy)}`;
    case "owner-add":
      return `passkey ${short(body.key.credentialId)} decides as ${roleText(body.role)}`;
    case "owner-remove":
      return `passkey ${short(body.credentialId)} taken out`;
    case "owner-role":
      return `passkey ${short(body.credentialId)} is ${roleText(body.role)}`;
    default:
      return body.type;
  }
}

/**
 * Verifies the file, shows what it adds, and appends that after a yes.
 *
 * @param file the key log as the gateway's page exports it
 * @returns the exit code
 */
export async function restore(options: Options, file: string): Promise<number> {
  const { terminal, files } = options;
  if (!existsSync(file)) {
    terminal.fail("not-found", `There is no file ${file}.`);
    return EXIT.failed;
  }
  const lock = await takeState(files.dir);
  if (!lock.isMine) {
    terminal.fail("running", "The connector is running. Stop it first, then run this again.");
    return EXIT.failed;
  }
  try {
    return await adopt(options, file);
  } finally {
    await lock.release(null);
  }
}

async function adopt({ terminal, files, yes }: Options, file: string): Promise<number> {
  const log = await KeyLog.open(files, loadIdentity(files));
  const { lines, torn } = splitLog(readFileSync(file, "utf8"));
  const judged = await judgeRestore(log.state, torn === "" ? lines : [...lines, torn]);
  if ("problem" in judged) {
    terminal.fail("restore", `${file} was not taken over: ${problemText(judged)}.`, { ...judged });
    return judged.problem === "rotated" ? EXIT.refused : EXIT.failed;
  }
  const { entries, state } = judged;
  const rows = entries.map((entry) => `  ${entry.seq}  ${new Date(entry.atMs).toISOString()}  ${entryText(entry)}`);
  const added = entries.map(({ seq, atMs, body }) => ({ seq, atMs, type: body.type }));
  const count = entries.length === 1 ? "1 entry" : `${entries.length} entries`;
  terminal.say("restore", `${file} verifies, and goes on where this machine's own log ends. It adds ${count}:\n${rows.join("\n")}`, {
    added,
  });
  if (!yes && !(terminal.isInteractive && (await terminal.confirm(`Take over ${count}?`)))) {
    terminal.fail("needs-confirmation", "Nothing was changed. Run again with --yes.");
    return EXIT.needsConfirmation;
  }
  await log.adopt(judged.lines);
  const next = "End any other copy of this machine. Then press Let this copy in on the gateway's page, and start it here: gatehouse run";
  terminal.say("restored", `Taken over: ${state.head.seq + 1} entries. ${next}`, { entries: entries.length, head: state.head });
  return EXIT.done;
}
