/** `gatehouse uninstall`: leaves the machine as it was found. */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { EXIT } from "../exit-codes.ts";
import { askRunning } from "../trust/local-control.ts";
import type { ControlLeg } from "../openclaw/rpc-client.ts";
import { withGateway } from "../openclaw/one-call.ts";
import { GatewayAwayError } from "../openclaw/openclaw-port.ts";
import { applySettings, planRestore, planTidy, settingsDiff } from "../openclaw/settings.ts";
import type { SettingChange } from "../openclaw/settings.ts";
import type { Options } from "./options.ts";
import { thisMachine } from "../service/machine.ts";
import { installedService, severalServices } from "../service/places.ts";
import type { Machine, Manifest } from "../service/places.ts";
import { removeService, stopService } from "../service/service.ts";
import { appliedSettings } from "../trust/applied-settings.ts";
import { StateFolderError, isOurName, ownerOfFolder } from "../state/state-folder.ts";
import { StateFiles } from "../state/state-files.ts";

/** A small machine takes its time to restart OpenClaw when its trusted proxies change. */
const RESTORE_WITHIN_MS = 45_000;

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
async function asked<T>(env: NodeJS.ProcessEnv, work: (leg: ControlLeg) => Promise<T>): Promise<T> {
  let why: keyof typeof AWAY_TEXTS = "not-running";
  for (let tries = 0; tries < ASK_TRIES; tries += 1) {
    try {
      const done = await withGateway(env, { withinMs: RESTORE_WITHIN_MS, isPatient: true }, work);
      if ("value" in done) return done.value;
      ({ why } = done);
      break;
    } catch (error) {
      if (!(error instanceof GatewayAwayError)) throw error;
    }
  }
  throw new Error(`${AWAY_TEXTS[why]}, then run this again: its settings were not put back and nothing was deleted.`);
}

/** Settings of OpenClaw that Gatehouse may have changed. */
const OUR_SETTINGS = [
  "gateway.trustedProxies",
  "gateway.controlUi.allowedOrigins",
  "gateway.nodes.pairing.autoApproveLocal",
  "gateway.publicOrigin",
] as const;

/** A folder that is lost, or was never used: nobody here knows what was changed in OpenClaw's settings, so nothing may be said to be put back. */
function sayUnknown(terminal: Options["terminal"]): void {
  const commands = OUR_SETTINGS.map((path) => `openclaw config unset ${path}`);
  const text = `What Gatehouse changed in OpenClaw's settings is not noted here, so nothing was put back. If this OpenClaw was used with Gatehouse, look at each of these with openclaw config get, and take out what you did not set yourself:\n${commands.map((each) => `  ${each}`).join("\n")}`;
  terminal.say("settings-unknown", text, { commands });
}

/** Takes our changes back through the gateway's own RPC. @returns what was written */
async function restore(env: NodeJS.ProcessEnv, applied: readonly SettingChange[]): Promise<readonly SettingChange[]> {
  let written: readonly SettingChange[] = [];
  await asked(env, (leg) =>
    applySettings(leg, (config) => {
      const changes = planRestore(config, applied);
      // A second try finds the first one's work done, when only its answer was lost.
      if (changes.length > 0) written = changes;
      return changes;
    }),
  );
  // A conversation of its own: the gateway ends the one in which its trusted proxies changed.
  await asked(env, (leg) => applySettings(leg, (config) => planTidy(config, applied)));
  return written;
}

/** The way to OpenClaw that the service had. */
function gatewayEnv({ env }: Machine, manifest: Manifest | null): NodeJS.ProcessEnv {
  if (manifest === null) return env;
  const { config, secret, secretKind, url } = manifest.openclaw;
  const all: NodeJS.ProcessEnv = { ...env };
  if (config !== null) all["OPENCLAW_CONFIG_PATH"] = config;
  if (url !== null) all["OPENCLAW_URL"] = url;
  if (secret !== null) all[`OPENCLAW_GATEWAY_${secretKind === "token" ? "TOKEN" : "PASSWORD"}_FILE`] = secret;
  return all;
}

/** @returns the exit code; throws Error with a cure when the gateway is not reached: then no state was deleted */
export async function uninstall({ terminal, files: named, yes }: Options, machine: Machine = thisMachine()): Promise<number> {
  const service = installedService(machine, named.dir);
  const several = service === null && !existsSync(path.join(named.dir, "gateway.json")) ? severalServices(machine, named.dir) : null;
  if (several !== null) {
    terminal.fail("several-services", several);
    return EXIT.needsConfirmation;
  }
  const isSystem = service?.manifest.kind === "system";
  const files = isSystem ? new StateFiles(service.manifest.stateDir) : named;
  // The system's own folder is known by its note, and only root can read it.
  if (!isSystem && ownerOfFolder(files.dir) === "foreign")
    throw new StateFolderError(`${files.dir} is no state folder of Gatehouse. Nothing was changed.`);
  const what = service === null ? "" : ", remove the service";
  if (!yes && !(terminal.isInteractive && (await terminal.confirm(`Put OpenClaw's settings back${what} and delete ${files.dir}?`)))) {
    terminal.fail("needs-confirmation", "Nothing was changed. Run again with --yes.");
    return EXIT.needsConfirmation;
  }
  if (isSystem && machine.uid !== 0) {
    terminal.fail("needs-root", "The service belongs to the system. Run: sudo gatehouse uninstall");
    return EXIT.failed;
  }
  if (service !== null && machine.hasSystemd) stopService(machine, service.manifest.kind, service.manifest.unit);
  if ((await askRunning(files.dir, { ask: "status" })) !== null) {
    terminal.fail("running", "The connector is running. Stop it first, then run this again.");
    return EXIT.failed;
  }
  const isKnown = files.read("settings") !== null;
  const applied = appliedSettings(files);
  if (!isKnown) sayUnknown(terminal);
  if (applied.length > 0) {
    const restored = await restore(gatewayEnv(machine, service?.manifest ?? null), applied);
    const text = restored.length === 0 ? "OpenClaw's settings were as before already." : `Put back:\n${settingsDiff(restored)}`;
    terminal.say("settings-restored", text, { changes: restored });
  }
  const isGone = files.removeAll(isOurName);
  if (service !== null) {
    const gone = removeService(service.places, machine);
    if (isSystem) rmSync(service.places.stateDir, { force: true });
    terminal.say("service-removed", `Removed the service:\n${gone.map((file) => `  ${file}`).join("\n")}`, { files: gone });
  }
  const kept = isGone ? "" : ` ${files.dir} stays: it holds other files, or another gateway.`;
  const removed = isKnown ? "Removed." : "Removed what was here.";
  terminal.say("uninstalled", `${removed}${kept} Delete the gateway in the dashboard to free its address.`, { folderRemoved: isGone });
  return EXIT.done;
}
