/** The HTTP API about widenings that a gateway's machine asks for. Rules: PROTOCOL.md LP. */
import * as z from "zod";
import { ownerPolicySchema, proposedChangeSchema } from "./key-log.ts";
import { gatewayIdSchema, hashSchema, signedByOwnerSchema } from "./statements.ts";

const ms = z.int();

/** What every owner is shown until one answers; also GET /api/decisions/:gateway/proposals/:proposal. */
export const proposalNoticeSchema = z.object({
  /** Hash of the proposal's entry in the key log. */
  id: hashSchema,
  gateway: gatewayIdSchema,
  gatewayName: z.string(),
  change: proposedChangeSchema,
  /** The policy now, which a change of policy is compared with. */
  policy: ownerPolicySchema,
  /** The machine acts on it already, and the room does not. */
  isEarly: z.boolean(),
  atMs: ms,
  /** When time alone is enough; null: never, or not counting yet. */
  effectAtMs: ms.nullable(),
});
export type ProposalNotice = z.infer<typeof proposalNoticeSchema>;

/** POST …/approve: wideningStatement, signed by an owner passkey -> proposalOutcomeSchema. POST /api/gateways/:gateway/proposals/:proposal/cancel -> the same. */
export const proposalApproveSchema = z.object({ signed: signedByOwnerSchema });
/** `waiting`: the machine hears of it when it is back. `refused`: the machine did not take it. */
export const proposalOutcomeSchema = z.object({ outcome: z.enum(["done", "waiting", "refused"]) });
export type ProposalOutcome = z.infer<typeof proposalOutcomeSchema>;
