/** Persons of a gateway: inviting, accepting, confirming, removing, leaving. The room judges; this only says who asks. */
import type * as z from "zod";
import { INVITATION_MS, MAX_OPEN_GATEWAY_INVITATIONS } from "../../protocol/limits.ts";
import {
  acceptSchema,
  invitationCodeSchema,
  invitationMadeSchema,
  invitationViewSchema,
  inviteSchema,
  leavingSchema,
  personChangeSchema,
  personConfirmSchema,
  personEndSchema,
  personsViewSchema,
} from "../../protocol/members.ts";
import { issueCode } from "../auth/one-time-code.ts";
import { ownPasskeys } from "../auth/passkey-seal.ts";
import { accountById } from "../db/account-queries.ts";
import { ApiError } from "../respond.ts";
import { codeHash, lookAt, takeCode } from "../services/gateway-invitations.ts";
import { newRowId } from "./auth.ts";
import { route } from "./checked-route.ts";
import type { Call } from "./checked-route.ts";
import { roomOf, valueOf } from "./decisions.ts";

async function personsOf(call: Call<unknown>) {
  const { room, account } = await roomOf(call);
  return valueOf(await room.persons({ account }));
}

/** App origin. */
export const appPersonRoutes = [
  route({
    method: "GET",
    path: "/api/gateways/:gateway/persons",
    summary: "Everybody who is invited, waits to be confirmed, or is one of the gateway's persons; for owners",
    auth: "account",
    answer: personsViewSchema,
    run: personsOf,
  }),
  route({
    method: "DELETE",
    path: "/api/gateways/:gateway/persons/:person",
    summary: "Withdraws an invitation, turns down who accepted one, or removes a viewer: nobody whose passkey counts",
    auth: "account",
    answer: personChangeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await room.removePerson({ account, person: call.param("person"), signed: null })) };
    },
  }),
];

/** Approval origin. */
export const approvePersonRoutes = [
  route({
    method: "GET",
    path: "/api/decisions/:gateway/persons",
    summary: "Everybody who is invited, waits to be confirmed, or is one of the gateway's persons; for owners",
    auth: "account",
    answer: personsViewSchema,
    run: personsOf,
  }),
  route<z.infer<typeof inviteSchema>>({
    method: "POST",
    path: "/api/decisions/:gateway/invitations",
    summary: "Invites one person; the code is shown once",
    auth: "account",
    body: inviteSchema,
    answer: invitationMadeSchema,
    run: async (call) => {
      const { gateway, room, account } = await roomOf(call);
      // Before a code is made: whoever may not invite, or has invited enough, makes no row. The room decides when it counts.
      if ((await personsOf(call)).invitations.length >= MAX_OPEN_GATEWAY_INVITATIONS) throw new ApiError("too-many");
      const { name, role } = call.body;
      const { code, expiresAtMs } = await issueCode(call.env, "invitation", { gateway }, INVITATION_MS);
      const id = newRowId();
      valueOf(await room.invite({ account, id, code: await codeHash(code), name, role, expiresAtMs }));
      return { id, code, expiresAtMs };
    },
  }),
  route<z.infer<typeof invitationCodeSchema>>({
    method: "POST",
    path: "/api/auth/invitations/look",
    summary: "What an invitation is for",
    auth: "account",
    body: invitationCodeSchema,
    answer: invitationViewSchema,
    run: async ({ env, session, body }) => {
      const seen = await lookAt(env, session.account, body.code);
      if (seen === null) throw new ApiError("code-invalid");
      return seen;
    },
  }),
  route<z.infer<typeof acceptSchema>>({
    method: "POST",
    path: "/api/auth/invitations/accept",
    summary: "Names one of the account's passkeys to the gateway; an owner has to confirm it",
    auth: "account",
    body: acceptSchema,
    run: async ({ env, session, body }) => {
      const { account } = session;
      const { code, passkey, proof } = body;
      const own = (await ownPasskeys(env, account)).find((row) => row.credentialId === passkey.credentialId);
      if (own === undefined || own.jwk !== JSON.stringify(passkey.key)) throw new ApiError("passkey-refused");
      const person = await accountById(env.DB, account);
      const gateway = await takeCode(env, account, code);
      if (gateway === null || person === null) throw new ApiError("code-invalid");
      const input = { account, code: await codeHash(code), accountName: person.name, passkey, proof };
      const accepted = await env.ROOM.getByName(gateway).acceptInvitation(input);
      if (!accepted.ok) throw new ApiError(accepted.failure === "not-found" ? "code-invalid" : accepted.failure);
      return {};
    },
  }),
  route<z.infer<typeof personConfirmSchema>>({
    method: "POST",
    path: "/api/decisions/:gateway/persons/:person/confirm",
    summary: "Makes somebody who accepted a person of the gateway, signed by an owner",
    auth: "account",
    body: personConfirmSchema,
    answer: personChangeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await room.confirmPerson({ account, person: call.param("person"), signed: call.body.signed })) };
    },
  }),
  route<z.infer<typeof personEndSchema>>({
    method: "POST",
    path: "/api/decisions/:gateway/persons/:person/remove",
    summary: "Removes a person, signed by an owner where the person has a say",
    auth: "account",
    body: personEndSchema,
    answer: personChangeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await room.removePerson({ account, person: call.param("person"), signed: call.body.signed })) };
    },
  }),
  route({
    method: "GET",
    path: "/api/decisions/:gateway/leave",
    summary: "What the caller is about to leave",
    auth: "account",
    answer: leavingSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return valueOf(await room.leaving({ account }));
    },
  }),
  route<z.infer<typeof personEndSchema>>({
    method: "POST",
    path: "/api/decisions/:gateway/leave",
    summary: "Leaves the gateway; signed by the own passkey where it counts",
    auth: "account",
    body: personEndSchema,
    answer: personChangeSchema,
    run: async (call) => {
      const { room, account } = await roomOf(call);
      return { outcome: valueOf(await room.leave({ account, signed: call.body.signed })) };
    },
  }),
];
