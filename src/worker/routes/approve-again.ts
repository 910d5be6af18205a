/** Approval origin: devices that must be approved again because another machine was connected. The room judges. */
import type * as z from "zod";
import { approveAgainSchema, approveAgainViewSchema, approvedAgainSchema } from "../../protocol/approval-api.ts";
import { MAX_LIST_BODY_BYTES } from "../../protocol/limits.ts";
import { route } from "./checked-route.ts";
import { passkeyName, roomOf, valueOf } from "./decisions.ts";

const PATH = "/api/decisions/:gateway/approve-again";

export const approveAgainRoutes = [
  route({
    method: "GET",
    path: PATH,
    summary: "Devices that must be approved again, with their former grants",
    auth: "account",
    answer: approveAgainViewSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.approveAgainView({ account }));
    },
  }),
  route<z.infer<typeof approveAgainSchema>>({
    method: "POST",
    path: PATH,
    summary: "Approves such devices with grants that one gesture signed",
    auth: "account",
    body: approveAgainSchema,
    maxBodyBytes: MAX_LIST_BODY_BYTES,
    answer: approvedAgainSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const { statements, list, assertion } = call.body;
      const by = await passkeyName(call, assertion.credentialId);
      const signed = statements.map((statement) => ({ statement, list, assertion }));
      return { results: valueOf(await room.approveAgain({ account, signed, by })) };
    },
  }),
];
