/** `up` and `run`: enrols when needed, then keeps the link until a signal or a final refusal. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Admitted } from "../trust/admissions.ts";
import { appliedSettings, dropApplied, keepApplied } from "../trust/applied-settings.ts";
import { anchoredHead } from "../link/audit-anchor.ts";
import { ControlPlaneError, enrolByCode, enrolByLink } from "../trust/enrol.ts";
import { EXIT, exitOfStop } from "../exit-codes.ts";
import { collectLess } from "../streams/gc-flags.ts";
import { performInRunning } from "../trust/host-actions.ts";
import { NOT_ENROLLED, alarmStatus } from "./host-commands.ts";
import { hopLines } from "../measure/latency-lines.ts";
import { enrolmentIdentity, loadIdentity } from "../trust/identity.ts";
import { KeyLog } from "../trust/key-log-file.ts";
import { Link } from "../link/link.ts";
import type { LinkStatus } from "../link/link.ts";
import { LinkLog } from "./state-log.ts";
import { ALREADY_RUNNING, listenLocally } from "../trust/local-control.ts";
import { isOpenclawUp, isSharedUser, machineView, openclawAddress } from "./machine-view.ts";
import type { MachineView } from "./machine-view.ts";
import { OpenclawLog } from "./openclaw-log.ts";
import { machineText } from "./machine-texts.ts";
import { readListenAddress, serveMetrics } from "../measure/metrics.ts";
import { LocalOpenclaw } from "../openclaw/openclaw-gateway.ts";
import { formerOrigins, settingsFragment } from "../openclaw/settings.ts";
import { askForSettings } from "./settings-terminal.ts";
import type { StateFiles } from "../state/state-files.ts";
import { optionsFor } from "./second-gateway.ts";
import { prepareFolder } from "../state/state-folder.ts";
import { takeState } from "../state/state-lock.ts";
import type { StateLock } from "../state/state-lock.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** @throws ControlPlaneError when nobody said where the control plane is */
function appOriginOf({ app, files }: Options): string {
  const appOrigin = app ?? files.read("enrolment")?.appOrigin;
  if (appOrigin === undefined || !/^https?:$/.test(URL.canParse(appOrigin) ? new URL(appOrigin).protocol : ""))
    throw new ControlPlaneError("usage", "Say where your Gatehouse is: --app https://…");
  return new URL(appOrigin).origin;
}

async function enrol(options: Options, appOrigin: string, code: string | undefined): Promise<void> {
  const { terminal, files, checkWords } = options;
  const common = {
    appOrigin,
    files,
    identity: enrolmentIdentity(files),
    version: VERSION,
    dialler: options.dialler,
    say: (event: string, text: string, data?: object) => terminal.say(event, text, data),
    sleep,
    now: () => Date.now(),
    confirmWords: async (words: string): Promise<"yes" | "no" | "later"> => {
      if (checkWords !== undefined) return checkWords.trim().toLowerCase().split(/\s+/).join(" ") === words ? "yes" : "no";
      if (!terminal.isInteractive) return "later";
      return (await terminal.confirm("Does the page show the same four words?")) ? "yes" : "no";
    },
  };
  if (code === undefined && files.read("enrolment") === null) await enrolByLink(common);
  else await enrolByCode(common, code ?? null);
  terminal.say("enrolled", `This machine is now the connector of ${files.read("gateway")?.origin ?? ""}`, {
    origin: files.read("gateway")?.origin,
  });
}

/** Waits for the state folder, when told to. @returns it, or the exit code that ends this process */
async function ownState({ terminal, files, standby }: Options): Promise<StateLock | number> {
  for (;;) {
    const lock = await takeState(files.dir);
    if (lock.isMine) return lock;
    if (!standby) {
      terminal.fail("already-running", `A connector already runs with ${files.dir}.`);
      return EXIT.failed;
    }
    terminal.log("info", "standby", "Another connector runs with this state folder. This one takes over when that one ends.");
    const last = await lock.gone();
    if (last === null) continue;
    terminal.fail("standby-over", "The connector was refused for good, so its standby ends, too.");
    return last;
  }
}

/** Remembers why the link stopped for good, until there is one again. */
function keepStop(files: StateFiles, status: LinkStatus, atMs: number): void {
  try {
    if (status.state === "stopped") files.write("lastStop", { atMs, why: status.why });
    else if (status.state === "up") files.remove("lastStop");
  } catch {
    // A disk that refuses is said elsewhere.
  }
}

/** Does something as the only process of the state folder. @returns its exit code, or that of one that may not */
async function owning(options: Options, work: () => Promise<number>): Promise<number> {
  const { terminal, files } = options;
  const open = prepareFolder(files.dir);
  if (open.length > 0) terminal.log("warn", "open-files", `Other users may read or change ${open.join(", ")}. Only their owner can close them.`, { paths: open }); // prettier-ignore
  const lock = await ownState(options);
  if (typeof lock === "number") return lock;
  let code: number = EXIT.failed;
  try {
    code = await work();
    return code;
  } finally {
    await lock.release(code === EXIT.refused || code === EXIT.superseded ? code : null);
  }
}

const ENROLMENT_POLL_MS = 500;

/** Waits until another process has enrolled this machine. @returns whether it is; a signal ends the wait */
async function untilEnrolled({ terminal, files }: Options): Promise<boolean> {
  terminal.log("info", "waiting-for-enrolment", "This machine is not enrolled yet. Waiting. Enrol it with: gatehouse up <code>");
  const isOver = { now: false };
  const end = (): void => {
    isOver.now = true;
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  while (!isOver.now && files.read("gateway") === null) await sleep(ENROLMENT_POLL_MS);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, end);
  return !isOver.now;
}

/** Keeps the link until a signal or a final refusal; waits for an enrolment first where there is none. @returns the exit code */
export async function serve(options: Options): Promise<number> {
  const isNew = options.files.read("gateway") === null;
  if (isNew && !(await untilEnrolled(options))) return EXIT.done;
  // Whoever enrolled this machine serves it, and this process is the one that stays.
  const owned = isNew ? { ...options, standby: true } : options;
  return owning(owned, () => serveOwned(owned));
}

async function serveOwned(options: Options): Promise<number> {
  collectLess();
  const { terminal, files, yes } = options;
  const file = files.read("gateway");
  if (file === null) {
    terminal.fail("not-enrolled", NOT_ENROLLED);
    return EXIT.failed;
  }
  const wanted = options.metrics;
  const metricsAt = wanted === undefined ? null : readListenAddress(wanted);
  if (wanted !== undefined && metricsAt === null) {
    terminal.fail("usage", `Where should metrics be served? --metrics 9464, or --metrics 127.0.0.1:9464; not "${wanted}".`);
    return EXIT.usage;
  }
  const now = (): number => Date.now();
  const identity = loadIdentity(files);
  const log = await KeyLog.open(files, identity);
  const admitted = new Admitted(files, log, now);
  const gateway = new LocalOpenclaw({
    env: process.env,
    origin: file.origin,
    bindings: admitted,
    now,
    approveSettings: askForSettings(terminal, { yes, page: `${file.appOrigin}/gateways/${file.gateway}` }),
    formerOrigins: () => formerOrigins(appliedSettings(files), file.origin),
    keepSettings: (changes) => keepApplied(files, changes),
    onNotTaken: (changes, why) => {
      dropApplied(files, changes);
      const fragment = settingsFragment(changes);
      const text = `OpenClaw does not take settings from here: ${why}\nAdd this to its config yourself, then restart it:\n${fragment}`;
      terminal.fail("settings-not-taken", text, { why, fragment });
    },
  });
  let linkProblem: string | null = null;
  let clockAhead: number | null = null;
  const linkLog = new LinkLog(terminal, now);
  const view = (): MachineView => machineView(process.env, options.dialler, file.appOrigin);
  let sharesUser = false;
  let isFirstUpSaid = false;
  return new Promise((resolve) => {
    // Before the link hears of it, so that it tells the room in the same report.
    gateway.onReport((report) => {
      if (report.state === "online") sharesUser = isSharedUser(view());
    });
    const link = new Link({
      files,
      identity,
      log,
      admitted,
      gateway,
      version: VERSION,
      dialler: options.dialler,
      now,
      onAlarm: (alarm) => {
        terminal.log("error", "alarm", `ALARM (${alarm}): nobody new is admitted. \`gatehouse access-list\` says why.`, { alarm });
      },
      isSharedUser: () => sharesUser,
      onDisk: (fault) => {
        if (fault === null) terminal.log("info", "disk", "The disk takes what is written again.", { fault });
        else terminal.log("error", fault, machineText(fault, files.dir), { fault });
      },
      onStatus: (status) => {
        if (status.state !== "dialing") linkProblem = status.state === "waiting" ? status.why : null;
        linkLog.status(status);
        if (status.state === "up") clockAhead = status.clockAheadMs;
        if (status.state === "up" && terminal.isInteractive && !isFirstUpSaid) {
          isFirstUpSaid = true;
          terminal.log(
            "info",
            "service",
            "Closing this terminal takes the gateway offline. `gatehouse install --system` makes it a service.",
          );
        }
        keepStop(files, status, now());
        if (status.state === "stopped") void end(exitOfStop(status.why));
      },
    });
    const local = listenLocally(files.dir, {
      status: () => ({
        gateway: file.gateway,
        name: file.name,
        origin: file.origin,
        link: link.isUp ? "up" : "down",
        linkProblem,
        machine: link.machineFaults,
        openclaw: gateway.report,
        streams: link.streamCount,
        head: log.state.head,
        ...alarmStatus(admitted.alarm()),
        auditHead: anchoredHead(files, file.gateway),
        version: VERSION,
      }),
      view: async () => ({ ...view(), isUp: await isOpenclawUp(process.env), clockAheadMs: clockAhead }),
      hops: async () => {
        const own = await link.hops.meter.measure();
        return { hops: hopLines(link.isUp ? gateway.report.state : "no-link", own, link.hops.told, now()) };
      },
      cut: (device) =>
        admitted.grants().some((grant) => grant.statement.device === device) ? link.cutOnHost(device) : Promise.resolve({ unknown: true }),
      blocked: async (unblock) => (await link.askBlocked(unblock)) ?? { error: "no-link" },
      rotateSecret: async () => {
        const outcome = await gateway.rotateSecret();
        link.acts.doneHere("rotate-secret", outcome);
        return { outcome };
      },
      answerSettings: async (hash, yes) => {
        const outcome = await gateway.answerSettings(hash, yes);
        if (yes) link.acts.doneHere("apply-settings", outcome);
        return { outcome };
      },
      host: (action) => performInRunning({ log, files, admitted, link }, action, now()),
    });
    let metrics: { readonly close: () => Promise<void> } | null = null;
    const end = async (code: number): Promise<void> => {
      link.stop();
      await metrics?.close();
      await gateway.stop();
      await local.close();
      resolve(code);
    };
    const openclawLog = new OpenclawLog(terminal, () => openclawAddress(view()));
    gateway.onReport((report) => openclawLog.report(report));
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(EXIT.done));
    local.ready.then(
      async () => {
        if (metricsAt !== null) {
          try {
            const { url, close } = await serveMetrics(metricsAt, () => ({
              ...link.measured,
              version: VERSION,
              isServing: gateway.isServing,
              sessions: admitted.sessionCount,
              keyLogSeq: log.state.head.seq,
            }));
            metrics = { close };
            terminal.log("info", "metrics", `Metrics for Prometheus: ${url}`, { url });
          } catch (error) {
            const why = (error as NodeJS.ErrnoException).code ?? "unknown";
            terminal.fail("metrics", `Metrics cannot be served at ${metricsAt.host}:${metricsAt.port} (${why}).`);
            return end(EXIT.failed);
          }
        }
        gateway.start();
        link.start();
        return undefined;
      },
      (error: unknown) => {
        const isTaken = error instanceof Error && error.message === ALREADY_RUNNING;
        terminal.fail(
          "already-running",
          isTaken ? `A connector already runs with ${files.dir}.` : `The state folder ${files.dir} cannot be used.`,
        );
        void end(EXIT.failed);
      },
    );
  });
}

/** The code that a person gave, wherever it stands; a list of processes shows what is on a command line. */
async function codeFrom(options: Options, word: string | undefined): Promise<string | undefined> {
  const { terminal, files, codeFile, checkWords } = options;
  if (word === "-") return terminal.isInteractive ? terminal.ask("Enrolment code: ") : firstLineOfInput();
  const isWanted = word === undefined && checkWords === undefined && files.read("gateway") === null && files.read("enrolment") === null;
  if (!isWanted || codeFile === undefined) return word;
  try {
    return readFileSync(codeFile, "utf8").trim();
  } catch (error) {
    throw new ControlPlaneError("code-file", `The file ${codeFile} of GATEHOUSE_CODE_FILE cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"}).`); // prettier-ignore
  }
}

async function firstLineOfInput(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) return line.trim();
  return "";
}

/** @returns the exit code */
export async function up(asked: Options, word: string | undefined): Promise<number> {
  const code = await codeFrom(asked, word);
  if (code === "") {
    asked.terminal.fail("usage", "The enrolment code is empty. Copy it from Add gateway.");
    return EXIT.usage;
  }
  const options = await optionsFor(asked, code);
  if (typeof options === "number") return options;
  const { terminal, files, checkWords } = options;
  const isUnderWay = (): boolean => files.read("enrolment") !== null;
  if (code === undefined && checkWords !== undefined && files.read("gateway") === null && !isUnderWay()) {
    terminal.fail("no-enrolment", "No enrolment is under way on this machine. Start one with: gatehouse up <code>");
    return EXIT.failed;
  }
  const isNew = files.read("gateway") === null || code !== undefined || isUnderWay();
  const appOrigin = isNew ? appOriginOf(options) : "";
  return owning(options, async () => {
    if (isNew) await enrol(options, appOrigin, code);
    return serveOwned(options);
  });
}
