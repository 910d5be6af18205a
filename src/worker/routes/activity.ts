/** App origin: what happened, at the account's own gateways and at those that it joined. */
import { activitySchema } from "../../protocol/api.ts";
import { auditOf } from "../db/account-queries.ts";
import { gatewaysJoined, gatewaysOf } from "../db/gateway-queries.ts";
import type { GatewayRow } from "../db/gateway-queries.ts";
import type { Env } from "../env.ts";
import { workerFailures } from "../failures.ts";
import { ApiError } from "../respond.ts";
import { route } from "./checked-route.ts";

const ACTIVITY_PAGE = 100;

/** Place of an event in the activity: time and id, because one millisecond may hold several. @throws ApiError bad-request */
function readPlace(text: string | undefined): { readonly atMs: number; readonly id: string } | null {
  if (text === undefined) return null;
  const [, atMs, id] = /^(\d{1,15})\.([a-z2-7]{26})$/.exec(text) ?? [];
  if (atMs === undefined || id === undefined) throw new ApiError("bad-request");
  return { atMs: Number(atMs), id };
}

/** @returns the gateways of others whose rooms let this account see what happened there */
async function gatewaysSeen(env: Env, account: string): Promise<GatewayRow[]> {
  const rows = await gatewaysJoined(env.DB, account);
  const seen = await Promise.all(
    rows.map((row) =>
      env.ROOM.getByName(row.id)
        .standing({ account })
        .catch((error: unknown) => {
          workerFailures(env)("room-view", error);
          return null;
        }),
    ),
  );
  return rows.filter((_row, at) => seen[at]?.ok === true);
}

export const activityRoutes = [
  route({
    method: "GET",
    path: "/api/activity",
    summary: "What happened, newest first; `before` is the `next` of an earlier answer",
    auth: "account",
    takesToken: true,
    answer: activitySchema,
    run: async ({ env, session, query }) => {
      const after = readPlace(query("before"));
      const [own, joined] = await Promise.all([gatewaysOf(env.DB, session.account), gatewaysSeen(env, session.account)]);
      const page = { after, gatewayId: query("gateway") ?? null, joined: joined.map((row) => row.id), limit: ACTIVITY_PAGE };
      const rows = await auditOf(env.DB, session.account, page);
      const gateways = [...own, ...joined];
      const last = rows.length === ACTIVITY_PAGE ? rows.at(-1) : undefined;
      const names = new Map(gateways.map((row) => [row.id, row.name]));
      const events = rows.map((row) => ({
        id: row.id,
        atMs: row.atMs,
        gateway: row.gatewayId,
        gatewayName: row.gatewayId === null ? null : (names.get(row.gatewayId) ?? null),
        device: row.deviceId,
        actor: row.actor,
        action: row.action,
        detail: JSON.parse(row.detail) as Record<string, string>,
      }));
      return { events, next: last === undefined ? null : `${last.atMs}.${last.id}` };
    },
  }),
];
