/** `gatehouse history`: the anchored head, and the offline check of an exported chain. */
import { closeSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { isAuditFault, verifyAudit } from "../../core/trust/audit-chain.ts";
import { auditHeadSchema } from "../../protocol/audit.ts";
import type { AuditHead } from "../../protocol/audit.ts";
import { anchoredHead } from "../link/audit-anchor.ts";
import { EXIT } from "../exit-codes.ts";
import type { StateFiles } from "../state/state-files.ts";
import type { Terminal } from "./terminal.ts";

interface Host {
  readonly terminal: Terminal;
  readonly files: StateFiles;
}

const CHUNK_BYTES = 64 * 1024;

/** Lines of a file without holding it whole; a last line without line feed counts, too. */
function* linesOf(file: string): Generator<string> {
  const handle = openSync(file, "r");
  const decoder = new StringDecoder("utf8");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let rest = "";
  try {
    for (let bytes = readSync(handle, chunk); bytes > 0; bytes = readSync(handle, chunk)) {
      const parts = (rest + decoder.write(chunk.subarray(0, bytes))).split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
    }
  } finally {
    closeSync(handle);
  }
  rest += decoder.end();
  if (rest !== "") yield rest;
}

/** @returns the head in `<seq>:<hash>`, or null when it is no head */
function parseHead(text: string): AuditHead | null {
  const match = /^(\d{1,15}):(.+)$/.exec(text);
  const parsed = auditHeadSchema.safeParse({ seq: Number(match?.[1] ?? Number.NaN), hash: match?.[2] });
  return parsed.success ? parsed.data : null;
}

const PROBLEM_TEXTS = {
  "not-canonical": "it is not an entry as Gatehouse writes them",
  "wrong-place": "another entry belongs here: one was dropped, added or moved",
  "chain-broken": "it does not follow the row before it, which was changed",
  changed: "its contents were changed",
  "wrong-gateway": "this is another gateway's chain",
  "wrong-order": "it is older than the row before it",
  "tail-missing": "the chain ends here, but entries behind it are known",
  "other-head": "another entry is known in this place: the chain was rewritten",
} as const;

/**
 * `history`, `history verify <file> [--head seq:hash]`.
 *
 * @param file what is to be verified; without one, what this machine knows is shown
 * @returns the exit code
 */
export function history(host: Host, file: string | undefined, head: string | undefined): number {
  const { terminal, files } = host;
  const gateway = files.read("gateway")?.gateway;
  const anchored = gateway === undefined ? null : anchoredHead(files, gateway);
  if (file === undefined) {
    const text =
      anchored === null ? "This machine knows no entry of the history yet." : `Last known entry: ${anchored.seq}:${anchored.hash}`;
    terminal.say("history", text, { head: anchored });
    return EXIT.done;
  }
  const given = head === undefined ? null : parseHead(head);
  if (head !== undefined && given === null) {
    terminal.fail("usage", `--head takes <seq:hash>, as \`gatehouse history\` prints it, not "${head}".`);
    return EXIT.usage;
  }
  return verify(terminal, file, {
    // On the gateway's own machine the export must be this gateway's, and reach what is anchored; elsewhere a head says what to expect.
    gateway: head === undefined ? gateway : undefined,
    head: given ?? (anchored === null ? undefined : { seq: anchored.seq, hash: anchored.hash }),
  });
}

function verify(
  terminal: Terminal,
  file: string,
  expected: { readonly gateway: string | undefined; readonly head: AuditHead | undefined },
): number {
  let result: ReturnType<typeof verifyAudit>;
  try {
    result = verifyAudit(linesOf(file), expected);
  } catch {
    terminal.fail("not-found", `The file ${file} cannot be read.`);
    return EXIT.failed;
  }
  if (isAuditFault(result)) {
    terminal.fail("fault", `${file} does not verify at row ${result.row} (entry ${result.seq}): ${PROBLEM_TEXTS[result.problem]}.`, {
      ...result,
    });
    return EXIT.failed;
  }
  const end = result === null ? "no entries" : `${result.seq + 1} entries, head ${result.seq}:${result.hash}`;
  const against = expected.head === undefined ? "No head to compare with: only what stands in the file was checked." : `It holds the entry ${expected.head.seq} that was expected.`; // prettier-ignore
  terminal.say("verified", `${file} verifies: ${end}. ${against}`, { head: result, expected: expected.head ?? null });
  return EXIT.done;
}
