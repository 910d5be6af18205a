/** The connector's part of an enrolment: redeem a code or start a claim, poll, open the commitment, confirm. */
import type * as z from "zod";
import {
  claimStartSchema,
  confirmSchema,
  connectorPollSchema,
  enrolmentStartedSchema,
  redeemSchema,
  revealSchema,
  ticketSchema,
} from "../../protocol/enrolment-api.ts";
import type { OwnerPolicy } from "../../protocol/key-log.ts";
import { CLAIM_LINK_MS } from "../../protocol/limits.ts";
import { fromBase64url, toBase64url } from "../../protocol/statement-encoding.ts";
import { confirmBytes, enrolmentCommitment } from "../../core/trust/enrolment.ts";
import { shownState } from "../../core/trust/ceremony.ts";
import type { Ceremony } from "../../core/trust/ceremony.ts";
import { isSoundKey, verifyRaw } from "../../core/trust/public-key.ts";
import { ceremonyOfCode, isCeremonyId, mintCeremonyId } from "../auth/ceremony-id.ts";
import { tokenMacs } from "../auth/token-macs.ts";
import { insertAudit } from "../db/account-queries.ts";
import { gatewayOf } from "../db/gateway-queries.ts";
import type { Env } from "../env.ts";
import { workerFailures } from "../failures.ts";
import { ceremonyOf, inboxOf, roomOf } from "../objects.ts";
import { ApiError } from "../respond.ts";
import { ceremonyIn } from "../services/ceremony-result.ts";
import { connectMachine, judgeCeremony } from "../services/new-machine.ts";
import { newRowId } from "./auth.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";

async function notifyPage(env: Env, ceremony: Ceremony): Promise<void> {
  if (ceremony.account !== null)
    await inboxOf(env, ceremony.account)
      .enrolmentChanged({ enrolment: ceremony.id })
      .catch((error: unknown) => workerFailures(env)("inbox", error));
}

function ticketMacs(env: Env, { enrolment, ticket }: z.infer<typeof ticketSchema>) {
  return tokenMacs(env, "one-time-code", ["ticket", enrolment, ticket]);
}

async function newTicket(env: Env, enrolment: string): Promise<{ ticket: string; mac: string }> {
  const ticket = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const [mac] = await ticketMacs(env, { enrolment, ticket });
  return { ticket, mac };
}

/** A code that wrong tries ended: its owner sees a failed enrolment, and why in the activity. */
async function codeDied(env: Env, ceremony: Ceremony): Promise<void> {
  if (ceremony.account === null) return;
  const event = {
    accountId: ceremony.account,
    gatewayId: ceremony.gateway,
    deviceId: null,
    actor: "device",
    action: "enrolment-code-guessed",
  };
  await insertAudit(env.DB, { ...event, id: newRowId(), detail: "{}", atMs: Date.now() });
  await notifyPage(env, ceremony);
}

async function byTicket(call: Call<z.infer<typeof ticketSchema>>): Promise<Ceremony> {
  const { env, body } = call;
  if (!(await isCeremonyId(env, body.enrolment))) throw new ApiError("not-found");
  return ceremonyIn(await ceremonyOf(env, body.enrolment).byTicket({ ticketMacs: await ticketMacs(env, body) }));
}

/** The policy of the machine that a signed one takes the place of, as far as the room knows; null: there is none. */
async function policyBefore(env: Env, { state, account, gateway }: Ceremony): Promise<OwnerPolicy | null> {
  if (state !== "signed" || account === null || gateway === null) return null;
  const row = await gatewayOf(env.DB, account, gateway);
  // A gateway without a machine has no room yet, and a question must not make one.
  if (row === null || row.claimedAtMs === null) return null;
  const policy = await roomOf(env, gateway).policy({ account });
  return policy.ok ? policy.value : null;
}

export const connectorRoutes = [
  route<z.infer<typeof redeemSchema>>({
    method: "POST",
    path: "/api/connector/redeem",
    summary: "Connector: redeem an enrolment code",
    auth: "connector",
    limited: true,
    body: redeemSchema,
    answer: enrolmentStartedSchema,
    run: async ({ env, config, body }) => {
      if (!isSoundKey(body.key)) throw new ApiError("bad-request");
      const code = body.code.trim();
      const enrolment = await ceremonyOfCode(env, code);
      if (enrolment === null) throw new ApiError("code-invalid");
      const { ticket, mac } = await newTicket(env, enrolment);
      const { key: connectorKey, commitment, machine } = body;
      const codeMacs = await tokenMacs(env, "one-time-code", ["enrolment", code]);
      const result = await ceremonyOf(env, enrolment).redeem({ codeMacs, machine: { ticketMac: mac, machine, connectorKey, commitment } });
      if (!result.ok && result.refusal === "code-died" && result.ceremony !== null) await codeDied(env, result.ceremony);
      await notifyPage(env, ceremonyIn(result));
      return { enrolment, ticket, approveOrigin: config.approveOrigin };
    },
  }),
  route<z.infer<typeof claimStartSchema>>({
    method: "POST",
    path: "/api/connector/claims",
    summary: "Connector: start an enrolment that a claim link finishes",
    auth: "connector",
    limited: true,
    body: claimStartSchema,
    answer: enrolmentStartedSchema,
    run: async ({ env, config, body }) => {
      if (!isSoundKey(body.key)) throw new ApiError("bad-request");
      const id = await mintCeremonyId(env);
      const { ticket, mac } = await newTicket(env, id);
      const opened = await ceremonyOf(env, id).open({
        id,
        codeMac: null,
        codeUntilMs: 0,
        ticketMac: mac,
        account: null,
        accountName: "",
        gateway: null,
        gatewayName: "",
        machine: body.machine,
        connectorKey: body.key,
        commitment: body.commitment,
        expiresAtMs: Date.now() + CLAIM_LINK_MS,
      });
      ceremonyIn(opened);
      return { enrolment: id, ticket, approveOrigin: config.approveOrigin };
    },
  }),
  route<z.infer<typeof ticketSchema>>({
    method: "POST",
    path: "/api/connector/poll",
    summary: "Connector: get the progress of an enrolment",
    auth: "connector",
    body: ticketSchema,
    answer: connectorPollSchema,
    run: async (call) => {
      const ceremony = await byTicket(call);
      const { gatewayName, accountName, pageNonce, draft, signed, mac } = ceremony;
      const formerPolicy = await policyBefore(call.env, ceremony);
      return { state: shownState(ceremony, Date.now()), gatewayName, accountName, pageNonce, draft, signed, mac, formerPolicy };
    },
  }),
  route<z.infer<typeof revealSchema>>({
    method: "POST",
    path: "/api/connector/reveal",
    summary: "Connector: open the commitment, after the page fixed what it will sign",
    auth: "connector",
    body: revealSchema,
    run: async (call) => {
      const { env, body } = call;
      const { connectorKey, commitment } = await byTicket(call);
      const isOpened = connectorKey !== null && commitment === (await enrolmentCommitment(connectorKey, body.connectorNonce));
      if (!isOpened) throw new ApiError("bad-request");
      const input = { ticketMacs: await ticketMacs(env, body), connectorNonce: body.connectorNonce };
      await notifyPage(env, ceremonyIn(await ceremonyOf(env, body.enrolment).reveal(input)));
      return {};
    },
  }),
  route<z.infer<typeof confirmSchema>>({
    method: "POST",
    path: "/api/connector/confirm",
    summary: "Connector: confirm the genesis, or refuse it because the words differ",
    auth: "connector",
    body: confirmSchema,
    run: async (call) => {
      const { env, body } = call;
      const ceremony = await byTicket(call);
      const object = ceremonyOf(env, ceremony.id);
      const macs = await ticketMacs(env, body);
      if (body.signature === null) {
        await notifyPage(env, ceremonyIn(await object.refuse({ ticketMacs: macs })));
        return {};
      }
      const { signed } = ceremony;
      if (signed === null || ceremony.state === "failed") throw new ApiError("conflict");
      // Within its time when it was signed; the machine's answer may come a little later.
      const judged = await judgeCeremony(ceremony, signed, ceremony.draft?.issuedAtMs ?? 0);
      const signature = fromBase64url(body.signature);
      if (judged === null || signature === null) throw new ApiError("bad-request");
      if (!(await verifyRaw(judged.statement.connectorKey, signature, confirmBytes(judged.bytes)))) throw new ApiError("bad-request");
      if (ceremony.state !== "done") await connectMachine(env, ceremony, judged, signed);
      await notifyPage(env, ceremonyIn(await object.confirm({ ticketMacs: macs })));
      return {};
    },
  }),
];
