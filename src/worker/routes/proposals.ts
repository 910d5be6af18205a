/** Widenings that a gateway's machine asks for: Cancel from the dashboard, Approve with a passkey on the approval origin. The room judges. */
import type * as z from "zod";
import { proposalApproveSchema, proposalNoticeSchema, proposalOutcomeSchema } from "../../protocol/proposals-api.ts";
import { hashSchema } from "../../protocol/statements.ts";
import { ApiError } from "../respond.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

const DECISION = "/api/decisions/:gateway/proposals/:proposal";

function proposalOf(call: Call<unknown>): string {
  const proposal = call.param("proposal");
  if (!hashSchema.safeParse(proposal).success) throw new ApiError("not-found");
  return proposal;
}

export const appProposalRoutes = [
  route({
    method: "POST",
    path: "/api/gateways/:gateway/proposals/:proposal/cancel",
    summary: "Ends a change that the gateway's machine asks for",
    auth: "account",
    answer: proposalOutcomeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await room.cancelProposal({ account, proposal: proposalOf(call) })) };
    },
  }),
];

export const approveProposalRoutes = [
  route({
    method: "GET",
    path: DECISION,
    summary: "What the gateway's machine asks an owner",
    auth: "account",
    answer: proposalNoticeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.proposal({ account, proposal: proposalOf(call) }));
    },
  }),
  route<z.infer<typeof proposalApproveSchema>>({
    method: "POST",
    path: `${DECISION}/approve`,
    summary: "Lets the change take effect, signed by an owner's passkey",
    auth: "account",
    body: proposalApproveSchema,
    answer: proposalOutcomeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const { signed } = call.body;
      return { outcome: valueOf(await room.approveProposal({ account, proposal: proposalOf(call), signed })) };
    },
  }),
];
