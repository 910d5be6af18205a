/** What a room counts, what that costs, and the budget of a day (PROTOCOL.md BU). */
import * as z from "zod";
import { MAX_BUDGET_BYTES, MAX_BUDGET_MICRO_USD } from "./limits.ts";

/** What allowed devices cause; the budget is about these. `bytes` are those on the link, both ways. */
export const RELAYED = ["messages", "exchanges", "upgrades", "bytes", "awakeMs"] as const;
/**
 * What the owner, the connector's own messages, the door and time cause. Nobody who is not allowed can use up the budget with them.
 * `controls`: other WebSocket messages. `doorRequests`: requests to the room that were not relayed, links included. `calls`: of the API and to
 * the inbox. `rowsWritten`: in the room and, through the outbox, in D1.
 */
export const BESIDE = ["controls", "doorRequests", "calls", "alarms", "wakes", "rowsWritten", "otherAwakeMs"] as const;
export const COUNTED = [...RELAYED, ...BESIDE] as const;
export type Counted = (typeof COUNTED)[number];
export type Counts = Readonly<Record<Counted, number>>;

const count = z.number().min(0);
export const countsSchema = z.object({
  messages: count,
  exchanges: count,
  upgrades: count,
  bytes: count,
  awakeMs: count,
  controls: count,
  doorRequests: count,
  calls: count,
  alarms: count,
  wakes: count,
  rowsWritten: count,
  otherAwakeMs: count,
});

/** Most that allowed devices may cause on one UTC day; above it only the owner's devices get streams. Money in millionths of a dollar. */
export const budgetSchema = z.strictObject({
  microUsd: z.int().min(0).max(MAX_BUDGET_MICRO_USD),
  bytes: z.int().min(0).max(MAX_BUDGET_BYTES),
});
export type Budget = z.infer<typeof budgetSchema>;

/** `warned` from 80 % on, `over` from 100 %. */
export const BUDGET_LEVELS = ["ok", "warned", "over"] as const;
export type BudgetLevel = (typeof BUDGET_LEVELS)[number];

/** One meter of the platform's bill. */
export const costLineSchema = z.object({
  meter: z.enum(["object-requests", "object-duration", "rows-written", "worker-requests", "stored"]),
  /** Requests, GB-seconds, rows, requests, bytes. */
  units: z.number(),
  microUsd: z.int(),
});
export type CostLine = z.infer<typeof costLineSchema>;

/** GET /api/gateways/:id/usage -> usageSchema; PUT …/budget -> the same. Times in ms, money in millionths of a dollar, before what a plan includes. */
export const usageSchema = z.object({
  /** UTC, such as `2026-11`. */
  month: z.string(),
  counts: countsSchema,
  lines: z.array(costLineSchema),
  microUsd: z.int(),
  /** The month before, where the room still knows it. */
  lastMonthMicroUsd: z.int().nullable(),
  /** Of the budget: what allowed devices caused since 00:00 UTC. */
  today: z.object({ microUsd: z.int(), bytes: z.number() }),
  budget: budgetSchema,
  /** Used part of the budget; 1 is all of it. */
  share: z.number(),
  level: z.enum(BUDGET_LEVELS),
  resetsAtMs: z.int(),
  prices: z.object({ checked: z.string(), source: z.string() }),
});
export type Usage = z.infer<typeof usageSchema>;
