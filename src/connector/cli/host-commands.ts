/** Commands for the person at the gateway's machine: how things stand, and whether a supervisor may count on it. */
import { diffText } from "../../core/trust/settings-diff.ts";
import type { AuditHead } from "../../protocol/audit.ts";
import type { KeyLogAlarm, KeyLogHead } from "../../protocol/key-log.ts";
import type { GatewayReport } from "../../protocol/link-messages.ts";
import type { MachineFault } from "../../protocol/words.ts";
import { shellWord } from "./program.ts";
import { othersIn } from "./second-gateway.ts";
import { EXIT } from "../exit-codes.ts";
import { askRunning } from "../trust/local-control.ts";
import { machineText } from "./machine-texts.ts";
import type { Options } from "./options.ts";
import { STOP_TEXTS } from "./state-log.ts";
import type { LastStop, RaisedAlarm } from "../state/state-files.ts";

export const NOT_ENROLLED = "This machine is not enrolled yet. Start with: gatehouse up";

/** What a running connector says of itself. */
export interface RunningStatus {
  readonly gateway: string;
  readonly name: string;
  readonly origin: string;
  readonly link: "up" | "down";
  /** Why there is no link; null while there is one, or before the first try ended. */
  readonly linkProblem: string | null;
  readonly machine: readonly MachineFault[];
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

/** @returns when and why the connector stopped for good */
export function lastStopText({ atMs, why }: LastStop): string {
  return `${new Date(atMs).toISOString()}: ${STOP_TEXTS[why]}`;
}

function statusText(status: RunningStatus, dir: string): string {
  const { openclaw } = status;
  const reason = openclaw.reason === undefined ? "" : ` (${openclaw.reason}; \`gatehouse doctor\` says how to mend it)`;
  const needed =
    openclaw.settings === undefined
      ? []
      : [`Settings   wait for a yes in its terminal or on the gateway's page:`, diffText(openclaw.settings.lines)];
  return [
    `Gateway    ${status.name}, ${status.origin}`,
    `Connection ${status.link === "up" ? "connected" : `not connected${status.linkProblem === null ? "" : `: ${status.linkProblem}`}`}`,
    `OpenClaw   ${openclaw.version === undefined ? "" : `${openclaw.version}, `}${openclaw.state}${reason}`,
    ...needed,
    `Streams    ${status.streams}`,
    `Access     ${status.head.seq + 1} entries, head ${status.head.hash.slice(0, 12)}…`,
    ...status.machine.map((fault) => `Machine    ${fault}: ${machineText(fault, dir)}`),
    ...(status.alarm === null ? [] : [`ALARM      ${status.alarm}: nobody new is admitted. \`gatehouse access-list\` says why`]),
    `Version    ${status.version}`,
  ].join("\n");
}

/** @returns whether a supervisor may count on it: connected, and OpenClaw is served */
function exitOfHealth({ link, openclaw }: RunningStatus): number {
  if (openclaw.state === "unsafe" || openclaw.state === "needs-settings") return EXIT.unsafe;
  return link === "up" && openclaw.state === "online" ? EXIT.done : EXIT.failed;
}

/** `status`, and `status --check`, whose exit code says whether the gateway is served. @returns the exit code */
export async function status({ terminal, files }: Pick<Options, "terminal" | "files">, isCheck = false): Promise<number> {
  const answer = await runningStatus(files.dir);
  if (answer === null) {
    const stop = files.read("lastStop");
    const last = stop === null ? "" : `\nIt stopped for good at ${lastStopText(stop)}`;
    const text = files.read("gateway") === null ? NOT_ENROLLED : `The connector is not running. Start it with: gatehouse run${last}`;
    terminal.fail("not-running", text, stop === null ? {} : { lastStop: stop });
    return EXIT.failed;
  }
  const others = othersIn(files);
  const lines = others.map(({ name, folder }) => `\nAlso here  ${name}: gatehouse status --state ${shellWord(folder)}`);
  terminal.say("status", `${statusText(answer, files.dir)}${lines.join("")}`, { status: answer, others });
  return isCheck ? exitOfHealth(answer) : EXIT.done;
}
