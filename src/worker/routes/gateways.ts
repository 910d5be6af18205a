/** App origin: the gateways of an account, their enrolment, budget, measurements and files. */
import * as z from "zod";
import { gatewayCreatedSchema, gatewayDetailSchema, gatewayNameSchema, gatewaySchema, hopsSchema } from "../../protocol/api.ts";
import { budgetSchema, usageSchema } from "../../protocol/usage.ts";
import { ENROLMENT_CODE_MS, MAX_GATEWAYS_PER_ACCOUNT, MAX_UNUSED_ENROLMENTS_PER_HOUR } from "../../protocol/limits.ts";
import { issueCode } from "../auth/one-time-code.ts";
import {
  deleteGateway,
  gatewayById,
  gatewayOf,
  gatewaysJoined,
  gatewaysOf,
  insertEnrolment,
  renameGateway,
  unusedEnrolments,
} from "../db/gateway-queries.ts";
import type { GatewayRow } from "../db/gateway-queries.ts";
import { count } from "../log.ts";
import { ApiError } from "../respond.ts";
import { measureHops } from "../services/hop-measure.ts";
import { linesExport } from "../services/lines-export.ts";
import { createGateway, viewGateway } from "../services/gateway-views.ts";
import { VERSION } from "../version.ts";
import { newRowId } from "./auth.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

const HOUR_MS = 3_600_000;

/** Before anything is made: codes that nobody uses are not made without end. */
async function mayEnrol({ env, session }: Call<unknown>): Promise<void> {
  if ((await unusedEnrolments(env.DB, session.account, Date.now() - HOUR_MS)) >= MAX_UNUSED_ENROLMENTS_PER_HOUR)
    throw new ApiError("too-many", { retryAfterSeconds: ENROLMENT_CODE_MS / 1000 });
}

async function newEnrolment(call: Call<unknown>, row: GatewayRow) {
  const { env, config } = call;
  const id = newRowId();
  const { code, expiresAtMs } = await issueCode(env, "enrolment", { enrolment: id }, ENROLMENT_CODE_MS);
  const empty = {
    ticketMac: null,
    machine: null,
    platform: null,
    connectorKey: null,
    commitment: null,
    pageNonce: null,
    pageMac: null,
    connectorNonce: null,
    ownerKeys: null,
  };
  // The ceremony may take as long again as the code is good for.
  await insertEnrolment(env.DB, {
    id,
    accountId: row.accountId,
    gatewayId: row.id,
    state: "open",
    ...empty,
    createdAtMs: Date.now(),
    expiresAtMs: expiresAtMs + ENROLMENT_CODE_MS,
  });
  const command = `npx -y ${config.appOrigin}/connector-${VERSION}.tgz up ${code}`;
  const view = await viewGateway(env, config, row, row.accountId);
  if (view === null) throw new ApiError("not-found");
  return { gateway: view.gateway, enrolment: id, code, command, expiresAtMs };
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
      const { env, session, body } = call;
      if ((await gatewaysOf(env.DB, session.account)).length >= MAX_GATEWAYS_PER_ACCOUNT) throw new ApiError("too-many");
      await mayEnrol(call);
      return newEnrolment(call, await createGateway(env, session.account, body.name));
    },
  }),
  route({
    method: "POST",
    path: "/api/gateways/:gateway/enrolment",
    summary: "A new enrolment code for a gateway that has one already",
    auth: "account",
    answer: gatewayCreatedSchema,
    run: async (call) => {
      // The new machine's key log begins with the passkeys of the account that claimed the gateway.
      const row = await gatewayOf(call.env.DB, call.session.account, call.param("gateway"));
      if (row === null) throw new ApiError("not-found");
      await mayEnrol(call);
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
      valueOf(await room.rename({ account, name: call.body.name }));
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
      // The room first: a gateway that nobody sees any more must not go on serving.
      const removed = await room.remove({ account });
      // One that is gone already is fine, for whom it was made.
      if (!removed.ok && (removed.failure !== "not-found" || (await gatewayOf(call.env.DB, account, gateway)) === null))
        throw new ApiError(removed.failure);
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
    summary: "Opens a gateway again that was closed because two machines used its key",
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
