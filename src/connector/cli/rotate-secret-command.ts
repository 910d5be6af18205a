/** `gatehouse rotate-secret`: a new secret for OpenClaw, through the running connector or without one. */
import type { LocalActOutcome } from "../../protocol/words.ts";
import { EXIT } from "../exit-codes.ts";
import { askRunning } from "../trust/local-control.ts";
import { withGateway } from "../openclaw/one-call.ts";
import { rotateSecret } from "../openclaw/rotate-secret.ts";
import type { Options } from "./options.ts";
import { thisMachine } from "../service/machine.ts";
import { installedService } from "../service/places.ts";
import type { Machine } from "../service/places.ts";
import { StaleTokens } from "../trust/stale-tokens.ts";

const REACH_WITHIN_MS = 10_000;

const PROBLEMS: Readonly<Partial<Record<LocalActOutcome, string>>> = {
  "from-environment":
    "The secret comes from the environment, by a variable, a named file or ${NAME} in OpenClaw's config, so it was not changed. Change it where OpenClaw and Gatehouse are started.",
  "secret-reference":
    "OpenClaw's config holds a reference to the secret, so it was not changed. Change it in the secret store, then restart OpenClaw.",
  "source-unknown":
    "Where OpenClaw keeps the secret cannot be seen from here, so it was not changed. Name its config with OPENCLAW_CONFIG_PATH, or change the secret there: openclaw config set gateway.auth.token",
  "gateway-away": "OpenClaw did not answer, so the secret was not changed. Start it, then run this again.",
  "not-taken": "OpenClaw refused the change. Look at its log; its config may be read-only.",
};

/** @returns what to run where the installed service has a file of its own with the secret, which only root may write; else nothing */
export function serviceHint(dir: string, machine: Machine): string {
  const service = installedService(machine, dir);
  const file = service?.manifest.openclaw.secret ?? null;
  if (service === null || file === null) return "";
  const [sudo, user] = service.manifest.kind === "system" ? ["sudo ", ""] : ["", "--user "];
  return ` The service reads it from ${file}: write the new one there, then run: ${sudo}systemctl ${user}restart ${service.manifest.unit}`;
}

/** @returns the exit code */
export async function rotateSecretHere(
  { terminal, files }: Pick<Options, "terminal" | "files">,
  machine: Machine = thisMachine(),
): Promise<number> {
  const running: { readonly outcome?: LocalActOutcome } | null = await askRunning(files.dir, { ask: "rotate-secret" });
  const outcome = running === null ? await alone(new StaleTokens(files)) : (running.outcome ?? "internal");
  if (outcome === "done") {
    terminal.say("rotate-secret", "OpenClaw has a new secret. The old one opens nothing. Devices stay or come back.", { ok: true });
    return EXIT.done;
  }
  const hint = outcome === "from-environment" ? serviceHint(files.dir, machine) : "";
  const problem = PROBLEMS[outcome] ?? "That did not work. `gatehouse doctor` looks for the cause.";
  terminal.fail("rotate-secret", `${problem}${hint}`, { why: outcome });
  return EXIT.failed;
}

async function alone(staleTokens: StaleTokens): Promise<LocalActOutcome> {
  const done = await withGateway(process.env, { withinMs: REACH_WITHIN_MS, isPatient: false }, (leg) =>
    rotateSecret(leg, process.env, staleTokens),
  );
  return "value" in done ? done.value : "gateway-away";
}
