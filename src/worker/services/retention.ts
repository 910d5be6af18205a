/** Once a day: what the database keeps only for a while goes (PROTOCOL.md AB9). */
import { ACTIVITY_DAYS, RETENTION_SLICE, RETENTION_SLICES } from "../../protocol/limits.ts";
import { dropExpired } from "../db/account-queries.ts";
import { dropActivity, dropRequests } from "../db/retention-queries.ts";
import type { Env } from "../env.ts";
import { workerFailures } from "../failures.ts";

const DAY_MS = 24 * 3_600_000;

/** Deletes in slices, so that nobody waits behind it; what is left goes the next day. Never throws: a failure has its line. */
export async function dropWhatIsOld(env: Env, nowMs: number): Promise<void> {
  const beforeMs = nowMs - ACTIVITY_DAYS * DAY_MS;
  try {
    for (const drop of [dropActivity, dropRequests])
      for (let slice = 0; slice < RETENTION_SLICES; slice += 1) if ((await drop(env.DB, beforeMs)) < RETENTION_SLICE) break;
    await dropExpired(env.DB, nowMs);
  } catch (error) {
    workerFailures(env)("retention", error);
  }
}
