/** `gatehouse doctor`: one check after another, each with its cure. */
import { diffText } from "../../core/trust/settings-diff.ts";
import { MIN_OPENCLAW_VERSION } from "../../protocol/version.ts";
import { aheadText, clockAheadMs } from "../../core/measure/clock-difference.ts";
import { builtPageHash, fetchServed, judgePage, pageHash, versionGap, versionIn } from "../network/approval-page.ts";
import type { Answer, Dialler } from "../network/dialler.ts";
import { EXIT } from "../exit-codes.ts";
import type { HopLine } from "../measure/latency-lines.ts";
import { lastStopText, runningStatus } from "./host-commands.ts";
import type { RunningStatus } from "./host-commands.ts";
import { askRunning } from "../trust/local-control.ts";
import { machineText } from "./machine-texts.ts";
import { isNotLocal } from "../openclaw/rpc-client.ts";
import { freeMiB, isOpenclawUp, isSharedUser, machineView } from "./machine-view.ts";
import type { MachineView } from "./machine-view.ts";
import { withGateway } from "../openclaw/one-call.ts";
import { planSettings, readConfig, settingsDiff } from "../openclaw/settings.ts";
import { AUTH_MODE_CURE, isSoundAuthMode } from "../openclaw/auth-mode.ts";
import { isKnownToServe, mayBeProbed } from "../openclaw/version-gate.ts";
import { notLocalCure } from "./not-local.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";
import type { GatewayFile, StateFiles } from "../state/state-files.ts";

const LOOK_WITHIN_MS = 5_000;

/** What to do about each reason that a connector reports; see `gatewayReportSchema`. */
const CURE: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer as it should. Look at its own log, then restart it",
  "too-old": `update OpenClaw to ${MIN_OPENCLAW_VERSION} or newer: this one does not tell strangers from local users`,
  "way-in-refused": "this OpenClaw does not take the way in that Gatehouse uses. Update it, or set gateway.auth.mode to password",
  "settings-missing": "run `gatehouse run --yes` to apply the settings it needs",
  "settings-refused": "somebody answered no to the settings. Run `gatehouse run` to be asked again, or `gatehouse run --yes` to apply them",
  "stranger-admitted":
    "a stranger would be let in: gateway.auth.mode must be token or password, gateway.nodes.pairing.autoApproveLocal false; then remove devices that were paired silently (openclaw devices list)",
  "auth-mode": AUTH_MODE_CURE,
  "auth-failed": "the secret is wrong: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
  "settings-not-taken":
    "OpenClaw's config cannot be written from here: add the settings that `gatehouse run` prints to it, then restart it",
  "no-secret": "no secret was found: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
};

/** @returns what to do about a reason that a connector reports */
export function cureOf(reason: string): string {
  return CURE[reason] ?? "try again in a few seconds";
}

/** The running connector's own view, and the clock as its room sees it. */
type RunningView = MachineView & { readonly isUp: boolean; readonly clockAheadMs: number | null };

/** One line of the report. `warn` does not fail. */
type Mark = "ok" | "warn" | "FAIL";

class Report {
  readonly #terminal: Options["terminal"];
  failures = 0;

  constructor(terminal: Options["terminal"]) {
    this.#terminal = terminal;
  }

  line(mark: Mark, name: string, text: string, more: object = {}): void {
    if (mark === "FAIL") this.failures += 1;
    const data = { check: name, ok: mark !== "FAIL", warning: mark === "warn", text, ...more };
    this.#terminal.say("check", `${mark.padEnd(4)} ${name}: ${text}`, data);
  }

  check(name: string, isGood: boolean, text: string): void {
    this.line(isGood ? "ok" : "FAIL", name, text);
  }
}

/**
 * Checks enrolment, the running connector, the ways to OpenClaw and to the control plane, the machine, and the approval page. A running
 * connector is asked for its own view: this shell has other variables and may be another user.
 *
 * @returns 0 when all is well, 5 when the gateway is not safe to serve, else 1; throws DamagedStateError
 */
export async function doctor({ terminal, files, dialler }: Options): Promise<number> {
  const report = new Report(terminal);
  const file = files.read("gateway");
  report.check("enrolled", file !== null, file === null ? "run `gatehouse up`" : file.origin);
  const running = await runningStatus(files.dir);
  const asked = running === null ? null : ((await askRunning(files.dir, { ask: "view" })) as RunningView | null);
  const own = machineView(process.env, dialler, file?.appOrigin ?? null);
  const view = asked ?? own;
  // What only this shell sees says nothing about the service.
  const whose = asked === null ? " (this shell)" : "";
  const isUp = lookForOpenclaw(view, running, asked?.isUp ?? (await isOpenclawUp(process.env)), whose, report);
  report.check("connector", running !== null, running === null ? "not running; start it with: gatehouse run" : "running");
  lookAtMachine(view, files, report, running);
  if (file !== null) await lookAtControlPlane(file, { view, whose, asked, running, dialler, report });
  if (running === null) {
    const check = (name: string, isGood: boolean, text: string): void => report.check(`${name} (this shell)`, isGood, text);
    const isUnsafe = isUp && file !== null && !(await lookAtOpenclaw(file.origin, check, notLocalCure(files.dir, file.appOrigin)));
    return isUnsafe ? EXIT.unsafe : report.failures === 0 ? EXIT.done : EXIT.failed;
  }
  report.check("lock", running.alarm === null, running.alarm === null ? `${running.head.seq + 1} entries, no alarm` : `alarm: ${running.alarm}. \`gatehouse access-list\` says why`); // prettier-ignore
  const { state, reason, version, settings } = running.openclaw;
  const isSafe = state === "online";
  const waits =
    settings === undefined ? null : `apply them in the connector's terminal or on the gateway's page:\n${diffText(settings.lines)}`;
  const cure = reason === "not-local" ? notLocalCure(files.dir, file?.appOrigin ?? null) : cureOf(reason ?? "");
  const tested = isSafe ? `OpenClaw ${version ?? ""} does not let a remote stranger in` : `${state}: ${waits ?? cure}`;
  report.check("self-test", isSafe, tested);
  await showHops(files.dir, terminal);
  if (report.failures === 0) return EXIT.done;
  return state === "unsafe" || state === "needs-settings" ? EXIT.unsafe : EXIT.failed;
}

/** The secret, and whether OpenClaw answers; a running connector has tried both. @returns whether it answers */
function lookForOpenclaw(view: MachineView, running: RunningStatus | null, isUp: boolean, whose: string, report: Report): boolean {
  const { openclaw } = view;
  if ("problem" in openclaw) {
    report.check(`gateway${whose}`, false, openclaw.problem);
    return false;
  }
  const { host, port, hasSecret, secretSource } = openclaw;
  const refused = running?.openclaw.reason === "auth-failed" || running?.openclaw.reason === "no-secret";
  report.check(`secret${whose}`, hasSecret && !refused, secretSource);
  const text = isUp ? `answers at ${host}:${port}` : `nothing answers at ${host}:${port}. Start it with: openclaw gateway run`;
  report.check(`gateway${whose}`, isUp, text);
  return isUp;
}

/** Disk, users, and why the connector stopped last. */
function lookAtMachine(view: MachineView, files: StateFiles, report: Report, running: RunningStatus | null): void {
  const free = freeMiB(files.dir);
  const fault = running?.machine.find((each) => each !== "shared-user") ?? (free === 0 ? "disk-full" : undefined);
  const space = free === null ? `${files.dir} does not exist yet` : `${free} MiB free at ${files.dir}`;
  report.check("disk", fault === undefined, fault === undefined ? space : `${fault}: ${machineText(fault, files.dir)}`);
  if (isSharedUser(view)) report.line("warn", "user", machineText("shared-user", files.dir), { fault: "shared-user" });
  else if (view.openclawUid === null) report.line("ok", "user", "whose program OpenClaw is, is not known here");
  else report.line("ok", "user", `the connector runs as user ${view.uid ?? "?"}, OpenClaw as ${view.openclawUid}`);
  const stop = files.read("lastStop");
  if (stop !== null) report.line("warn", "last stop", lastStopText(stop));
}

interface ControlPlaneView {
  readonly view: MachineView;
  readonly whose: string;
  readonly asked: RunningView | null;
  readonly running: RunningStatus | null;
  readonly dialler: Dialler;
  readonly report: Report;
}

/** Proxy, link, version, clock and approval page. */
async function lookAtControlPlane(file: GatewayFile, { view, whose, asked, running, dialler, report }: ControlPlaneView): Promise<void> {
  report.line("ok", `proxy${whose}`, view.proxy);
  let why = "";
  const healthz = await dialler.get(new URL("/healthz", file.appOrigin)).catch((error: unknown) => {
    why = error instanceof Error ? error.message : "";
    return null;
  });
  if (running !== null) {
    const isLinked = running.link === "up";
    const problem = running.linkProblem === null ? "" : `: ${running.linkProblem.replace(/\.$/, "")}`;
    report.check(
      "link",
      isLinked,
      isLinked ? `connected to ${file.appOrigin}` : `not connected to ${file.appOrigin}${problem}. It keeps trying`,
    );
  } else report.check("control plane (this shell)", healthz !== null, healthz === null ? why : `${file.appOrigin} answers`);
  const served = healthz === null ? null : versionIn(healthz);
  const gap = versionGap({ own: running?.version ?? VERSION, program: VERSION, served });
  report.line(gap.isSame ? "ok" : "warn", "version", gap.text, { served });
  const ahead = asked === null ? clockOf(healthz) : asked.clockAheadMs;
  const clock =
    ahead === null
      ? "agrees with the control plane's"
      : `${aheadText(ahead, "the control plane's")}. Set it, or decisions and sessions are refused`;
  if (asked !== null || healthz !== null) report.check("clock", ahead === null, clock);
  const page = await fetchServed(dialler, new URL("/", file.approveOrigin));
  const found = { built: builtPageHash(), served: page === null ? null : pageHash(page) };
  const { isSame, text } = judgePage({ ...found, version: VERSION, servedVersion: served });
  report.line(isSame ? "ok" : "warn", "approval page", text, found);
}

/** @returns how far this clock is ahead of an answer's `Date` (RFC 9110 §6.6.1); null when it does not matter */
function clockOf(answer: Answer | null): number | null {
  const theirs = Date.parse(answer?.headers.date ?? "");
  return Number.isNaN(theirs) ? null : clockAheadMs(Date.now(), theirs);
}

/** What the running connector measures now. One of an older version knows no hops: nothing is shown. */
async function showHops(dir: string, terminal: Options["terminal"]): Promise<void> {
  const answer: { readonly hops?: readonly HopLine[] } | null = await askRunning(dir, { ask: "hops" });
  for (const { hop, state, median, text } of answer?.hops ?? []) terminal.say("hop", `hop  ${hop}: ${text}`, { hop, state, median, text });
}

/** @returns null when OpenClaw shows its settings only to local clients, and this is none */
function ownersOnly(error: unknown): null {
  if (isNotLocal(error)) return null;
  throw error;
}

type Check = (name: string, isGood: boolean, text: string) => void;

/** Without a connector to ask: whether the secret is the gateway's, and whether its settings are those that it needs. @returns whether they are */
async function lookAtOpenclaw(origin: string, check: Check, notLocal: string): Promise<boolean> {
  const seen = await withGateway(process.env, { withinMs: LOOK_WITHIN_MS, isPatient: false }, async (leg, version) => {
    const config = await readConfig(leg).then((read) => read.config, ownersOnly);
    return { version, isLocal: config !== null, isSound: isSoundAuthMode(config), missing: planSettings(config, origin) };
  });
  if (!("value" in seen)) {
    check("openclaw", false, CURE[seen.why] ?? "it starts or restarts; try again in a few seconds");
    return true;
  }
  const { version, isLocal, isSound, missing } = seen.value;
  if (!isLocal) {
    check("openclaw", false, notLocal);
    return false;
  }
  const isNew = mayBeProbed(version);
  const hint = isKnownToServe(version) ? "" : `. It is older than ${MIN_OPENCLAW_VERSION}: the probe at the start of the connector decides`;
  check(
    "openclaw",
    isNew && isSound,
    isNew ? (isSound ? `version ${version} takes the secret${hint}` : AUTH_MODE_CURE) : (CURE["too-old"] ?? ""),
  );
  const isSet = missing.length === 0;
  check("settings", isSet, isSet ? "as they must be" : `${CURE["settings-missing"] ?? ""}:\n${settingsDiff(missing)}`);
  return isNew && isSound && isSet;
}
