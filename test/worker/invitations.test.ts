/** Invitations to a gateway: one acceptance, one life, one account; and whoever accepted is nobody yet. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { isInvitationProof } from "../../src/core/trust/invitation-proof.ts";
import { INVITATION_MS, MAX_OPEN_GATEWAY_INVITATIONS } from "../../src/protocol/limits.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import { handle } from "../../src/worker/app.ts";
import { newRowId } from "../../src/worker/routes/auth.ts";
import { codeHash } from "../../src/worker/services/gateway-invitations.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import {
  APPROVER,
  HOUR_MS,
  OWNER,
  VIEWER,
  accept,
  callAs,
  confirmedPerson,
  invite,
  invitedPerson,
  personsBench,
  personsView,
} from "./persons-world.ts";
import { askOwner, config, dump, env, newGateway, newPerson, randomAddress } from "./world.ts";
import type { GatewayWorld, Person } from "./world.ts";

let world: GatewayWorld;

beforeEach(async () => {
  world = await newGateway();
});

afterEach(() => {
  vi.useRealTimers();
});

const { gatewayPath, isHere, listed, inboxOf, allowAs, signedGrant, sendGrant, audited } = personsBench(() => world);

test("[PE2] [case 33] of sixty who accept one invitation at once one does; the others learn nothing, and one event says so", async () => {
  const invitation = await invite(world, APPROVER);
  const people = await Promise.all(Array.from({ length: 60 }, () => newPerson()));
  const answers = await Promise.all(people.map((person) => accept(world, invitation, person)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ code }) => code === "code-invalid")).toHaveLength(59);
  const { persons, invitations } = await personsView(world);
  expect(persons).toHaveLength(1);
  expect(invitations).toHaveLength(0);
  expect((await audited()).filter(({ action }) => action === "person-accepted")).toHaveLength(1);
});

test("[PE2] an invitation that was used, withdrawn or is too old is worth nothing, and looks like one that never was", async () => {
  const late = await newPerson();
  const look = (code: string) => callAs(late, "approve", "POST", "/api/auth/invitations/look", { code });
  const [used, withdrawn, old] = [await invite(world, VIEWER), await invite(world, VIEWER), await invite(world, VIEWER)];
  expect((await look(used.code)).json).toMatchObject({ gatewayName: "Home", role: VIEWER, state: "open" });
  expect((await accept(world, used, await newPerson())).status).toBe(200);
  expect((await callAs(world.person, "app", "DELETE", `${gatewayPath()}/persons/${withdrawn.id}`)).status).toBe(200);
  const never = await look(`${used.code.slice(0, -7)}aaaaaaa`);
  for (const { code } of [used, withdrawn]) expect(await look(code)).toEqual(never);
  for (const invitation of [used, withdrawn]) expect((await accept(world, invitation, late)).code).toBe("code-invalid");
  vi.useFakeTimers({ now: Date.now() + INVITATION_MS + 1, toFake: ["Date"] });
  expect(await look(old.code)).toEqual(never);
  expect((await accept(world, old, late)).code).toBe("code-invalid");
  expect((await personsView(world)).invitations).toEqual([]);
});

test("[PE2] D1 that forgets that a code was used gains nothing: the room has forgotten the invitation", async () => {
  const invitation = await invite(world, APPROVER);
  expect((await accept(world, invitation, await newPerson())).status).toBe(200);
  await env.DB.prepare("UPDATE one_time_codes SET consumed_at_ms = NULL").run();
  expect((await accept(world, invitation, await newPerson())).code).toBe("code-invalid");
  expect((await personsView(world)).persons).toHaveLength(1);
});

test("[PE2] D1 that gives a code a longer life gains nothing: the room has its own clock", async () => {
  const invitation = await invite(world, APPROVER);
  await env.DB.prepare("UPDATE one_time_codes SET expires_at_ms = ?")
    .bind(Date.now() + 10 * INVITATION_MS)
    .run();
  vi.useFakeTimers({ now: Date.now() + INVITATION_MS + 1, toFake: ["Date"] });
  expect((await accept(world, invitation, await newPerson())).code).toBe("code-invalid");
});

test("[PE2] an invitation that made an account is for it alone, also when the room is asked past the code", async () => {
  const [ann, eve, { code }] = [await newPerson(), await newPerson(), await invite(world, APPROVER)];
  const about = { code: await codeHash(code), proof: null };
  const named = (person: Person) => ({ ...about, account: person.id, accountName: "x", passkey: person.authenticator.ownerKey });
  expect(await world.room.holdInvitation({ account: ann.id, code: about.code })).toMatchObject({ ok: true });
  for (const refused of [
    await world.room.holdInvitation({ account: eve.id, code: about.code }),
    await world.room.lookAtInvitation({ account: eve.id, code: about.code }),
    await world.room.acceptInvitation(named(eve)),
  ])
    expect(refused).toEqual({ ok: false, failure: "not-found" });
  expect(await world.room.acceptInvitation(named(ann))).toMatchObject({ ok: true });
});

test("[PE2] a gateway has so many open invitations and no more; withdrawing one makes room", async () => {
  const made = [];
  for (let i = 0; i < MAX_OPEN_GATEWAY_INVITATIONS; i += 1) made.push(await invite(world, VIEWER));
  const path = `/api/decisions/${world.gateway}/invitations`;
  const body = { name: "Ben", role: VIEWER };
  const codes = () => env.DB.prepare("SELECT count(*) AS n FROM one_time_codes").first<{ n: number }>();
  const before = await codes();
  expect((await callAs(world.person, "approve", "POST", path, body)).code).toBe("too-many");
  expect(await codes()).toEqual(before);
  const past = {
    account: world.person.id,
    id: newRowId(),
    code: "A".repeat(43),
    name: "Ben",
    role: VIEWER,
    expiresAtMs: Date.now() + HOUR_MS,
  };
  expect(await world.room.invite(past)).toEqual({ ok: false, failure: "too-many" });
  await callAs(world.person, "app", "DELETE", `${gatewayPath()}/persons/${made[0]?.id}`);
  expect((await callAs(world.person, "approve", "POST", path, body)).status).toBe(200);
});

test("[PE2] where sign-up is by invitation one to a gateway makes an account, which alone can accept it then", async () => {
  const invitation = await invite(world, APPROVER);
  const post = (path: string, body: object, cookie?: string): Promise<Response> => {
    const headers = new Headers({ origin: config.approveOrigin, "content-type": "application/json", "cf-connecting-ip": randomAddress() });
    if (cookie !== undefined) headers.set("cookie", cookie);
    return handle(new Request(config.approveOrigin + path, { method: "POST", headers, body: JSON.stringify(body) }), {
      ...env,
      SIGN_UP: "invite",
    });
  };
  const signUp = async (code?: string) => {
    const authenticator = await newAuthenticator(config.approveOrigin);
    const { nonce } = await (await post("/api/auth/nonce", {})).json<{ nonce: string }>();
    const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const body = { nonce, name: "Ann", userHandle, response: await authenticator.register(nonce) };
    const answer = await post("/api/auth/sign-up", code === undefined ? body : { ...body, invitation: code });
    return { answer, authenticator, cookie: answer.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "" };
  };
  expect((await signUp()).answer.status).toBe(403);
  const withdrawn = await invite(world, VIEWER);
  await callAs(world.person, "app", "DELETE", `${gatewayPath()}/persons/${withdrawn.id}`);
  expect((await signUp(withdrawn.code)).answer.status).toBe(403);
  const ann = await signUp(invitation.code);
  expect(ann.answer.status).toBe(200);
  expect((await signUp(invitation.code)).answer.status).toBe(403);
  expect((await accept(world, invitation, await newPerson())).code).toBe("code-invalid");
  const look = await post("/api/auth/invitations/look", { code: invitation.code }, ann.cookie);
  expect(await look.json()).toMatchObject({ state: "open", isHeld: true, role: APPROVER });
  const body = { code: invitation.code, passkey: ann.authenticator.ownerKey, proof: null };
  expect((await post("/api/auth/invitations/accept", body, ann.cookie)).status).toBe(200);
  expect((await personsView(world)).persons).toMatchObject([{ accountName: "Ann", state: "accepted", proof: null }]);
});

test("[PE2] an invitation never makes somebody a second person here, nor a passkey that counts here somebody else's", async () => {
  const ann = await confirmedPerson(world, APPROVER);
  for (const known of [world.person, ann.person])
    expect((await accept(world, await invite(world, OWNER), known)).code).toBe("code-invalid");
  // The account's own passkey, as the route demands, and at the same time one that counts here.
  const thief = await newPerson();
  const { code } = await invite(world, OWNER);
  const passkey = world.person.authenticator.ownerKey;
  const path = "/api/auth/invitations/accept";
  expect((await callAs(thief, "approve", "POST", path, { code, passkey, proof: null })).code).toBe("passkey-refused");
  const held = await world.room.acceptInvitation({ account: thief.id, code: await codeHash(code), accountName: "x", passkey, proof: null });
  expect(held).toEqual({ ok: false, failure: "conflict" });
});

// --- acceptance and confirmation --------------------------------------------------------------------------------------------------

test("[PE3] whoever accepted is nobody yet: not in the room, not in the list, and its signature decides nothing", async () => {
  const connector = await world.connect();
  const { person } = await invitedPerson(world, OWNER);
  expect(await isHere(person)).toBe(false);
  expect(await listed(person)).toEqual([]);
  const waiting = await askOwner(world);
  expect((await inboxOf(person)).requests).toEqual([]);
  expect((await allowAs(person, waiting)).status).toBe(404);
  // Also through the owner's own session: the room does not know the passkey.
  const signed = await signedGrant(person, waiting);
  expect((await sendGrant(world.person, waiting, signed)).code).toBe("grant-refused");
  connector.ws.close();
});

test("[PE3] [case 29] what the owner's page checks: the proof of the link holds for the accepted passkey, and for no other one", async () => {
  const { invitation, person } = await invitedPerson(world, APPROVER);
  const [row] = (await personsView(world)).persons;
  if (row === undefined) throw new Error("nobody accepted");
  expect(row.passkey).toEqual(person.authenticator.ownerKey);
  expect(await isInvitationProof(invitation.secret, world.gateway, row.passkey, row.proof)).toBe(true);
  const swapped = (await newAuthenticator(config.approveOrigin)).ownerKey;
  expect(await isInvitationProof(invitation.secret, world.gateway, swapped, row.proof)).toBe(false);
  // No server ever had the secret: it is in no row of D1, the room or the inbox.
  expect(await dump(world.room)).not.toContain(invitation.secret);
});
