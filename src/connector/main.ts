/** The `gatehouse` command: enrols this machine, keeps the link, and tells how things stand. */
import { readFileSync, existsSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { Admitted } from "./admitted.ts";
import { ControlPlaneError, enrolByCode, enrolByLink } from "./enrol.ts";
import { loadIdentity } from "./identity.ts";
import { Link } from "./link.ts";
import type { LinkStatus } from "./link.ts";
import { listenLocally, askRunning, ALREADY_RUNNING } from "./local-control.ts";
import { DiscoverError, discoverGateway } from "./openclaw/discover.ts";
import { LocalOpenclaw } from "./openclaw/openclaw-gateway.ts";
import { settingsDiff } from "./openclaw/settings.ts";
import { DamagedStateError, StateFiles } from "./state-files.ts";
import { Terminal } from "./terminal.ts";

const HELP = `gatehouse: reach this machine's OpenClaw gateway from anywhere, behind NAT

Usage: gatehouse <command> [options]

  up [code]        enrol this machine if needed, then keep the connection (Ctrl-C ends it)
                   without a code it prints a claim link
  run              keep the connection of a machine that is enrolled
  status           how the running connector stands
  doctor           check gateway, secret and settings, with a cure for what is wrong
  devices          devices that this machine admits
  cut <device>     end a device's access here and now, without any network
  install          print how to start the connector with the machine
  uninstall        put OpenClaw's settings back and remove this machine's state

  --state <dir>    state folder (GATEHOUSE_STATE, else ~/.gatehouse)
  --app <origin>   control plane (else the one this program came from)
  --check-words "<words>"   confirm an enrolment without a terminal: the words must match
  --yes            apply the settings that OpenClaw needs without asking
  --json           one JSON object per line
  --help, --version

Environment: OPENCLAW_URL (ws://127.0.0.1:18789), OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD (else OpenClaw's own config)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waits for --check-words, 4 refused by the control plane, 5 gateway not safe to serve,
            6 another connector took over`;

const EXIT = { done: 0, failed: 1, usage: 2, needsConfirmation: 3, refused: 4, unsafe: 5, superseded: 6 } as const;
const VERSION: string = manifest.version;

interface Options {
  readonly terminal: Terminal;
  readonly files: StateFiles;
  readonly app: string | undefined;
  readonly checkWords: string | undefined;
  readonly yes: boolean;
}

function bakedOrigin(): string | undefined {
  const file = path.join(import.meta.dirname, "origin.json");
  if (!existsSync(file)) return undefined;
  const value = JSON.parse(readFileSync(file, "utf8")) as { appOrigin?: unknown };
  return typeof value.appOrigin === "string" ? value.appOrigin : undefined;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function enrol(options: Options, code: string | undefined): Promise<void> {
  const { terminal, files, checkWords } = options;
  const appOrigin = options.app ?? files.read("enrolment")?.appOrigin;
  if (appOrigin === undefined) throw new ControlPlaneError("usage", "Say where your Gatehouse is: --app https://…");
  const common = {
    appOrigin: new URL(appOrigin).origin,
    files,
    identity: loadIdentity(files),
    version: VERSION,
    say: (event: string, text: string, data?: object) => terminal.say(event, text, data),
    sleep,
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
      return "Connected.";
    case "waiting":
      return `Not connected (${status.why}). Trying again in ${(status.ms / 1000).toFixed(1)} s.`;
    case "stopped":
      return {
        refused: "This machine's access was withdrawn. Enrol it again with Add gateway.",
        superseded: "Another connector took over this gateway. This one stops.",
        stale: "A newer copy of this connector's state is in use elsewhere. This one stops.",
        version: "The control plane speaks a newer protocol. Start the connector with the command that the page shows.",
      }[status.why];
  }
}

/** Keeps the link until a signal or a final refusal. @returns the exit code */
async function serve(options: Options): Promise<number> {
  const { terminal, files, yes } = options;
  const file = files.read("gateway");
  if (file === null) {
    terminal.fail("not-enrolled", "This machine is not enrolled yet. Run: gatehouse up <code>");
    return EXIT.usage;
  }
  const now = (): number => Date.now();
  const admitted = new Admitted(files, now);
  const gateway = new LocalOpenclaw({
    env: process.env,
    origin: file.origin,
    bindings: admitted,
    now,
    approveSettings: async (changes) => {
      terminal.say("settings-needed", `OpenClaw needs these settings:\n${settingsDiff(changes)}`, { changes });
      if (yes) return true;
      if (!terminal.isInteractive) {
        terminal.fail(
          "settings-refused",
          "Nobody is here to say yes. Run again with --yes, or set them yourself. Until then nothing is served.",
        );
        return false;
      }
      return terminal.confirm("Apply them now? They are put back by `gatehouse uninstall`.");
    },
    keepSettings: (changes) => files.write("settings", [...(files.read("settings") ?? []), ...changes]),
  });
  return new Promise((resolve) => {
    const link = new Link({
      files,
      identity: loadIdentity(files),
      admitted,
      gateway,
      version: VERSION,
      now,
      onStatus: (status) => {
        terminal.say("link", statusText(status), { link: status });
        if (status.state === "stopped") void end(status.why === "superseded" ? EXIT.superseded : EXIT.refused);
      },
    });
    const local = listenLocally(files.dir, {
      status: () => ({
        gateway: file.gateway,
        name: file.name,
        origin: file.origin,
        link: link.isUp ? "up" : "down",
        openclaw: gateway.report,
        streams: link.streamCount,
        version: VERSION,
      }),
      cut: (device) => link.cutOnHost(device),
    });
    const end = async (code: number): Promise<void> => {
      link.stop();
      await gateway.stop();
      await local.close();
      resolve(code);
    };
    gateway.onReport((report) => {
      const reason = report.reason === undefined ? "" : ` (${report.reason})`;
      const expected = report.restartExpectedMs === undefined ? "" : `, about ${Math.ceil(report.restartExpectedMs / 1000)} s`;
      terminal.say(
        "openclaw",
        `OpenClaw ${report.version ?? ""}: ${report.state}${reason}${expected}${report.state === "unsafe" ? " — nothing is served. `gatehouse doctor` says how to mend it." : ""}`,
        { report },
      );
    });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(EXIT.done));
    local.ready.then(
      () => {
        gateway.start();
        link.start();
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

async function up(options: Options, code: string | undefined): Promise<number> {
  const { files } = options;
  if (files.read("gateway") === null || code !== undefined || files.read("enrolment") !== null) await enrol(options, code);
  return serve(options);
}

async function status({ terminal, files }: Options): Promise<number> {
  const answer = await askRunning(files.dir, { ask: "status" });
  if (answer === null) {
    terminal.fail(
      "not-running",
      files.read("gateway") === null ? "Not enrolled, not running." : "The connector is not running. Start it with: gatehouse run",
    );
    return EXIT.failed;
  }
  terminal.say("status", JSON.stringify(answer, null, 2), { status: answer });
  return EXIT.done;
}

function devices({ terminal, files }: Options): number {
  const grants = new Admitted(files, () => Date.now()).grants();
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

async function cut({ terminal, files }: Options, device: string | undefined): Promise<number> {
  if (device === undefined) {
    terminal.fail("usage", "Which device? `gatehouse devices` lists them.");
    return EXIT.usage;
  }
  const running = await askRunning(files.dir, { ask: "cut", device });
  if (running !== null) {
    terminal.say("cut", "Cut: its connections have ended, and OpenClaw's entry is removed as soon as OpenClaw runs.", {
      device,
      result: running,
    });
    return EXIT.done;
  }
  const admitted = new Admitted(files, () => Date.now());
  if (!admitted.revokeDevice(device)) {
    terminal.fail("not-found", `No device ${device} here. \`gatehouse devices\` lists them.`);
    return EXIT.failed;
  }
  admitted.saveCut({ device, by: "host", removed: 0, isDone: false, atMs: Date.now() });
  terminal.say("cut", "Cut on this machine. The connector finishes the rest when it runs again.", { device });
  return EXIT.done;
}

async function doctor({ terminal, files }: Options): Promise<number> {
  let failures = 0;
  const check = (name: string, isGood: boolean, text: string): void => {
    if (!isGood) failures += 1;
    terminal.say("check", `${isGood ? "ok  " : "FAIL"} ${name}: ${text}`, { check: name, ok: isGood, text });
  };
  const file = files.read("gateway");
  check("enrolled", file !== null, file === null ? "run `gatehouse up <code>`" : file.origin);
  try {
    const found = discoverGateway(process.env);
    check("secret", found.secret !== null, found.secretSource);
    const answer = await fetch(`http://${found.target.host}:${found.target.port}/healthz`).catch(() => null);
    check(
      "gateway",
      answer?.ok === true,
      answer?.ok === true
        ? `answers on port ${found.target.port}`
        : `nothing answers on port ${found.target.port}. Start it with: openclaw gateway run`,
    );
  } catch (error) {
    check("gateway", false, error instanceof DiscoverError ? error.message : "cannot be found");
  }
  const running = await askRunning(files.dir, { ask: "status" });
  const openclaw: { openclaw?: { state?: string; reason?: string } } | null = running;
  const report = openclaw?.openclaw;
  check("connector", running !== null, running === null ? "not running; start it with: gatehouse run" : "running");
  if (report !== undefined) {
    const cure: Record<string, string> = {
      "too-old": "update OpenClaw to 2026.8.1 or newer: older ones do not tell strangers from local users",
      "settings-missing": "run `gatehouse run --yes` to apply the settings it needs",
      "settings-refused": "run `gatehouse run --yes` to apply the settings it needs",
      "stranger-admitted":
        "a stranger would be let in: set gateway.nodes.pairing.autoApproveLocal to false and remove devices that were approved silently",
      "auth-failed": "the secret is wrong: set OPENCLAW_GATEWAY_TOKEN to the gateway's own",
    };
    check(
      "self-test",
      report.state === "online",
      report.state === "online" ? "a remote stranger is not let in" : `${report.state ?? ""} ${cure[report.reason ?? ""] ?? ""}`,
    );
  }
  return failures === 0 ? EXIT.done : EXIT.failed;
}

function install({ terminal, files }: Options): number {
  const program = path.join(import.meta.dirname, "gatehouse.mjs");
  const unit = `[Unit]\nDescription=Gatehouse connector\nAfter=network-online.target\n\n[Service]\nExecStart=${process.execPath} ${program} run --state ${files.dir}\nRestart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=default.target\n`;
  terminal.say(
    "install",
    `Save this as ~/.config/systemd/user/gatehouse.service, then run: systemctl --user enable --now gatehouse\n\n${unit}`,
    { unit },
  );
  return EXIT.done;
}

async function uninstall(options: Options): Promise<number> {
  const { terminal, files, yes } = options;
  if (!yes && !(terminal.isInteractive && (await terminal.confirm(`Put OpenClaw's settings back and delete ${files.dir}?`)))) {
    terminal.fail("needs-confirmation", "Nothing was changed. Run again with --yes.");
    return EXIT.needsConfirmation;
  }
  if ((await askRunning(files.dir, { ask: "status" })) !== null) {
    terminal.fail("running", "The connector is running. Stop it first, then run this again.");
    return EXIT.failed;
  }
  const applied = files.read("settings") ?? [];
  const file = files.read("gateway");
  if (applied.length > 0 && file !== null) {
    const admitted = new Admitted(files, () => Date.now());
    const changes = applied.map(({ path, before, after }) => ({ path, before, after }));
    const gateway = new LocalOpenclaw({
      env: process.env,
      origin: file.origin,
      bindings: admitted,
      now: () => Date.now(),
      approveSettings: () => Promise.resolve(false),
      keepSettings: () => undefined,
    });
    const back = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new Error("OpenClaw does not answer. Start it, then run this again: its settings were not put back and nothing was deleted."),
          ),
        15_000,
      );
      gateway.onReport((report) => {
        if (report.version === undefined) return;
        clearTimeout(timer);
        gateway.restoreSettings(changes).then(() => resolve(), reject);
      });
    });
    gateway.start();
    try {
      await back;
    } finally {
      await gateway.stop();
    }
    terminal.say(
      "settings-restored",
      `Put back:\n${settingsDiff(changes.map(({ path, before, after }) => ({ path, before: after, after: before })))}`,
    );
  }
  rmSync(files.dir, { recursive: true, force: true });
  terminal.say("uninstalled", "Removed. Delete the gateway in the dashboard to free its address.");
  return EXIT.done;
}

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      state: { type: "string" },
      app: { type: "string" },
      "check-words": { type: "string" },
      yes: { type: "boolean", short: "y" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean", short: "v" },
    },
  });
  const { values, positionals } = parsed;
  const terminal = new Terminal({ json: values.json === true });
  const [command, argument] = positionals;
  if (values.version === true) {
    terminal.say("version", VERSION, { version: VERSION });
    return EXIT.done;
  }
  if (values.help === true || command === undefined) {
    terminal.say("help", HELP, { help: HELP });
    return command === undefined && values.help !== true ? EXIT.usage : EXIT.done;
  }
  const commands: Readonly<Record<string, (options: Options) => Promise<number> | number>> = {
    up: (options) => up(options, argument),
    run: serve,
    status,
    doctor,
    devices,
    cut: (options) => cut(options, argument),
    install,
    uninstall,
  };
  const run = commands[command];
  if (run === undefined) {
    terminal.fail("usage", `Unknown command "${command}". See gatehouse --help.`);
    return EXIT.usage;
  }
  const files = new StateFiles(values.state ?? process.env["GATEHOUSE_STATE"] ?? path.join(os.homedir(), ".gatehouse"));
  const app = values.app ?? process.env["GATEHOUSE_APP_ORIGIN"] ?? bakedOrigin();
  try {
    return await run({ terminal, files, app, checkWords: values["check-words"], yes: values.yes === true });
  } catch (error) {
    if (error instanceof ControlPlaneError) {
      terminal.fail(error.code, error.message);
      return error.code === "needs-confirmation" ? EXIT.needsConfirmation : error.code === "usage" ? EXIT.usage : EXIT.refused;
    }
    if (error instanceof DamagedStateError || error instanceof DiscoverError) {
      terminal.fail("state", error.message);
      return EXIT.failed;
    }
    terminal.fail("failed", error instanceof Error ? error.message : "Something went wrong.");
    return EXIT.failed;
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : "wrong usage"}\nSee gatehouse --help.\n`);
  process.exitCode = EXIT.usage;
}
