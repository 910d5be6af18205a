/** In which data centre a room lives. The platform names the one of the visitor (`cf.colo`), which need not be the room's. */
import { HOP_ROUND_MS } from "../../../protocol/limits.ts";
import { isLocalOrigin } from "../../config.ts";

/** Every data centre answers this for itself; what leaves the room comes out of its own. The one thing that is asked for outside, and only while the owner measures. */
const TRACE = "https://www.cloudflare.com/cdn-cgi/trace";

/**
 * @param appOrigin of this deployment: one on this machine has no data centre
 * @returns three letters, `local`, or null when it cannot be told; never rejects
 */
export async function whereabouts(appOrigin: string): Promise<string | null> {
  if (isLocalOrigin(appOrigin)) return "local";
  try {
    const answer = await fetch(TRACE, { signal: AbortSignal.timeout(HOP_ROUND_MS) });
    return /^colo=([A-Z]{3})$/m.exec(await answer.text())?.[1] ?? null;
  } catch {
    return null;
  }
}
