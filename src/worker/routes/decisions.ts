/** Approval origin: the owner's decisions. The room judges; this only says who asks. */
import type * as z from "zod";
import {
  allowSchema,
  decisionSchema,
  denySchema,
  matchSchema,
  ownerGrantSchema,
  pairingRequestSchema,
} from "../../protocol/approval-api.ts";
import { isGatewayId } from "../auth/gateway-id.ts";
import { passkeyByCredential } from "../db/account-queries.ts";
import { ApiError } from "../respond.ts";
import type { RoomResult } from "../room/rpc.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";

/** @returns the value, or throws the API error that belongs to the room's failure */
export function valueOf<T>(result: RoomResult<T>): T {
  if (result.ok) return result.value;
  throw new ApiError(result.failure, result.triesLeft === undefined ? {} : { triesLeft: result.triesLeft });
}

/** The room of a gateway: it alone says what the caller may do there. A guess dies here, with the same 404 as for none. */
export async function roomOf(call: Call<unknown>) {
  const gateway = call.param("gateway");
  if (!(await isGatewayId(call.env, gateway))) throw new ApiError("not-found");
  return { gateway, room: call.env.ROOM.getByName(gateway), account: call.session.account };
}

/** @returns what the account calls this passkey, or null; only for people to read, so that D1 away stops no decision */
export async function passkeyName(call: Call<unknown>, credentialId: string): Promise<string | null> {
  try {
    const passkey = await passkeyByCredential(call.env.DB, credentialId);
    return passkey?.accountId === call.session.account ? passkey.name : null;
  } catch {
    return null;
  }
}

const REQUEST = "/api/decisions/:gateway/requests/:request";

export const decisionRoutes = [
  route({
    method: "GET",
    path: REQUEST,
    summary: "What the owner is asked",
    auth: "account",
    answer: pairingRequestSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.request({ account, request: call.param("request") }));
    },
  }),
  route<z.infer<typeof matchSchema>>({
    method: "POST",
    path: `${REQUEST}/match`,
    summary: "Checks the four digits; the third wrong try ends the request",
    auth: "account",
    body: matchSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.checkMatchCode({ account, request: call.param("request"), code: call.body.code }));
      return { ok: true };
    },
  }),
  route<z.infer<typeof allowSchema>>({
    method: "POST",
    path: `${REQUEST}/allow`,
    summary: "Allows the device with a signed grant",
    auth: "account",
    body: allowSchema,
    answer: decisionSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const { code, signed } = call.body;
      const by = await passkeyName(call, signed.assertion.credentialId);
      return valueOf(await room.allow({ account, request: call.param("request"), code, signed, by }));
    },
  }),
  route<z.infer<typeof denySchema>>({
    method: "POST",
    path: `${REQUEST}/deny`,
    summary: "Denies the device, and can block it",
    auth: "account",
    body: denySchema,
    answer: decisionSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const { device } = valueOf(await room.deny({ account, request: call.param("request"), block: call.body.block }));
      return { outcome: "denied", device };
    },
  }),
  route({
    method: "GET",
    path: "/api/decisions/:gateway/owner",
    summary: "The gateway that the owner is about to open on this device",
    auth: "account",
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      const { name, state, head, ceiling } = valueOf(await room.opening({ account }));
      return { gatewayName: name, gatewayState: state, origin: call.config.gatewayOrigin(gateway), head, ceiling };
    },
  }),
  route<z.infer<typeof ownerGrantSchema>>({
    method: "POST",
    path: "/api/decisions/:gateway/owner",
    summary: "Same-device grant, activated by a one-time code",
    auth: "account",
    body: ownerGrantSchema,
    answer: decisionSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const { signed } = call.body;
      return valueOf(await room.ownerGrant({ account, signed, by: await passkeyName(call, signed.assertion.credentialId) }));
    },
  }),
];
