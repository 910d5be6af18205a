/** `gatehouse receipt`: the offline check of an exported receipt of a cut. */
import { existsSync, readFileSync } from "node:fs";
import { checkReceipt, readReceiptFile } from "../../core/trust/receipt.ts";
import type { ReceiptProblem } from "../../core/trust/receipt.ts";
import type { ReceiptStatement } from "../../protocol/receipt.ts";
import { EXIT } from "../exit-codes.ts";
import { keyLogPath, splitLog } from "../trust/key-log-file.ts";
import type { StateFiles } from "../state/state-files.ts";
import type { Terminal } from "./terminal.ts";

interface Host {
  readonly terminal: Terminal;
  readonly files: StateFiles;
}

const PROBLEM_TEXTS: Readonly<Record<ReceiptProblem, string>> = {
  "bad-signature": "its signature does not fit what it says, or the key that it names",
  "log-broken": "the key log that it was compared with does not verify; `gatehouse access-list verify` says where",
  "other-gateway": "it is another gateway's",
  "other-log": "it belongs to another key log",
  "entry-missing": "the key log does not have the entry that it names",
  "key-not-in-log": "it is signed by a key that was not this gateway's connector then",
  "not-revoked": "the entry that it names did not end this device's access",
};

/** Text of a file, or null when it cannot be read. */
function textOf(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

function at(ms: number | null): string {
  return ms === null ? "-" : new Date(ms).toISOString();
}

function describe(body: ReceiptStatement): string {
  const { gateway, device, by, cutAtMs, deniedAtMs, removedAtMs, streamsClosed, removed, absent, entries, log, head, audit, cut } = body;
  return [
    `Device ${device} of gateway ${gateway} was cut by ${by === "owner" ? "its owner" : "the person at its machine"} (cut ${cut}).`,
    ...(cutAtMs === null ? [] : [`  Committed at the relay ${at(cutAtMs)}, by the relay's clock.`]),
    `  Denied on the gateway's machine ${at(deniedAtMs)}; streams ended there: ${streamsClosed}.`,
    `  Removed from OpenClaw ${at(removedAtMs)}: ${removed} entries, ${absent} were gone already.`,
    ...entries.map((entry) => `    ${entry}`),
    `  Key log ${log}, entry ${head.seq}:${head.hash}.`,
    ...(audit === null ? [] : [`  Audit chain, as the relay said: entry ${audit.seq}:${audit.hash}.`]),
  ].join("\n");
}

/**
 * `receipt verify <file> [--log <key log>]`. Without --log it is compared with this machine's own key log where there is one; elsewhere only the
 * signature is checked, and whose key it is stays open.
 *
 * @returns the exit code
 */
export async function receipt(host: Host, file: string, log: string | undefined): Promise<number> {
  const { terminal, files } = host;
  const own = keyLogPath(files);
  const logFile = log ?? (existsSync(own) ? own : null);
  const text = textOf(file);
  const logText = logFile === null ? null : textOf(logFile);
  if (text === null || (logFile !== null && logText === null)) {
    terminal.fail("not-found", `The file ${text === null ? file : (logFile ?? "")} cannot be read.`);
    return EXIT.failed;
  }
  const parsed = readReceiptFile(text);
  if (parsed === null) {
    terminal.fail("fault", `${file} is not a receipt as Gatehouse writes them.`, { problem: "not-a-receipt" });
    return EXIT.failed;
  }
  const body = await checkReceipt(parsed, logText === null ? null : splitLog(logText).lines);
  if (typeof body === "string") {
    terminal.fail("fault", `${file} does not verify: ${PROBLEM_TEXTS[body]}.`, { problem: body });
    return EXIT.failed;
  }
  const against =
    logFile === null
      ? `Signed by the connector key ${parsed.connectorKey.x}. No key log to compare with: whose key that is, only the log named above can say (--log).`
      : `Signed by the key that was this gateway's connector at that entry of ${logFile}.`;
  terminal.say("verified", `${describe(body)}\n${against}`, { receipt: body, log: logFile, room: parsed.room });
  return EXIT.done;
}
