/** `up` and `run`: enrols when needed, then keeps the link until a signal or a final refusal. */
import { aheadText } from "../core/clock-difference.ts";
import { Admitted } from "./admitted.ts";
import { appliedSettings, dropApplied, keepApplied } from "./applied-settings.ts";
import { anchoredHead } from "./audit-anchor.ts";
import { ControlPlaneError, enrolByCode, enrolByLink } from "./enrol.ts";
import { EXIT, exitOfStop } from "./exit-codes.ts";
import { collectLess } from "./garbage.ts";
import { performInRunning } from "./host-actions.ts";
import { NOT_ENROLLED, alarmStatus } from "./host-commands.ts";
import { hopLines } from "./hop-lines.ts";
import { enrolmentIdentity, loadIdentity } from "./identity.ts";
import { KeyLog } from "./key-log-file.ts";
import { Link } from "./link.ts";
import type { LinkStatus } from "./link.ts";
import { ALREADY_RUNNING, askRunning, listenLocally } from "./local-control.ts";
import { machineText } from "./machine-texts.ts";
import { readListenAddress, serveMetrics } from "./metrics.ts";
import { LocalOpenclaw } from "./openclaw/openclaw-gateway.ts";
import { formerOrigins, settingsFragment } from "./openclaw/settings.ts";
import { askForSettings } from "./settings-terminal.ts";
import { takeState } from "./state-lock.ts";
import type { StateLock } from "./state-lock.ts";
import { VERSION } from "./options.ts";
import type { Options } from "./options.ts";

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function enrol(options: Options, code: string | undefined): Promise<void> {
  const { terminal, files, checkWords } = options;
  const appOrigin = options.app ?? files.read("enrolment")?.appOrigin;
  if (appOrigin === undefined || !/^https?:$/.test(URL.canParse(appOrigin) ? new URL(appOrigin).protocol : ""))
    throw new ControlPlaneError("usage", "Say where your Gatehouse is: --app https://…");
  const common = {
    appOrigin: new URL(appOrigin).origin,
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

function statusText(status: LinkStatus): string {
  switch (status.state) {
    case "dialing":
      return "Connecting …";
    case "up":
      return status.clockAheadMs === null
        ? "Connected."
        : `Connected. This machine's clock is ${aheadText(status.clockAheadMs, "the relay's")}: set it, or decisions and sessions are refused.`;
    case "waiting":
      return `Not connected (${status.why}). Trying again in ${(status.ms / 1000).toFixed(1)} s.`;
    case "stopped":
      return {
        refused: "This machine's access was withdrawn. Enrol it again with Add gateway.",
        superseded: "Another connector took over this gateway. This one stops.",
        stale:
          "A newer copy of this connector's state is in use elsewhere. This one stops. If this machine is the one that stays, end the other and connect this one again from the gateway's page.",
        version: "The control plane speaks a newer protocol. Start the connector with the command that the page shows.",
      }[status.why];
  }
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
    terminal.say("standby", "Another connector runs with this state folder. This one takes over when that one ends.");
    const last = await lock.gone();
    if (last === null) continue;
    terminal.fail("standby-over", "The connector was refused for good, so its standby ends, too.");
    return last;
  }
}

/** Keeps the link until a signal or a final refusal. @returns the exit code */
export async function serve(options: Options): Promise<number> {
  const { terminal, files } = options;
  if (files.read("gateway") === null) {
    terminal.fail("not-enrolled", NOT_ENROLLED);
    return EXIT.failed;
  }
  // Before anything else is read: another process may be writing it.
  const lock = await ownState(options);
  if (typeof lock === "number") return lock;
  let code: number = EXIT.failed;
  collectLess();
  try {
    code = await serveOwned(options);
    return code;
  } finally {
    await lock.release(code === EXIT.refused || code === EXIT.superseded ? code : null);
  }
}

async function serveOwned(options: Options): Promise<number> {
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
  return new Promise((resolve) => {
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
        terminal.fail("alarm", `ALARM (${alarm}): nobody new is admitted. \`gatehouse access-list\` says why.`, { alarm });
      },
      onDisk: (fault) => {
        if (fault === null) terminal.say("disk", "The disk takes what is written again.", { fault });
        else terminal.fail(fault, machineText(fault, files.dir), { fault });
      },
      onStatus: (status) => {
        if (status.state !== "dialing") linkProblem = status.state === "waiting" ? status.why : null;
        terminal.say("link", statusText(status), { link: status });
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
      hops: async () => {
        const own = await link.hops.meter.measure();
        return { hops: hopLines(link.isUp ? gateway.report.state : "no-link", own, link.hops.told, now()) };
      },
      cut: (device) =>
        admitted.grants().some((grant) => grant.statement.device === device) ? link.cutOnHost(device) : Promise.resolve({ unknown: true }),
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
    let said = "";
    gateway.onReport((report) => {
      // An OpenClaw that is away is tried every few seconds.
      const what = JSON.stringify(report);
      if (what === said) return;
      said = what;
      const reason = report.reason === undefined ? "" : ` (${report.reason})`;
      const expected = report.restartExpectedMs === undefined ? "" : `, about ${Math.ceil(report.restartExpectedMs / 1000)} s`;
      terminal.say(
        "openclaw",
        `OpenClaw ${report.version ?? ""}: ${report.state}${reason}${expected}${report.state === "unsafe" ? " — nothing is served. `gatehouse doctor` says how to mend it." : ""}${report.state === "needs-settings" ? " — nothing is served until they are applied." : ""}`,
        { report },
      );
    });
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
            terminal.say("metrics", `Metrics for Prometheus: ${url}`, { url });
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

/** @returns the exit code */
export async function up(options: Options, code: string | undefined): Promise<number> {
  const { terminal, files } = options;
  if ((await askRunning(files.dir, { ask: "status" })) !== null) {
    terminal.fail("already-running", `A connector already runs with ${files.dir}. Stop it first.`);
    return EXIT.failed;
  }
  if (files.read("gateway") === null || code !== undefined || files.read("enrolment") !== null) await enrol(options, code);
  return serve(options);
}
