/** What a device needs to open a session, and telling it to the page that waits (PROTOCOL.md SE1). */
import type { ChallengeResponse } from "../../../protocol/door-messages.ts";
import { NONCE_MS } from "../../../protocol/limits.ts";
import type { LinkResult } from "../../../protocol/link-messages.ts";
import { mintRoomNonce } from "../../auth/room-nonce.ts";
import type { Admission } from "../context.ts";
import { isBlocked } from "../devices/blocks.ts";
import { sendToDoor } from "../outbound/inbox-feed.ts";

/**
 * Everything that a page needs to decide what to show, with fresh nonces of room and, for an allowed device, connector. Stores nothing.
 *
 * @param first a nonce that the connector sent by itself; it is asked for one unless given
 * @throws Error when the room was never set up
 */
export async function challengeAnswer(admission: Admission, device: string, first?: LinkResult["first"]): Promise<ChallengeResponse> {
  const { now, config, env, random } = admission.options;
  const meta = admission.mustMeta();
  const row = admission.device(device);
  const isGood = row !== null && row.state !== "cut" && row.notAfterMs > now();
  const standing =
    // An owner's grant that waits for its code opens also here (PROTOCOL.md BL4).
    (isBlocked(admission, device) && !(isGood && row.activation !== null)) || (isGood && row.suspendedAtMs !== undefined)
      ? "blocked"
      : !isGood
        ? "unknown"
        : row.state === "allowed"
          ? "allowed"
          : row.state === "waiting"
            ? "decided"
            : "approve-again";
  // A stranger's page opens no session: it costs the connector nothing.
  const connector = standing === "allowed" && admission.state() === "online" ? (first ?? (await admission.relay.nonce())) : null;
  return {
    gateway: meta.gateway,
    gatewayName: meta.name,
    gatewayState: admission.state(),
    ...admission.restart(),
    lastSeenMs: admission.gatewaySeenMs(),
    approveOrigin: config.approveOrigin,
    serverTimeMs: now(),
    roomNonce: await mintRoomNonce(env, meta.gateway, random(10), now() + NONCE_MS),
    connector: connector === null ? null : { nonce: connector.nonce, key: connector.connectorKey },
    device,
    standing,
    grant: isGood && standing !== "approve-again" ? { id: row.grant, access: row.access, notAfterMs: row.notAfterMs } : null,
  };
}

/**
 * Tells the waiting pages of a device that it is in. One of them gets what it opens its session with, so that it need not ask; nonces work once,
 * so the others ask.
 *
 * @param first of the connector's result, if it sent one
 */
export async function tellAllowed(admission: Admission, device: string, first: LinkResult["first"]): Promise<void> {
  const opening = first === undefined ? undefined : await challengeAnswer(admission, device, first);
  const [page, ...others] = admission.notices.waitingPages(device);
  if (page !== undefined) sendToDoor(page, { type: "allowed", live: true, ...(opening === undefined ? {} : { opening }) });
  for (const other of others) sendToDoor(other, { type: "allowed", live: true });
}
