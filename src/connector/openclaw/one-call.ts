/** One short conversation with the gateway, for commands that ask something and end. */
import { ControlLeg } from "./rpc-client.ts";
import type { ControlState } from "./rpc-client.ts";
import { discoverGateway } from "./discover.ts";

export type AwayReason = Extract<ControlState, { state: "away" }>["why"];

/** Waiting does not change these: somebody has to do something. */
const FINAL: readonly AwayReason[] = ["not-running", "auth-failed", "no-secret"];

/**
 * Connects to the gateway beside this machine, does one piece of work and hangs up.
 *
 * @param withinMs how long a gateway that is away may take to come
 * @param isPatient also waits for one that is not running, or that refuses the secret
 * @returns what the work gave, or why the gateway was not reached; throws what the work throws
 */
export async function withGateway<T>(
  env: NodeJS.ProcessEnv,
  options: { readonly withinMs: number; readonly isPatient: boolean },
  work: (leg: ControlLeg, version: string) => Promise<T>,
): Promise<{ readonly value: T } | { readonly why: AwayReason }> {
  let why: AwayReason = "not-running";
  let timer: NodeJS.Timeout | undefined;
  let leg: ControlLeg | undefined;
  try {
    const version = await new Promise<string | null>((resolve) => {
      timer = setTimeout(() => resolve(null), options.withinMs);
      leg = new ControlLeg(() => discoverGateway(env), {
        onState: (state) => {
          if (state.state === "ready") return resolve(state.version);
          ({ why } = state);
          if (!options.isPatient && FINAL.includes(why)) resolve(null);
        },
        onEvent: () => undefined,
      });
      leg.start();
    });
    return version === null || leg === undefined ? { why } : { value: await work(leg, version) };
  } finally {
    clearTimeout(timer);
    leg?.stop();
  }
}
