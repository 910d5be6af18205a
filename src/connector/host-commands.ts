/** Commands for the person at the gateway's machine: how things stand, who is admitted, ending access. */
import type { AuditHead } from "../protocol/audit.ts";
import type { KeyLogAlarm, KeyLogHead } from "../protocol/key-log.ts";
import type { GatewayReport } from "../protocol/link-messages.ts";
import { Admitted } from "./admitted.ts";
import { pendingCut } from "./cuts.ts";
import { EXIT } from "./exit-codes.ts";
import { loadIdentity } from "./identity.ts";
import { KeyLog, lookAtLog } from "./key-log-file.ts";
import { askRunning } from "./local-control.ts";
import type { Options } from "./options.ts";
import type { RaisedAlarm } from "./state-files.ts";

/** What a running connector says of itself. */
export interface RunningStatus {
  readonly gateway: string;
  readonly name: string;
  readonly origin: string;
  readonly link: "up" | "down";
  /** Why there is no link; null while there is one, or before the first try ended. */
  readonly linkProblem: string | null;
  readonly openclaw: GatewayReport;
  readonly streams: number;
  readonly head: KeyLogHead;
  readonly alarm: KeyLogAlarm | null;
  /** Since when, epoch ms; connectors of an older version do not say it. */
  readonly alarmAtMs?: number | null;
  readonly auditHead: AuditHead | null;
  readonly version: string;
}

/** @returns what `status` says of the alarm that stands, or that none does */
export function alarmStatus(alarm: RaisedAlarm | null): Pick<RunningStatus, "alarm" | "alarmAtMs"> {
  return { alarm: alarm?.alarm ?? null, alarmAtMs: alarm?.atMs ?? null };
}

/** @returns the running connector's own word, or null when none runs with this state folder */
export async function runningStatus(dir: string): Promise<RunningStatus | null> {
  return (await askRunning(dir, { ask: "status" })) as RunningStatus | null;
}

function statusText(status: RunningStatus): string {
  const { openclaw } = status;
  const reason = openclaw.reason === undefined ? "" : ` (${openclaw.reason}; \`gatehouse doctor\` says how to mend it)`;
  return [
    `Gateway    ${status.name}, ${status.origin}`,
    `Connection ${status.link === "up" ? "connected" : `not connected${status.linkProblem === null ? "" : `: ${status.linkProblem}`}`}`,
    `OpenClaw   ${openclaw.version === undefined ? "" : `${openclaw.version}, `}${openclaw.state}${reason}`,
    `Streams    ${status.streams}`,
    `Key log    ${status.head.seq + 1} entries, head ${status.head.hash.slice(0, 12)}…`,
    ...(status.alarm === null ? [] : [`ALARM      ${status.alarm}: nobody new is admitted. \`gatehouse lock\` says why`]),
    `Version    ${status.version}`,
  ].join("\n");
}

/** @returns the exit code */
export async function status({ terminal, files }: Options): Promise<number> {
  const answer = await runningStatus(files.dir);
  if (answer === null) {
    terminal.fail(
      "not-running",
      files.read("gateway") === null
        ? "This machine is not enrolled, and no connector runs. Start with: gatehouse up <code>"
        : "The connector is not running. Start it with: gatehouse run",
    );
    return EXIT.failed;
  }
  terminal.say("status", statusText(answer), { status: answer });
  return EXIT.done;
}

/** @returns the exit code */
export async function devices({ terminal, files }: Options): Promise<number> {
  const grants = [...(await lookAtLog(files)).grants.values()];
  for (const { statement, isRevoked } of grants) {
    const state = isRevoked ? "cut" : statement.notAfterMs <= Date.now() ? "expired" : "allowed";
    terminal.say(
      "device",
      `${statement.device}  ${state.padEnd(8)} ${statement.access.padEnd(5)} until ${new Date(statement.notAfterMs).toISOString()}  ${statement.name}`,
      {
        device: statement.device,
        name: statement.name,
        state,
        access: statement.access,
        notAfterMs: statement.notAfterMs,
      },
    );
  }
  if (grants.length === 0) terminal.say("devices", "No device is allowed yet.");
  return EXIT.done;
}

/** @returns the exit code */
export async function cut({ terminal, files }: Options, device: string | undefined): Promise<number> {
  if (device === undefined) {
    terminal.fail("usage", "Which device? `gatehouse devices` lists them.");
    return EXIT.usage;
  }
  const unknown = (): number => {
    terminal.fail("not-found", `No device ${device} here. \`gatehouse devices\` lists them.`);
    return EXIT.failed;
  };
  const running: { unknown?: boolean; error?: string; done?: boolean } | null = await askRunning(files.dir, { ask: "cut", device });
  if (running?.unknown === true) return unknown();
  if (running?.error !== undefined) {
    terminal.fail(
      "failed",
      "The running connector could not write it down. The device is denied while it runs; look at the disk, then cut again.",
    );
    return EXIT.failed;
  }
  if (running !== null) {
    const removal = running.done === true ? "OpenClaw's entry is removed." : "OpenClaw's entry is removed as soon as OpenClaw runs.";
    terminal.say("cut", `Cut: its connections have ended. ${removal}`, { device, result: running });
    return EXIT.done;
  }
  const log = await KeyLog.open(files, loadIdentity(files));
  const admitted = new Admitted(files, log, () => Date.now());
  if (!admitted.grants().some((grant) => grant.statement.device === device)) return unknown();
  await admitted.revokeDevice(device, "host");
  admitted.saveCut(pendingCut(log.state, device, "host", Date.now()));
  terminal.say("cut", "Cut on this machine. The connector finishes the rest when it runs again.", { device });
  return EXIT.done;
}
