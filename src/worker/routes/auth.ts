/** Approval origin: sign-up, sign-in, recovery, passkeys, hand-off to the dashboard. */
import type * as z from "zod";
import {
  addPasskeySchema,
  handoffRequestSchema,
  handoffResponseSchema,
  meSchema,
  nonceResponseSchema,
  passkeyNameSchema,
  recoverSchema,
  signInSchema,
  signUpSchema,
  signedInSchema,
} from "../../protocol/approval-api.ts";
import { HANDOFF_CODE_MS, MAX_PASSKEYS_PER_ACCOUNT, NONCE_MS } from "../../protocol/limits.ts";
import { passkeyKeySchema } from "../../protocol/statements.ts";
import { toBase32 } from "../../core/trust/digests.ts";
import { startSession } from "../auth/account-session.ts";
import { issueCode, issueNonce, redeemCode, useNonce } from "../auth/one-time-code.ts";
import { knownPasskey, ownPasskeys, sealed } from "../auth/passkey-seal.ts";
import { checkRegistration, checkSignIn } from "../auth/passkeys.ts";
import { newRecoveryCodes, redeemRecoveryCode } from "../auth/recovery-code.ts";
import {
  accountById,
  accountCount,
  insertAccount,
  insertAudit,
  insertPasskey,
  passkeyByCredential,
  recoveryCodesLeft,
  renamePasskey,
  replaceRecoveryCodes,
  touchPasskey,
} from "../db/account-queries.ts";
import type { Passkey } from "../db/account-queries.ts";
import type { Env } from "../env.ts";
import { ApiError } from "../respond.ts";
import { mayMakeAccount } from "../services/gateway-invitations.ts";
import { route } from "./checked-route.ts";
import { signOutAt } from "./sign-out.ts";
import type { Call } from "./checked-route.ts";

export function newRowId(): string {
  return toBase32(crypto.getRandomValues(new Uint8Array(16)));
}

/** `first`: open, but for the first account only; the insert decides who that is. */
async function signUpMode(call: Pick<Call<unknown>, "env" | "config">): Promise<"open" | "first" | "invite"> {
  const { signUp } = call.config;
  if (signUp === "open") return "open";
  return signUp === "first" && (await accountCount(call.env.DB)) === 0 ? "first" : "invite";
}

/** Writes down what an account did, apart from any gateway. */
export async function auditAccount(env: Env, accountId: string, action: string): Promise<void> {
  await insertAudit(env.DB, {
    id: newRowId(),
    accountId,
    gatewayId: null,
    deviceId: null,
    actor: "person",
    action,
    detail: "{}",
    atMs: Date.now(),
  });
}

async function signedIn(call: Call<unknown>, accountId: string, recoveryCodes?: string[]) {
  const account = await accountById(call.env.DB, accountId);
  if (account === null) throw new ApiError("passkey-refused");
  const json = { account: { id: account.id, name: account.name }, ...(recoveryCodes === undefined ? {} : { recoveryCodes }) };
  return { json, cookies: [await startSession(call.env, accountId, "approve")] };
}

function passkeyView(row: Passkey) {
  return {
    id: row.credentialId,
    name: row.name,
    createdAtMs: row.createdAtMs,
    lastUsedAtMs: row.lastUsedAtMs,
    credentialId: row.credentialId,
    key: passkeyKeySchema.parse(JSON.parse(row.jwk)),
  };
}

export const authRoutes = [
  route({
    method: "POST",
    path: "/api/auth/nonce",
    summary: "A single-use nonce for one sign-up or sign-in",
    auth: "none",
    limited: true,
    answer: nonceResponseSchema,
    run: async (call) => ({
      nonce: await issueNonce(call.env, NONCE_MS),
      rpId: call.config.rpId,
      signUp: (await signUpMode(call)) === "invite" ? ("invite" as const) : ("open" as const),
      appOrigin: call.config.appOrigin,
    }),
  }),
  route<z.infer<typeof signUpSchema>>({
    method: "POST",
    path: "/api/auth/sign-up",
    summary: "Makes an account with its first passkey",
    auth: "none",
    limited: true,
    body: signUpSchema,
    answer: signedInSchema,
    run: async (call) => {
      const { body, env, config } = call;
      const nonce = await useNonce(env, body.nonce);
      const passkey = nonce === null ? null : await checkRegistration(config, nonce, body.response);
      if (passkey === null) throw new ApiError("passkey-refused");
      if ((await passkeyByCredential(env.DB, passkey.credentialId)) !== null) throw new ApiError("passkey-refused");
      const mode = await signUpMode(call);
      const nowMs = Date.now();
      const account = { id: newRowId(), name: body.name, userHandle: body.userHandle, createdAtMs: nowMs };
      if (mode === "invite") {
        const invitation = body.invitation === undefined ? null : await redeemCode(env, "invitation", body.invitation);
        if (invitation === null || !(await mayMakeAccount(env, invitation, body.invitation ?? "", account.id)))
          throw new ApiError("closed-for-sign-up");
      }
      const { codes, macs } = await newRecoveryCodes(env, account.id);
      const { credentialId, coseKey, key } = passkey;
      const row = await sealed(env, {
        credentialId,
        accountId: account.id,
        name: "First passkey",
        coseKey,
        jwk: JSON.stringify(key),
        createdAtMs: nowMs,
        lastUsedAtMs: null,
      });
      if (!(await insertAccount(env.DB, account, row, macs, mode === "first"))) throw new ApiError("closed-for-sign-up");
      await auditAccount(env, account.id, "signed-up");
      return signedIn(call, account.id, codes);
    },
  }),
  route<z.infer<typeof signInSchema>>({
    method: "POST",
    path: "/api/auth/sign-in",
    summary: "Signs in with a passkey",
    auth: "none",
    limited: true,
    body: signInSchema,
    answer: signedInSchema,
    run: async (call) => {
      const { body, env, config } = call;
      const nonce = await useNonce(env, body.nonce);
      const passkey = nonce === null ? null : await knownPasskey(env, body.response.id);
      if (nonce === null || passkey === null || !(await checkSignIn(config, nonce, body.response, passkey)))
        throw new ApiError("passkey-refused");
      await touchPasskey(env.DB, passkey.credentialId, Date.now());
      await auditAccount(env, passkey.accountId, "signed-in");
      return signedIn(call, passkey.accountId);
    },
  }),
  route<z.infer<typeof recoverSchema>>({
    method: "POST",
    path: "/api/auth/recover",
    summary: "Signs in with a recovery code, which is used up",
    auth: "none",
    limited: true,
    body: recoverSchema,
    answer: signedInSchema,
    run: async (call) => {
      const account = await redeemRecoveryCode(call.env, call.body.code, Date.now());
      if (account === null) throw new ApiError("code-invalid");
      await auditAccount(call.env, account, "signed-in-with-recovery-code");
      return signedIn(call, account);
    },
  }),
  route({
    method: "GET",
    path: "/api/auth/me",
    summary: "The signed-in person, with passkeys",
    auth: "account",
    answer: meSchema,
    run: async ({ env, config, session }) => {
      const account = await accountById(env.DB, session.account);
      if (account === null) throw new ApiError("not-signed-in");
      const passkeys = (await ownPasskeys(env, account.id)).map(passkeyView);
      return {
        account: { id: account.id, name: account.name },
        passkeys,
        recoveryCodesLeft: await recoveryCodesLeft(env.DB, account.id),
        appOrigin: config.appOrigin,
      };
    },
  }),
  route<z.infer<typeof addPasskeySchema>>({
    method: "POST",
    path: "/api/auth/passkeys",
    summary: "Adds a passkey",
    auth: "account",
    body: addPasskeySchema,
    run: async ({ body, env, config, session }) => {
      if ((await ownPasskeys(env, session.account)).length >= MAX_PASSKEYS_PER_ACCOUNT) throw new ApiError("too-many");
      const nonce = await useNonce(env, body.nonce);
      const passkey = nonce === null ? null : await checkRegistration(config, nonce, body.response);
      if (passkey === null || (await passkeyByCredential(env.DB, passkey.credentialId)) !== null) throw new ApiError("passkey-refused");
      const row = await sealed(env, {
        credentialId: passkey.credentialId,
        accountId: session.account,
        name: body.name,
        coseKey: passkey.coseKey,
        jwk: JSON.stringify(passkey.key),
        createdAtMs: Date.now(),
        lastUsedAtMs: null,
      });
      await insertPasskey(env.DB, row);
      await auditAccount(env, session.account, "passkey-added");
      return passkeyView(row);
    },
  }),
  route<z.infer<typeof passkeyNameSchema>>({
    method: "PATCH",
    path: "/api/auth/passkeys/:id",
    summary: "Renames a passkey",
    auth: "account",
    body: passkeyNameSchema,
    run: async ({ body, env, session, param }) => {
      const own = await ownPasskeys(env, session.account);
      if (!own.some((row) => row.credentialId === param("id"))) throw new ApiError("not-found");
      await renamePasskey(env.DB, session.account, param("id"), body.name);
      return {};
    },
  }),
  route({
    method: "POST",
    path: "/api/auth/recovery-codes",
    summary: "Ten new recovery codes; the old ones end",
    auth: "account",
    run: async ({ env, session }) => {
      const { codes, macs } = await newRecoveryCodes(env, session.account);
      await replaceRecoveryCodes(env.DB, session.account, macs);
      await auditAccount(env, session.account, "recovery-codes-renewed");
      return { recoveryCodes: codes };
    },
  }),
  route<z.infer<typeof handoffRequestSchema>>({
    method: "POST",
    path: "/api/auth/handoff",
    summary: "A one-time code that signs the dashboard in",
    auth: "account",
    body: handoffRequestSchema,
    answer: handoffResponseSchema,
    run: async ({ body, env, session }) => {
      const { code } = await issueCode(env, "handoff", { account: session.account, challenge: body.challenge }, HANDOFF_CODE_MS);
      return { code };
    },
  }),
  signOutAt("/api/auth/sign-out"),
];
