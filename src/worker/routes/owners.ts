/** Approval origin: who may decide for the account's gateways. Every change is signed, goes to every room, and each room's answer is told. */
import type * as z from "zod";
import { verifySigned } from "../../core/trust/assertion.ts";
import { readOwnerKey, readOwnerRemoval, readRecover, readRecoveryKey } from "../../core/trust/statement.ts";
import {
  endorseSchema,
  ownerChangesSchema,
  ownersViewSchema,
  recoverGatewaysSchema,
  recoveryKeyRequestSchema,
  removePasskeySchema,
} from "../../protocol/approval-api.ts";
import type { OwnerChangeAt } from "../../protocol/approval-api.ts";
import type { StatementType } from "../../protocol/statement-encoding.ts";
import type { OwnerKey, SignedByOwner } from "../../protocol/statements.ts";
import { deletePasskey, passkeysOf } from "../db/account-queries.ts";
import { keepRecoveryKey, ownRecoveryKey } from "../auth/recovery-key-seal.ts";
import { gatewaysOf } from "../db/gateway-queries.ts";
import { ownerKeysNow } from "../auth/passkey-seal.ts";
import { workerFailures } from "../failures.ts";
import { ApiError } from "../respond.ts";
import type { OwnerChange, RoomResult } from "../room/rpc.ts";
import { auditAccount } from "./auth.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";

type Room = ReturnType<Call<unknown>["env"]["ROOM"]["getByName"]>;

/** Tells every room of the account. A room that does not answer fails the whole: said again, the others change nothing twice. */
async function everywhere(
  { env, session }: Call<unknown>,
  tell: (room: Room) => Promise<RoomResult<OwnerChange>>,
): Promise<{ gateways: OwnerChangeAt[] }> {
  // A gateway without a machine has no room yet.
  const rows = (await gatewaysOf(env.DB, session.account)).filter((row) => row.claimedAtMs !== null);
  const told = await Promise.allSettled(rows.map((row) => tell(env.ROOM.getByName(row.id))));
  const gateways = rows.map(({ id, name }, i): OwnerChangeAt => {
    const each = told[i];
    if (each?.status !== "fulfilled") throw new ApiError("unavailable");
    return { gateway: id, name, outcome: each.value.ok ? each.value.value : "refused" };
  });
  return { gateways };
}

/** @throws ApiError unless one of these passkeys signed exactly this statement */
async function mustBeSignedBy(
  { config }: Call<unknown>,
  type: StatementType,
  body: Uint8Array<ArrayBuffer>,
  signed: SignedByOwner,
  ownerKeys: readonly OwnerKey[],
): Promise<void> {
  const expected = { type, body, origin: config.approveOrigin, rpId: config.rpId, ownerKeys } as const;
  if (typeof (await verifySigned(signed, expected)) === "string") throw new ApiError("grant-refused");
}

export const ownerRoutes = [
  route({
    method: "GET",
    path: "/api/auth/owners",
    summary: "Whom each gateway of the account trusts",
    auth: "account",
    answer: ownersViewSchema,
    run: async ({ env, session }) => {
      const { account } = session;
      const rows = await gatewaysOf(env.DB, account);
      const gateways = await Promise.all(
        rows.map(async ({ id, name }) => {
          // One room that does not answer hides nothing of the others.
          const owners = await env.ROOM.getByName(id)
            .owners({ account })
            .catch((error: unknown) => {
              workerFailures(env)("room-view", error);
              return null;
            });
          return { gateway: id, name, ...(owners?.ok === true ? owners.value : { keys: null, recovery: null }) };
        }),
      );
      const signed = await ownRecoveryKey(env, account);
      return { gateways, recoveryKey: signed === null ? null : (readRecoveryKey(signed.statement)?.body.key ?? null) };
    },
  }),
  route<z.infer<typeof endorseSchema>>({
    method: "POST",
    path: "/api/auth/passkeys/endorse",
    summary: "Lets a new passkey decide for the gateways, signed by an older one",
    auth: "account",
    body: endorseSchema,
    answer: ownerChangesSchema,
    run: async (call) => {
      const { body: signed, env, session } = call;
      const statement = readOwnerKey(signed.statement)?.body;
      const own = await ownerKeysNow(env, session.account);
      if (statement === undefined || statement.person !== undefined || !own.some((each) => isSame(each, statement)))
        throw new ApiError("grant-refused");
      return everywhere(call, (room) => room.addOwnerKey({ account: session.account, signed }));
    },
  }),
  route<z.infer<typeof removePasskeySchema>>({
    method: "POST",
    path: "/api/auth/passkeys/remove",
    summary: "Removes a passkey, signed by another one; not the last one",
    auth: "account",
    body: removePasskeySchema,
    answer: ownerChangesSchema,
    run: async (call) => {
      const { body: signed, env, session } = call;
      const { account } = session;
      const statement = readOwnerRemoval(signed.statement);
      if (statement === null || statement.body.account !== account || statement.body.gateway !== undefined)
        throw new ApiError("grant-refused");
      const { credentialId } = statement.body;
      const own = await ownerKeysNow(env, account);
      const others = own.filter((each) => each.credentialId !== credentialId);
      if (others.length === 0) throw new ApiError("conflict");
      await mustBeSignedBy(call, "owner-remove", statement.bytes, signed, others);
      const told = await everywhere(call, (room) => room.removeOwnerKey({ account, signed }));
      // One that gateways still trusted, but the account did not have any more, is no news for the account.
      if (others.length < own.length) {
        await deletePasskey(env.DB, account, credentialId);
        await auditAccount(env, account, "passkey-removed");
      }
      return told;
    },
  }),
  route<z.infer<typeof recoveryKeyRequestSchema>>({
    method: "POST",
    path: "/api/auth/recovery-key",
    summary: "Pins the account's recovery key at every gateway, signed by a passkey",
    auth: "account",
    body: recoveryKeyRequestSchema,
    answer: ownerChangesSchema,
    run: async (call) => {
      const { body: signed, env, session } = call;
      const { account } = session;
      const statement = readRecoveryKey(signed.statement);
      if (statement === null || statement.body.account !== account) throw new ApiError("grant-refused");
      await mustBeSignedBy(call, "recovery-key", statement.bytes, signed, await ownerKeysNow(env, account));
      await keepRecoveryKey(env, account, signed, Date.now());
      await auditAccount(env, account, "recovery-key-made");
      return everywhere(call, (room) => room.setRecoveryKey({ account, signed }));
    },
  }),
  route<z.infer<typeof recoverGatewaysSchema>>({
    method: "POST",
    path: "/api/auth/recover-gateways",
    summary: "Lets a passkey of the account decide for its gateways, signed by the recovery key",
    auth: "account",
    body: recoverGatewaysSchema,
    answer: ownerChangesSchema,
    run: async (call) => {
      const { body: signed, env, session } = call;
      const { account } = session;
      const statement = readRecover(signed.statement)?.body;
      const own = await ownerKeysNow(env, account);
      if (statement === undefined || statement.account !== account || !own.some((each) => isSame(each, statement)))
        throw new ApiError("grant-refused");
      const told = await everywhere(call, (room) => room.recoverOwners({ account, signed }));
      if (told.gateways.some(({ outcome }) => outcome !== "refused")) {
        for (const { credentialId } of await passkeysOf(env.DB, account))
          if (statement.remove.includes(credentialId)) await deletePasskey(env.DB, account, credentialId);
        await auditAccount(env, account, "recovery-key-used");
      }
      return told;
    },
  }),
];

function isSame(own: OwnerKey, named: OwnerKey): boolean {
  return own.credentialId === named.credentialId && JSON.stringify(own.key) === JSON.stringify(named.key);
}
