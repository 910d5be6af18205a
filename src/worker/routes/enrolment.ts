/** The enrolment ceremony between connector and page: commit, page nonce, reveal, confirm. Every step happens once. */
import * as z from "zod";
import { gatewayNameSchema, gatewaySchema } from "../../protocol/api.ts";
import {
  claimStartSchema,
  confirmSchema,
  connectorPollSchema,
  enrolmentStartedSchema,
  enrolmentViewSchema,
  pageNonceSchema,
  redeemSchema,
  revealSchema,
  ticketSchema,
} from "../../protocol/enrolment-api.ts";
import { enrolmentCommitment, transcriptBytes } from "../../core/check-words.ts";
import { isSoundKey, verifyRaw } from "../../core/public-key.ts";
import { ENROLMENT_CODE_MS, MAX_GATEWAYS_PER_ACCOUNT } from "../../protocol/limits.ts";
import { fromBase64url, toBase64url } from "../../protocol/statement-encoding.ts";
import { connectorKeySchema, ownerKeySchema } from "../../protocol/statements.ts";
import type { ConnectorKey, OwnerKey } from "../../protocol/statements.ts";
import { redeemCode } from "../auth/one-time-code.ts";
import { ownPasskeys } from "../auth/passkey-seal.ts";
import { isTokenMac, tokenMacs } from "../auth/token-macs.ts";
import { ownRecoveryKey } from "../auth/recovery-key-seal.ts";
import { insertAudit } from "../db/account-queries.ts";
import { enrolmentById, gatewayOf, gatewaysOf, insertEnrolment, saveConnector, stepEnrolment } from "../db/gateway-queries.ts";
import type { EnrolmentRow } from "../db/gateway-queries.ts";
import type { Env } from "../env.ts";
import { ApiError } from "../respond.ts";
import { createGateway, viewGateway } from "../services/gateway-views.ts";
import { newRowId } from "./auth.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";

const enrolmentPayloadSchema = z.object({ enrolment: z.string() });
const ownerKeysSchema = z.array(ownerKeySchema);

async function newTicket(env: Env, enrolment: string): Promise<{ ticket: string; tag: string }> {
  const ticket = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const [tag] = await tokenMacs(env, "one-time-code", ["ticket", enrolment, ticket]);
  return { ticket, tag };
}

function ownerKeysOf(row: EnrolmentRow): OwnerKey[] {
  return row.ownerKeys === null ? [] : ownerKeysSchema.parse(JSON.parse(row.ownerKeys));
}

function keyOf(row: EnrolmentRow): ConnectorKey | null {
  return row.connectorKey === null ? null : connectorKeySchema.parse(JSON.parse(row.connectorKey));
}

function stateOf(row: EnrolmentRow): z.infer<typeof enrolmentViewSchema>["state"] {
  return row.expiresAtMs <= Date.now() && row.state !== "done" && row.state !== "failed" ? "expired" : row.state;
}

/** @returns the account's passkeys, as a gateway that is claimed now would pin them */
export async function ownerKeysNow(env: Env, account: string): Promise<OwnerKey[]> {
  return (await ownPasskeys(env, account)).map((row) => ownerKeySchema.parse({ credentialId: row.credentialId, key: JSON.parse(row.jwk) }));
}

async function tellPage(env: Env, row: EnrolmentRow): Promise<void> {
  if (row.accountId !== null)
    await env.INBOX.getByName(row.accountId)
      .enrolmentChanged({ enrolment: row.id })
      .catch(() => undefined);
}

/** Somebody guessed at an enrolment code until it was dead: its owner sees a failed enrolment, and why in the activity. */
async function codeDied(env: Env, payload: unknown): Promise<void> {
  const parsed = enrolmentPayloadSchema.safeParse(payload);
  if (!parsed.success) return;
  const row = await stepEnrolment(env.DB, { id: parsed.data.enrolment, from: "open", nowMs: Date.now(), set: { state: "failed" } });
  if (row === null || row.accountId === null) return;
  const event = { accountId: row.accountId, gatewayId: row.gatewayId, deviceId: null, actor: "device", action: "enrolment-code-guessed" };
  await insertAudit(env.DB, { ...event, id: newRowId(), detail: "{}", atMs: Date.now() });
  await tellPage(env, row);
}

async function byTicket(call: Call<z.infer<typeof ticketSchema>>): Promise<EnrolmentRow> {
  const row = await enrolmentById(call.env.DB, call.body.enrolment);
  if (row === null || row.ticketMac === null) throw new ApiError("not-found");
  const isRight = await isTokenMac(call.env, "one-time-code", ["ticket", row.id, call.body.ticket], row.ticketMac);
  if (!isRight) throw new ApiError("not-found");
  return row;
}

async function ownEnrolment(call: Call<unknown>, claim: boolean): Promise<EnrolmentRow> {
  const row = await enrolmentById(call.env.DB, call.param("id"));
  // A claim link is open to whoever holds it, until one account has claimed.
  if (row === null || (row.accountId !== call.session.account && !(claim && row.accountId === null))) throw new ApiError("not-found");
  return row;
}

function view(row: EnrolmentRow, ownerKeys: OwnerKey[]): z.infer<typeof enrolmentViewSchema> {
  return {
    id: row.id,
    state: stateOf(row),
    gateway: row.gatewayId,
    machine: row.machine === null ? null : { name: row.machine, platform: row.platform ?? "" },
    commitment: row.commitment,
    connectorKey: keyOf(row),
    connectorNonce: row.connectorNonce,
    ownerKeys,
  };
}

export const pageEnrolmentRoutes = [
  route({
    method: "GET",
    path: "/api/enrolments/:id",
    summary: "How far an enrolment is",
    auth: "account",
    answer: enrolmentViewSchema,
    run: async (call) => {
      const row = await ownEnrolment(call, true);
      const fixed = ownerKeysOf(row);
      return view(row, fixed.length > 0 ? fixed : await ownerKeysNow(call.env, call.session.account));
    },
  }),
  route<z.infer<typeof gatewayNameSchema>>({
    method: "POST",
    path: "/api/enrolments/:id/claim",
    summary: "Claims the machine behind a claim link, once",
    auth: "account",
    body: gatewayNameSchema,
    answer: gatewaySchema,
    run: async (call) => {
      const { env, config, session, body } = call;
      const before = await ownEnrolment(call, true);
      if (before.accountId !== null || stateOf(before) !== "open") throw new ApiError("code-invalid");
      if ((await gatewaysOf(env.DB, session.account)).length >= MAX_GATEWAYS_PER_ACCOUNT) throw new ApiError("too-many");
      // One account wins the link before anything is made for it.
      const won = { state: "redeemed", accountId: session.account } as const;
      if ((await stepEnrolment(env.DB, { id: before.id, from: "open", nowMs: Date.now(), set: won })) === null)
        throw new ApiError("conflict");
      const gateway = await createGateway(env, session.account, body.name);
      const named = { id: before.id, from: "redeemed", nowMs: Date.now(), set: { gatewayId: gateway.id } } as const;
      if ((await stepEnrolment(env.DB, named)) === null) throw new ApiError("conflict");
      const view = await viewGateway(env, config, gateway, session.account);
      if (view === null) throw new ApiError("not-found");
      return view.gateway;
    },
  }),
  route<z.infer<typeof pageNonceSchema>>({
    method: "POST",
    path: "/api/enrolments/:id/nonce",
    summary: "The page's nonce, after it saw the commitment",
    auth: "account",
    body: pageNonceSchema,
    run: async (call) => {
      const { env, body, session } = call;
      const before = await ownEnrolment(call, false);
      const ownerKeys = JSON.stringify(await ownerKeysNow(env, session.account));
      const set = { state: "nonce-given" as const, pageNonce: body.nonce, pageMac: body.mac ?? null, ownerKeys };
      if ((await stepEnrolment(env.DB, { id: before.id, from: "redeemed", nowMs: Date.now(), set })) === null)
        throw new ApiError("conflict");
      return {};
    },
  }),
];

export const connectorRoutes = [
  route<z.infer<typeof redeemSchema>>({
    method: "POST",
    path: "/api/connector/redeem",
    summary: "Connector: redeems an enrolment code",
    auth: "connector",
    limited: true,
    body: redeemSchema,
    answer: enrolmentStartedSchema,
    run: async ({ env, body }) => {
      if (!isSoundKey(body.key)) throw new ApiError("bad-request");
      const payload = enrolmentPayloadSchema.safeParse(await redeemCode(env, "enrolment", body.code, (dead) => codeDied(env, dead)));
      if (!payload.success) throw new ApiError("code-invalid");
      const { ticket, tag } = await newTicket(env, payload.data.enrolment);
      const set = {
        state: "redeemed" as const,
        ticketMac: tag,
        connectorKey: JSON.stringify(body.key),
        commitment: body.commitment,
        machine: body.machine.name,
        platform: body.machine.platform,
      };
      const row = await stepEnrolment(env.DB, { id: payload.data.enrolment, from: "open", nowMs: Date.now(), set });
      if (row === null) throw new ApiError("code-invalid");
      await tellPage(env, row);
      return { enrolment: row.id, ticket, expiresAtMs: row.expiresAtMs };
    },
  }),
  route<z.infer<typeof claimStartSchema>>({
    method: "POST",
    path: "/api/connector/claims",
    summary: "Connector: starts an enrolment that a claim link finishes",
    auth: "connector",
    limited: true,
    body: claimStartSchema,
    answer: enrolmentStartedSchema,
    run: async ({ env, body }) => {
      if (!isSoundKey(body.key)) throw new ApiError("bad-request");
      const id = newRowId();
      const { ticket, tag } = await newTicket(env, id);
      const nowMs = Date.now();
      const expiresAtMs = nowMs + 6 * ENROLMENT_CODE_MS;
      await insertEnrolment(env.DB, {
        id,
        accountId: null,
        gatewayId: null,
        state: "open",
        ticketMac: tag,
        machine: body.machine.name,
        platform: body.machine.platform,
        connectorKey: JSON.stringify(body.key),
        commitment: body.commitment,
        pageNonce: null,
        pageMac: null,
        connectorNonce: null,
        ownerKeys: null,
        createdAtMs: nowMs,
        expiresAtMs,
      });
      return { enrolment: id, ticket, expiresAtMs };
    },
  }),
  route<z.infer<typeof ticketSchema>>({
    method: "POST",
    path: "/api/connector/poll",
    summary: "Connector: how far the enrolment is",
    auth: "connector",
    body: ticketSchema,
    answer: connectorPollSchema,
    run: async (call) => {
      const row = await byTicket(call);
      const { config, env } = call;
      const gateway = row.gatewayId === null || row.accountId === null ? null : await gatewayOf(env.DB, row.accountId, row.gatewayId);
      return {
        state: stateOf(row),
        gateway: row.gatewayId,
        gatewayName: gateway?.name ?? null,
        origin: row.gatewayId === null ? null : config.gatewayOrigin(row.gatewayId),
        approveOrigin: config.approveOrigin,
        account: row.accountId,
        pageNonce: row.pageNonce,
        mac: row.pageMac,
        ownerKeys: ownerKeysOf(row),
      };
    },
  }),
  route<z.infer<typeof revealSchema>>({
    method: "POST",
    path: "/api/connector/reveal",
    summary: "Connector: opens its commitment, after the page's nonce",
    auth: "connector",
    body: revealSchema,
    run: async (call) => {
      const row = await byTicket(call);
      const key = keyOf(row);
      if (key === null || row.commitment !== (await enrolmentCommitment(key, call.body.connectorNonce))) throw new ApiError("bad-request");
      const after = await stepEnrolment(call.env.DB, {
        id: row.id,
        from: "nonce-given",
        nowMs: Date.now(),
        set: { state: "revealed", connectorNonce: call.body.connectorNonce },
      });
      if (after === null) throw new ApiError("conflict");
      await tellPage(call.env, after);
      return {};
    },
  }),
  route<z.infer<typeof confirmSchema>>({
    method: "POST",
    path: "/api/connector/confirm",
    summary: "Connector: the person's answer in the terminal",
    auth: "connector",
    body: confirmSchema,
    run: async (call) => {
      const { env, body } = call;
      const row = await byTicket(call);
      const key = keyOf(row);
      if (!body.matches) {
        const failed = await stepEnrolment(env.DB, { id: row.id, from: "revealed", nowMs: Date.now(), set: { state: "failed" } });
        if (failed !== null) await tellPage(env, failed);
        return {};
      }
      const { gatewayId, accountId, connectorNonce, pageNonce } = row;
      if (key === null || gatewayId === null || accountId === null || connectorNonce === null || pageNonce === null)
        throw new ApiError("conflict");
      const ownerKeys = ownerKeysOf(row);
      const signature = fromBase64url(body.signature);
      const signed = transcriptBytes({ gateway: gatewayId, connectorKey: key, ownerKeys, connectorNonce, pageNonce });
      if (signature === null || !(await verifyRaw(key, signature, signed))) throw new ApiError("bad-request");
      const done = await stepEnrolment(env.DB, { id: row.id, from: "revealed", nowMs: Date.now(), set: { state: "done" } });
      if (done === null) throw new ApiError("conflict");
      const result = await env.ROOM.getByName(gatewayId).enrol({
        account: accountId,
        key,
        ownerKeys,
        recovery: await ownRecoveryKey(env, accountId),
      });
      if (!result.ok) throw new ApiError("not-found");
      await saveConnector(env.DB, {
        gatewayId,
        publicKey: JSON.stringify(key),
        machine: row.machine ?? "",
        platform: row.platform ?? "",
        enrolledAtMs: Date.now(),
      });
      await tellPage(env, done);
      return {};
    },
  }),
];
