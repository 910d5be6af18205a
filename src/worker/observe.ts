/** After each request: a point of the metrics, and for some a line of the log. Neither delays or fails the answer. */
import { LOG_ONE_IN, isLogged, readOneIn } from "../core/measure/log-sampling.ts";
import type { Defer } from "./edge-cache.ts";
import type { Env } from "./env.ts";
import { count, log } from "./log.ts";
import { logId } from "./log-id.ts";
import { noteOf } from "./request-note.ts";

export interface Observed {
  readonly status: number;
  readonly ms: number;
  /** Evenly between 0 and 1, 1 excluded: which of the requests that went well have a line. */
  readonly draw: number;
}

/** @param defer for the line, which takes a moment to make. Never throws */
export function observe(request: Request, env: Env, { status, ms, draw }: Observed, defer: Defer): void {
  const { route, decision, gateway, account, code } = noteOf(request);
  const { colo } = (request.cf ?? {}) as { colo?: unknown };
  count(env.METRICS, { index: route, blobs: [route, decision, typeof colo === "string" ? colo : ""], doubles: [status, ms] });
  if (!isLogged(decision, readOneIn(env.LOG_SAMPLE) ?? LOG_ONE_IN, draw)) return;
  const line = async (): Promise<void> => {
    log({
      event: "request",
      route,
      status,
      ms,
      decision,
      ...(gateway === null ? {} : { gateway: await logId(env, gateway) }),
      ...(account === null ? {} : { account: await logId(env, account) }),
      ...(code === null ? {} : { code }),
    });
  };
  defer(line().catch(() => undefined));
}
