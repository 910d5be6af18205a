/** The pages' part of an enrolment: the dashboard watches it, the approval page claims, fixes what it signs, and brings the signature. */
import type * as z from "zod";
import { gatewayNameSchema } from "../../protocol/api.ts";
import {
  claimedSchema,
  enrolmentProgressSchema,
  enrolmentViewSchema,
  proposeSchema,
  signGenesisSchema,
} from "../../protocol/enrolment-api.ts";
import { shownState } from "../../core/trust/ceremony.ts";
import type { Ceremony } from "../../core/trust/ceremony.ts";
import { keyText } from "../../core/trust/digests.ts";
import { isCeremonyId } from "../auth/ceremony-id.ts";
import { mintGatewayId } from "../auth/gateway-id.ts";
import { ownerKeysNow } from "../auth/passkey-seal.ts";
import { accountById } from "../db/account-queries.ts";
import { gatewayOf, gatewaysOf } from "../db/gateway-queries.ts";
import { workerFailures } from "../failures.ts";
import { ceremonyOf, inboxOf, roomOf } from "../objects.ts";
import { ApiError } from "../respond.ts";
import { ceremonyIn } from "../services/ceremony-result.ts";
import { judgeCeremony } from "../services/new-machine.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";

/** The ceremony behind an id. A guess dies here, with the same answer as for none. */
async function objectOf(call: Call<unknown>) {
  const id = call.param("id");
  if (!(await isCeremonyId(call.env, id))) throw new ApiError("not-found");
  return ceremonyOf(call.env, id);
}

/** A claim link is open to its holder until one account has claimed; everything else belongs to one account. */
async function visible(call: Call<unknown>, claim: boolean): Promise<Ceremony> {
  const ceremony = ceremonyIn(await (await objectOf(call)).read());
  if (ceremony.account !== call.session.account && !(claim && ceremony.account === null)) throw new ApiError("not-found");
  return ceremony;
}

function progressOf(ceremony: Ceremony): z.infer<typeof enrolmentProgressSchema> {
  const { id, gateway, machine } = ceremony;
  return { id, state: shownState(ceremony, Date.now()), gateway, machine };
}

/** A gateway that has a machine takes another one only from a passkey that decides there already. */
async function mustDecideThere(call: Call<unknown>, gateway: string, credentialId: string): Promise<void> {
  const { env, session } = call;
  const row = await gatewayOf(env.DB, session.account, gateway);
  if (row === null || row.claimedAtMs === null) return;
  const owners = await roomOf(env, gateway).owners({ account: session.account });
  if (!owners.ok) throw new ApiError(owners.failure);
  const isOwner = owners.value.keys.some(
    (key) => key.credentialId === credentialId && key.state !== "removing" && key.role.kind === "owner",
  );
  if (!isOwner) throw new ApiError("not-owner-here");
}

/** App origin. */
export const appEnrolmentRoutes = [
  route({
    method: "GET",
    path: "/api/enrolments/:id",
    summary: "Get the progress of an enrolment",
    auth: "account",
    answer: enrolmentProgressSchema,
    run: async (call) => progressOf(await visible(call, false)),
  }),
];

/** Approval origin. */
export const approveEnrolmentRoutes = [
  route({
    method: "GET",
    path: "/api/enrolments/:id",
    summary: "Get an enrolment with everything that its page verifies",
    auth: "account",
    answer: enrolmentViewSchema,
    run: async (call) => {
      const ceremony = await visible(call, true);
      const { gateway, gatewayName, commitment, connectorKey, connectorNonce } = ceremony;
      const gatewayOrigin = gateway === null ? null : call.config.gatewayOrigin(gateway);
      return { ...progressOf(ceremony), gatewayName, gatewayOrigin, commitment, connectorKey, connectorNonce };
    },
  }),
  route<z.infer<typeof gatewayNameSchema>>({
    method: "POST",
    path: "/api/enrolments/:id/claim",
    summary: "Claim the machine behind a claim link, once",
    auth: "account",
    body: gatewayNameSchema,
    answer: claimedSchema,
    run: async (call) => {
      const { env, config, session, body } = call;
      const before = await visible(call, true);
      if (before.account !== null) throw new ApiError("code-invalid");
      if ((await gatewaysOf(env.DB, session.account)).length >= config.maxGateways) throw new ApiError("too-many");
      const gateway = await mintGatewayId(env, crypto.getRandomValues(new Uint8Array(10)));
      const accountName = (await accountById(env.DB, session.account))?.name ?? "";
      const owner = { account: session.account, accountName, gateway, gatewayName: body.name };
      ceremonyIn(await ceremonyOf(env, before.id).claim(owner));
      return { gateway, gatewayOrigin: config.gatewayOrigin(gateway) };
    },
  }),
  route<z.infer<typeof proposeSchema>>({
    method: "POST",
    path: "/api/enrolments/:id/propose",
    summary: "Fix what the passkey will sign, before the machine opens its commitment",
    auth: "account",
    body: proposeSchema,
    run: async (call) => {
      const { env, config, session, body } = call;
      const { draft } = body;
      const before = await visible(call, false);
      const isOurs =
        draft.appOrigin === config.appOrigin &&
        draft.approveOrigin === config.approveOrigin &&
        draft.rpId === config.rpId &&
        draft.gatewayOrigin === config.gatewayOrigin(draft.gateway);
      const keys = await ownerKeysNow(env, session.account);
      const { credentialId, key } = draft.ownerKey;
      const isOwn = keys.some((own) => own.credentialId === credentialId && keyText(own.key) === keyText(key));
      if (!isOurs || !isOwn) throw new ApiError("bad-request");
      await mustDecideThere(call, draft.gateway, credentialId);
      ceremonyIn(await ceremonyOf(env, before.id).propose({ account: session.account, pageNonce: body.nonce, draft }));
      return {};
    },
  }),
  route<z.infer<typeof signGenesisSchema>>({
    method: "POST",
    path: "/api/enrolments/:id/sign",
    summary: "Bring the passkey's signature under the genesis of the gateway's key log",
    auth: "account",
    body: signGenesisSchema,
    run: async (call) => {
      const { env, session, body } = call;
      const before = await visible(call, false);
      if ((await judgeCeremony(before, body.signed, Date.now())) === null) throw new ApiError("grant-refused");
      ceremonyIn(await ceremonyOf(env, before.id).sign({ account: session.account, signed: body.signed, mac: body.mac ?? null }));
      await inboxOf(env, session.account)
        .enrolmentChanged({ enrolment: before.id })
        .catch((error: unknown) => workerFailures(env)("inbox", error));
      return {};
    },
  }),
];
