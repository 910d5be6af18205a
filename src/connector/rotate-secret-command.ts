/** `gatehouse rotate-secret`: a new secret for OpenClaw, through the running connector or without one. */
import type { LocalActOutcome } from "../protocol/words.ts";
import { EXIT } from "./exit-codes.ts";
import { askRunning } from "./local-control.ts";
import { withGateway } from "./openclaw/one-leg.ts";
import { rotateSecret } from "./openclaw/rotate-secret.ts";
import type { Options } from "./options.ts";
import { StaleTokens } from "./stale-tokens.ts";

const REACH_WITHIN_MS = 10_000;

const PROBLEMS: Readonly<Partial<Record<LocalActOutcome, string>>> = {
  "from-environment":
    "The secret comes from the environment, so it was not changed. Change OPENCLAW_GATEWAY_TOKEN or _PASSWORD where OpenClaw and Gatehouse are started.",
  "secret-reference":
    "OpenClaw's config holds a reference to the secret, so it was not changed. Change it in the secret store, then restart OpenClaw.",
  "gateway-away": "OpenClaw did not answer, so the secret was not changed. Start it, then run this again.",
  "not-taken": "OpenClaw refused the change. Look at its log; its config may be read-only.",
};

/** @returns the exit code */
export async function rotateSecretHere({ terminal, files }: Pick<Options, "terminal" | "files">): Promise<number> {
  const running: { readonly outcome?: LocalActOutcome } | null = await askRunning(files.dir, { ask: "rotate-secret" });
  const outcome = running === null ? await alone(new StaleTokens(files)) : (running.outcome ?? "internal");
  if (outcome === "done") {
    terminal.say("rotate-secret", "OpenClaw has a new secret. The old one opens nothing. Devices stay or come back.", { ok: true });
    return EXIT.done;
  }
  terminal.fail("rotate-secret", PROBLEMS[outcome] ?? "That did not work. `gatehouse doctor` looks for the cause.", { why: outcome });
  return EXIT.failed;
}

async function alone(staleTokens: StaleTokens): Promise<LocalActOutcome> {
  const done = await withGateway(process.env, { withinMs: REACH_WITHIN_MS, isPatient: false }, (leg) =>
    rotateSecret(leg, process.env, staleTokens),
  );
  return "value" in done ? done.value : "gateway-away";
}
