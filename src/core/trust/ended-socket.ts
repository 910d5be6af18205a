/**
 * What the room says on the socket of a session that it ended, in the words of OpenClaw 2026.9.6. Pure.
 *
 * The stock Control UI shows no sentence of a refusal where a person sees it: with the code for a removed device it asks for the gateway's secret, with
 * `PAIRING_REQUIRED` it prints a command that nobody should run, and with a code that it does not know it says "Reconnecting". Told that its
 * build is no longer served it asks for its own address with HEAD, loads itself anew, once for each `gatewayBuildId`, and so comes to the
 * door, which says what happened.
 */
import * as z from "zod";

const connectSchema = z.object({ type: z.literal("req"), id: z.string().min(1).max(128), method: z.literal("connect") });

/** First frame of a gateway on every socket. @param nonce any text @param nowMs the room's clock */
export function challengeFrame(nonce: string, nowMs: number): string {
  return JSON.stringify({ type: "event", event: "connect.challenge", payload: { nonce, ts: nowMs } });
}

/**
 * The answer to a page's `connect`.
 *
 * @param text what came
 * @param ended names the session: the page loads itself once for each name
 * @param sentence for whoever reads the frame
 * @returns null for anything else than `connect`
 */
export function endedFrame(text: string, ended: string, sentence: string): string | null {
  const request = readConnect(text);
  if (request === null) return null;
  const details = { code: "PROTOCOL_MISMATCH", gatewayBuildId: `gatehouse-ended-${ended}`, reloadRequired: true };
  return JSON.stringify({ type: "res", id: request.id, ok: false, error: { code: "UNAVAILABLE", message: sentence, details } });
}

function readConnect(text: string): z.infer<typeof connectSchema> | null {
  try {
    const parsed = connectSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
