/** `gatehouse access-list|policy|rotate-key|reset`: the host's word over its key log, with or without a running connector. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { isOwner } from "../../core/trust/key-log-owners.ts";
import { isFault, verifyLog } from "../../core/trust/key-log.ts";
import type { KeyLogState } from "../../core/trust/key-log-state.ts";
import { EXIT } from "../exit-codes.ts";
import { hostActionSchema, performOnHost } from "../trust/host-actions.ts";
import type { HostAction } from "../trust/host-actions.ts";
import type { HostAnswer } from "../trust/host-answer.ts";
import { runningStatus } from "./host-commands.ts";
import { loadIdentity } from "../trust/identity.ts";
import { KeyLog, keyLogPath, lookAtLog, splitLog } from "../trust/key-log-file.ts";
import { askRunning } from "../trust/local-control.ts";
import { policyText, waitingFacts, waitingLines } from "../trust/policy-texts.ts";
import { standingOf } from "../state/state-files.ts";
import type { RaisedAlarm, StateFiles } from "../state/state-files.ts";
import type { Terminal } from "./terminal.ts";

interface Host {
  readonly terminal: Terminal;
  readonly files: StateFiles;
  readonly yes: boolean;
}

const ALARM_TEXTS = {
  "room-rolled-back": "The control plane has lost entries that it had: it was restored from an old copy, or somebody tampers with it.",
  "log-rolled-back":
    "The control plane knows entries that this machine does not have: this machine was restored from an old copy, or another one runs with its key.",
  fork: "The control plane knows another history of this gateway: another machine runs with its key, or somebody tampers with it.",
  "early-effect": "This machine acts on a change that no owner approved in time.",
  "audit-rewound":
    "The control plane's audit chain lost or changed entries that this machine knows: it was restored from an old copy, or somebody tampers with it.",
} as const;

/** Says one thing to the log: through the connector when it runs, else by itself. @returns the exit code */
export async function act(host: Pick<Host, "terminal" | "files">, action: HostAction): Promise<number> {
  const { files, terminal } = host;
  const running = (await askRunning(files.dir, { ask: "host", action })) as HostAnswer | { readonly error: string } | null;
  if (running !== null && "error" in running) {
    terminal.fail("failed", "The running connector could not write it down: nothing was changed. Look at the disk, then try again.");
    return EXIT.failed;
  }
  const answer = running ?? (await performOnHost(await KeyLog.open(files, loadIdentity(files)), files, action, Date.now()));
  if (answer.ok) terminal.say(action.do, answer.text, { ok: true, ...answer.data });
  else terminal.fail(action.do, answer.problem);
  return answer.ok ? EXIT.done : EXIT.failed;
}

/** The alarm that stands: on disk, or only in the memory of the connector that runs, when the disk refused it. */
async function standingAlarm(files: StateFiles, state: KeyLogState): Promise<RaisedAlarm | null> {
  const running = await runningStatus(files.dir);
  const kept = standingOf(files, state);
  if (kept !== null || running === null || running.alarm === null) return kept;
  return { alarm: running.alarm, atMs: running.alarmAtMs ?? Date.now() };
}

/** `access-list show`, `access-list verify [file]`, `access-list resume`. @returns the exit code */
export async function accessList(host: Host, what: string | null, file: string | undefined): Promise<number> {
  const { terminal, files } = host;
  if (what === "resume") return act(host, { do: "resume" });
  if (what === "verify") return verify(terminal, file ?? keyLogPath(files));
  const state = await lookAtLog(files);
  const alarm = await standingAlarm(files, state);
  terminal.say("access-list", summary(state), { ...facts(state), alarm: alarm?.alarm ?? null });
  if (alarm !== null) {
    const when = new Date(alarm.atMs).toISOString();
    terminal.say(
      "alarm",
      `ALARM since ${when}: ${ALARM_TEXTS[alarm.alarm]} Nobody new is admitted. When you know why: gatehouse access-list resume; an owner approves it, or 24 hours pass`,
    );
  }
  return alarm === null ? EXIT.done : EXIT.failed;
}

/** Verifies a log or an exported copy of one: no state, no network. */
async function verify(terminal: Terminal, file: string): Promise<number> {
  if (!existsSync(file)) {
    terminal.fail("not-found", `There is no file ${file}.`);
    return EXIT.failed;
  }
  const { lines, torn } = splitLog(readFileSync(file, "utf8"));
  const result = await verifyLog(torn === "" ? lines : [...lines, torn]);
  if (isFault(result)) {
    terminal.fail("fault", `${file} does not verify: entry ${result.seq} (line ${result.seq + 1}): ${result.problem}.`, { ...result });
    return EXIT.failed;
  }
  terminal.say("verified", `${file} verifies: every hash, signature and authority.\n${summary(result)}`, facts(result));
  return EXIT.done;
}

function facts(state: KeyLogState) {
  const live = [...state.grants.values()].filter((grant) => !grant.isRevoked);
  return {
    gateway: state.gateway,
    entries: state.head.seq + 1,
    head: state.head.hash,
    owners: state.ownerKeys.length,
    approvers: state.ownerKeys.filter((key) => !isOwner(key)).length,
    hasRecoveryKey: state.recovery.key !== null,
    policy: state.policy,
    waiting: waitingFacts(state.proposals.values()),
    grants: live.length,
  };
}

function summary(state: KeyLogState): string {
  const { entries, head, owners, grants } = facts(state);
  return `${entries} entries, head ${head.slice(0, 12)}…; ${owners} owner passkey${owners === 1 ? "" : "s"}; ${grants} grant${grants === 1 ? "" : "s"}.\n${[policyText(state.policy), ...waitingLines(state.proposals.values(), Date.now())].join("\n")}`;
}

/** `policy`, with or without changes. @returns the exit code */
export async function policy(
  host: Host,
  wanted: { readonly maxAccess: string | undefined; readonly maxDays: string | undefined },
): Promise<number> {
  const { terminal, files } = host;
  const { maxAccess, maxDays } = wanted;
  if (maxAccess === undefined && maxDays === undefined) {
    const { policy: current, proposals } = await lookAtLog(files);
    const waiting = [...proposals.values()].filter(({ change }) => change.kind === "policy");
    const text = [policyText(current), ...waitingLines(waiting, Date.now())].join("\n");
    terminal.say("policy", text, { policy: current, waiting: waitingFacts(waiting) });
    return EXIT.done;
  }
  const action = hostActionSchema.safeParse({
    do: "policy",
    ...(maxAccess === undefined ? {} : { maxAccess }),
    ...(maxDays === undefined ? {} : { maxDays: Number(maxDays) }),
  });
  // The command line was read by the table of commands, which allows no more than this.
  if (!action.success) throw new TypeError("policy");
  return act(host, action.data);
}

/** `rotate-key`: a new connector key takes the old one's place. @returns the exit code */
export function rotateKey(host: Host): Promise<number> {
  return act(host, { do: "rotate-key" });
}

/** `reset`: forgets the gateway, its owners and devices; OpenClaw's settings stay. @returns the exit code */
export async function reset({ terminal, files, yes }: Host): Promise<number> {
  if ((await askRunning(files.dir, { ask: "status" })) !== null) {
    terminal.fail("running", "The connector is running. Stop it first, then run this again.");
    return EXIT.failed;
  }
  const question =
    "Forget this gateway, its owners and every device? The gateway has to be claimed again. (Before handing it to somebody else: `gatehouse cut --all` while it runs, so that OpenClaw forgets the devices, too.)";
  if (!yes && !(terminal.isInteractive && (await terminal.confirm(question)))) {
    terminal.fail("needs-confirmation", "Nothing was changed. Run again with --yes.");
    return EXIT.needsConfirmation;
  }
  rmSync(keyLogPath(files), { force: true });
  for (const name of [
    "gateway",
    "head",
    "roomHead",
    "auditHead",
    "alarm",
    "sessions",
    "bindings",
    "cuts",
    "enrolment",
    "identity",
    "nextIdentity",
    "enrolIdentity",
  ] as const)
    files.remove(name);
  terminal.say("reset", "Forgotten. Claim the gateway again with: gatehouse up");
  return EXIT.done;
}
