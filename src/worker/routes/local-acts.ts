/** Approval origin: acts on a gateway's machine that an owner signs. The room judges early, the machine last (PROTOCOL.md SA). */
import type * as z from "zod";
import { localActAskSchema, localActAnswerSchema, localActsViewSchema } from "../../protocol/approval-api.ts";
import { LOCAL_ACT_ANSWER_MS } from "../../protocol/limits.ts";
import type { RoomResult } from "../room/rpc.ts";
import type { LocalActOutcome } from "../../protocol/words.ts";
import { route } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

const PATH = "/api/decisions/:gateway/local-acts";

/** A machine that went without a word must not hold the page for ever. */
function late(): Promise<RoomResult<LocalActOutcome>> {
  return new Promise((resolve) => {
    setTimeout(() => resolve({ ok: true, value: "unanswered" }), LOCAL_ACT_ANSWER_MS);
  });
}

export const localActRoutes = [
  route({
    method: "GET",
    path: PATH,
    summary: "What an owner may have done on the gateway's machine, and what waits there",
    auth: "account",
    answer: localActsViewSchema,
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      const { name, state, head, settings } = valueOf(await room.localActs({ account }));
      return { gateway, gatewayName: name, gatewayState: state, head, settings };
    },
  }),
  route<z.infer<typeof localActAskSchema>>({
    method: "POST",
    path: PATH,
    summary: "Has one act carried out on the gateway's machine, signed by an owner",
    auth: "account",
    body: localActAskSchema,
    answer: localActAnswerSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await Promise.race([room.localAct({ account, signed: call.body.signed }), late()])) };
    },
  }),
];
