/** Commands for the person at the gateway's machine: how things stand, ending access, coming and going of the program. */
import { rmSync } from "node:fs";
import path from "node:path";
import { Admitted } from "./admitted.ts";
import { EXIT } from "./exit-codes.ts";
import { loadIdentity } from "./identity.ts";
import { KeyLog } from "./key-log-file.ts";
import { askRunning } from "./local-control.ts";
import { DiscoverError, discoverGateway } from "./openclaw/discover.ts";
import { LocalOpenclaw } from "./openclaw/openclaw-gateway.ts";
import { settingsDiff } from "./openclaw/settings.ts";
import type { Options } from "./options.ts";
import type { StateFiles } from "./state-files.ts";

async function openAdmitted(files: StateFiles): Promise<Admitted> {
  return new Admitted(files, await KeyLog.open(files, loadIdentity(files)), () => Date.now());
}

/** @returns the exit code */
export async function status({ terminal, files }: Options): Promise<number> {
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

/** @returns the exit code */
export async function devices({ terminal, files }: Options): Promise<number> {
  const grants = (await openAdmitted(files)).grants();
  for (const { statement, isRevoked, isConfirmed } of grants) {
    const state = isRevoked ? "cut" : !isConfirmed ? "waiting" : statement.notAfterMs <= Date.now() ? "expired" : "allowed";
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
  const running = await askRunning(files.dir, { ask: "cut", device });
  if (running !== null) {
    terminal.say("cut", "Cut: its connections have ended, and OpenClaw's entry is removed as soon as OpenClaw runs.", {
      device,
      result: running,
    });
    return EXIT.done;
  }
  const admitted = await openAdmitted(files);
  if (!admitted.grants().some((grant) => grant.statement.device === device)) {
    terminal.fail("not-found", `No device ${device} here. \`gatehouse devices\` lists them.`);
    return EXIT.failed;
  }
  await admitted.revokeDevice(device, "host");
  admitted.saveCut({ device, by: "host", removed: 0, isDone: false, atMs: Date.now() });
  terminal.say("cut", "Cut on this machine. The connector finishes the rest when it runs again.", { device });
  return EXIT.done;
}

/** @returns the exit code */
export async function doctor({ terminal, files }: Options): Promise<number> {
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

/** @returns the exit code */
export function install({ terminal, files }: Options): number {
  const program = path.join(import.meta.dirname, "gatehouse.mjs");
  const unit = `[Unit]\nDescription=Gatehouse connector\nAfter=network-online.target\n\n[Service]\nExecStart=${process.execPath} ${program} run --state ${files.dir}\nRestart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=default.target\n`;
  terminal.say(
    "install",
    `Save this as ~/.config/systemd/user/gatehouse.service, then run: systemctl --user enable --now gatehouse\n\n${unit}`,
    { unit },
  );
  return EXIT.done;
}

/** @returns the exit code */
export async function uninstall(options: Options): Promise<number> {
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
    // Works with a damaged key log, too: it is the way out of it.
    const bindings = { bound: () => [], bind: () => undefined, unbind: () => undefined };
    const changes = applied.map(({ path, before, after }) => ({ path, before, after }));
    const gateway = new LocalOpenclaw({
      env: process.env,
      origin: file.origin,
      bindings,
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
