/** App origin: the gateways of an account, their enrolment, budget, measurements and files. */
import * as z from "zod";
import { gatewayCreatedSchema, gatewayDetailSchema, gatewayNameSchema, gatewaySchema, hopsSchema } from "../../protocol/api.ts";
import { budgetSchema, usageSchema } from "../../protocol/usage.ts";
import { ENROLMENT_CODE_MS } from "../../protocol/limits.ts";
import { mintEnrolmentCode } from "../auth/ceremony-id.ts";
import { tokenMacs } from "../auth/token-macs.ts";
import { accountById } from "../db/account-queries.ts";
import { deleteGateway, gatewayById, gatewayOf, gatewaysJoined, gatewaysOf, renameGateway } from "../db/gateway-queries.ts";
import type { GatewayRow } from "../db/gateway-queries.ts";
import { count } from "../log.ts";
import { ceremonyOf, inboxOf } from "../objects.ts";
import { ApiError } from "../respond.ts";
import { measureHops } from "../services/latency.ts";
import { linesExport } from "../services/lines-export.ts";
import { createGateway, viewGateway } from "../services/gateway-views.ts";
import { VERSION } from "../version.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

/**
 * Makes the ceremony of an enrolment code. A new code takes the place of the gateway's last one, and only a gateway's first code counts
 * against the hour's limit.
 *
 * @throws ApiError `too-many`
 */
async function newEnrolment(call: Call<unknown>, row: GatewayRow) {
  const { env, config, session } = call;
  const { id, code } = await mintEnrolmentCode(env);
  const [codeMac] = await tokenMacs(env, "one-time-code", ["enrolment", code]);
  const nowMs = Date.now();
  const expiresAtMs = nowMs + ENROLMENT_CODE_MS;
  const taken = await inboxOf(env, session.account).takeEnrolment({ gateway: row.id, enrolment: id, nowMs });
  if (!taken.ok) throw new ApiError("too-many", { retryAfterSeconds: Math.ceil(taken.retryAfterMs / 1000) });
  if (taken.replaced !== null) await ceremonyOf(env, taken.replaced).end();
  const opened = await ceremonyOf(env, id).open({
    id,
    codeMac,
    codeUntilMs: expiresAtMs,
    ticketMac: null,
    account: row.accountId,
    accountName: (await accountById(env.DB, row.accountId))?.name ?? "",
    gateway: row.id,
    gatewayName: row.name,
    machine: null,
    connectorKey: null,
    commitment: null,
    // The ceremony may take as long again as the code is good for.
    expiresAtMs: expiresAtMs + ENROLMENT_CODE_MS,
  });
  if (!opened.ok) throw new ApiError("conflict");
  const command = `npx -y ${config.appOrigin}/connector-${VERSION}.tgz up ${code}`;
  const view = await viewGateway(env, config, row, row.accountId);
  if (view === null) throw new ApiError("not-found");
  return { gateway: view.gateway, enrolment: id, code, command, expiresAtMs };
}

/** Whether the account's own gateway has no machine yet, and so no room that could answer. */
async function isUnclaimed(call: Call<unknown>, gateway: string): Promise<boolean> {
  return (await gatewayOf(call.env.DB, call.session.account, gateway))?.claimedAtMs === null;
}

export const gatewayRoutes = [
  route({
    method: "GET",
    path: "/api/gateways",
    summary: "All gateways of this account, and those that it joined",
    auth: "account",
    takesToken: true,
    answer: z.object({ gateways: z.array(gatewaySchema) }),
    run: async ({ env, config, session }) => {
      const { account } = session;
      const rows = (await Promise.all([gatewaysOf(env.DB, account), gatewaysJoined(env.DB, account)])).flat();
      const views = await Promise.all(rows.map((row) => viewGateway(env, config, row, account)));
      return { gateways: views.flatMap((view) => (view === null ? [] : [view.gateway])) };
    },
  }),
  route<z.infer<typeof gatewayNameSchema>>({
    method: "POST",
    path: "/api/gateways",
    summary: "Adds a gateway and makes its enrolment code",
    auth: "account",
    body: gatewayNameSchema,
    answer: gatewayCreatedSchema,
    run: async (call) => {
      const { env, config, session, body } = call;
      if ((await gatewaysOf(env.DB, session.account)).length >= config.maxGateways) throw new ApiError("too-many");
      const row = await createGateway(env, session.account, body.name);
      try {
        return await newEnrolment(call, row);
      } catch (error) {
        await deleteGateway(env.DB, row.id);
        throw error;
      }
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/enrolment",
    summary: "A new enrolment code for a gateway that has one already",
    auth: "account",
    answer: gatewayCreatedSchema,
    run: async (call) => {
      // Only the account that claimed the gateway connects another machine to it.
      const row = await gatewayOf(call.env.DB, call.session.account, call.param("gateway"));
      if (row === null) throw new ApiError("not-found");
      return newEnrolment(call, row);
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway",
    summary: "One gateway with its devices",
    auth: "account",
    takesToken: true,
    answer: gatewayDetailSchema,
    run: async (call) => {
      const { gateway, account } = await roomOf(call);
      const row = await gatewayById(call.env.DB, gateway);
      const view = row === null ? null : await viewGateway(call.env, call.config, row, account);
      if (view === null) throw new ApiError("not-found");
      return view;
    },
  }),
  route<z.infer<typeof gatewayNameSchema>>({
    method: "PATCH",
    path: "/api/gateways/:gateway",
    summary: "Renames a gateway",
    auth: "account",
    body: gatewayNameSchema,
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      if (!(await isUnclaimed(call, gateway))) valueOf(await room.rename({ account, name: call.body.name }));
      await renameGateway(call.env.DB, gateway, call.body.name);
      return {};
    },
  }),
  route({
    method: "DELETE",
    path: "/api/gateways/:gateway",
    summary: "Removes a gateway and ends every connection to it",
    auth: "account",
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      if (!(await isUnclaimed(call, gateway))) {
        // The room first: a gateway that nobody sees any more must not go on serving.
        const removed = await room.remove({ account });
        // One that is gone already is fine, for whom it was made.
        if (!removed.ok && (removed.failure !== "not-found" || (await gatewayOf(call.env.DB, account, gateway)) === null))
          throw new ApiError(removed.failure);
      }
      await deleteGateway(call.env.DB, gateway);
      return {};
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway/usage",
    summary: "What was counted this month, what it costs, and how the day's budget stands",
    auth: "account",
    takesToken: true,
    answer: usageSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.usage({ account }));
    },
  }),
  route<z.infer<typeof budgetSchema>>({
    method: "PUT",
    path: "/api/gateways/:gateway/budget",
    summary: "Sets what allowed devices may cause in one day",
    auth: "account",
    body: budgetSchema,
    answer: usageSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.setBudget({ account, budget: call.body }));
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/budget/read",
    summary: "Takes the notice about a used-up budget away",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.readBudgetNotice({ account }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/settle",
    summary: "Lets the next machine with the gateway's key in, after a copy of it was refused",
    auth: "account",
    run: async (call) => {
      const { room, account } = await roomOf(call);
      valueOf(await room.endQuarantine({ account }));
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/hops",
    summary: "Measures the hops between the caller and OpenClaw",
    auth: "account",
    answer: hopsSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      const found = await measureHops({
        room: async (step) => valueOf(await room.hops({ account, step })),
        clock: () => performance.now(),
        now: () => Date.now(),
        pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        cf: call.request.cf,
      });
      // One point a measuring; a hop that was not measured is -1.
      const medians = found.hops.map((each) => each.median?.medianMs ?? -1);
      count(call.env.METRICS, { index: "hops", blobs: ["hops", found.state, found.edge ?? "", found.room ?? ""], doubles: medians });
      return found;
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway/key-log.jsonl",
    summary: "The gateway's whole key log as the room has it, one entry on a line, for `gatehouse access-list verify`",
    auth: "account",
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      return linesExport(`gatehouse-key-log-${gateway}.jsonl`, async (from) => valueOf(await room.keyLog({ account, from })));
    },
  }),
  route({
    method: "GET",
    path: "/api/gateways/:gateway/audit.jsonl",
    summary: "The gateway's whole audit chain, one JSON object on a line",
    auth: "account",
    takesToken: true,
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      const page = async (from: number): Promise<readonly string[]> =>
        valueOf(await room.auditLines({ account, from, isExport: from === 0, token: call.token }));
      return linesExport(`gatehouse-audit-${gateway}.jsonl`, page);
    },
  }),
];
