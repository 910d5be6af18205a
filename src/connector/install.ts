/** `gatehouse install` and `gatehouse uninstall`: starting with the machine, and leaving it as it was found. */
import { existsSync } from "node:fs";
import path from "node:path";
import { EXIT } from "./exit-codes.ts";
import { keyLogPath } from "./key-log-file.ts";
import { askRunning } from "./local-control.ts";
import type { ControlLeg } from "./openclaw/control-leg.ts";
import { withGateway } from "./openclaw/one-leg.ts";
import { GatewayAwayError } from "./openclaw/openclaw-port.ts";
import { applySettings, planRestore, planTidy, settingsDiff } from "./openclaw/settings.ts";
import type { SettingChange } from "./openclaw/settings.ts";
import type { Options } from "./options.ts";
import { appliedSettings } from "./applied-settings.ts";

/** A small machine takes its time to restart OpenClaw when its trusted proxies change. */
const RESTORE_WITHIN_MS = 45_000;

/** One word of systemd's ExecStart (systemd.service(5), "Command lines"). */
function unitWord(text: string): string {
  const escaped = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /[\s"'\\;]/.test(escaped) ? `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : escaped;
}

/**
 * A killed connector is to be back within two seconds, and however often it ends: the wait for the control plane is in the program itself.
 *
 * @returns a systemd user unit that keeps `gatehouse run` alive, except after an end that dialling again would not change
 */
function serviceUnit(words: readonly string[]): string {
  return `[Unit]
Description=Gatehouse connector
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${words.map(unitWord).join(" ")}
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=${EXIT.usage} ${EXIT.refused} ${EXIT.superseded}

[Install]
WantedBy=default.target
`;
}

/** Prints; changes nothing. @returns the exit code */
export function install({ terminal, files }: Options): number {
  const program = path.join(import.meta.dirname, "gatehouse.mjs");
  const words = [process.execPath, program, "run", "--state", files.dir];
  const unit = serviceUnit(words);
  const systemd = existsSync("/run/systemd/system");
  const how = systemd
    ? "Save this as ~/.config/systemd/user/gatehouse.service, then run:\n  systemctl --user enable --now gatehouse\n  loginctl enable-linger"
    : `There is no systemd here. Let this machine start the command in its own way:\n  ${words.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(" ")}\nWhere there is systemd, it is this unit:`;
  const isFleeting = program.includes(`${path.sep}_npx${path.sep}`);
  const note = isFleeting
    ? "\nThe program lies in npx's cache, which may be emptied. Install it for good with `npm install -g`, then run this again."
    : "";
  terminal.say("install", `${how}\n\n${unit}${note}`, { unit, command: words, systemd, fleeting: isFleeting });
  return EXIT.done;
}

const AWAY_TEXTS = {
  "not-running": "OpenClaw does not answer. Start it",
  starting: "OpenClaw does not answer yet. Wait until it has started",
  restarting: "OpenClaw restarts. Wait until it has started",
  "auth-failed": "OpenClaw refuses the secret. Set OPENCLAW_GATEWAY_TOKEN to its own",
  "no-secret": "OpenClaw's secret was not found. Set OPENCLAW_GATEWAY_TOKEN",
} as const;

const ASK_TRIES = 3;

/**
 * One thing that is asked of the gateway, again when it went away or did not answer: it may be taking the change in just then.
 *
 * @param work reads before it writes, so that twice is as good as once
 * @throws Error with a cure when it is not reached
 */
async function asked<T>(work: (leg: ControlLeg) => Promise<T>): Promise<T> {
  let why: keyof typeof AWAY_TEXTS = "not-running";
  for (let tries = 0; tries < ASK_TRIES; tries += 1) {
    try {
      const done = await withGateway(process.env, { withinMs: RESTORE_WITHIN_MS, isPatient: true }, work);
      if ("value" in done) return done.value;
      ({ why } = done);
      break;
    } catch (error) {
      if (!(error instanceof GatewayAwayError)) throw error;
    }
  }
  throw new Error(`${AWAY_TEXTS[why]}, then run this again: its settings were not put back and nothing was deleted.`);
}

/** Takes our changes back through the gateway's own RPC. @returns what was written */
async function restore(applied: readonly SettingChange[]): Promise<readonly SettingChange[]> {
  let written: readonly SettingChange[] = [];
  await asked((leg) =>
    applySettings(leg, (config) => {
      const changes = planRestore(config, applied);
      // A second try finds the first one's work done, when only its answer was lost.
      if (changes.length > 0) written = changes;
      return changes;
    }),
  );
  // A conversation of its own: the gateway ends the one in which its trusted proxies changed.
  await asked((leg) => applySettings(leg, (config) => planTidy(config, applied)));
  return written;
}

/** @returns the exit code; throws Error with a cure when the gateway is not reached: then nothing was deleted */
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
  const applied = appliedSettings(files);
  if (applied.length > 0) {
    const restored = await restore(applied);
    const text = restored.length === 0 ? "OpenClaw's settings were as before already." : `Put back:\n${settingsDiff(restored)}`;
    terminal.say("settings-restored", text, { changes: restored });
  }
  const isGone = files.removeAll([path.basename(keyLogPath(files)), "control.sock", "lock.", "lock-"]);
  const kept = isGone ? "" : ` ${files.dir} stays: it holds files that are not Gatehouse's.`;
  terminal.say("uninstalled", `Removed.${kept} Delete the gateway in the dashboard to free its address.`, { folderRemoved: isGone });
  return EXIT.done;
}
