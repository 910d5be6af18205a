/** Several persons on one gateway: invited, accepted, confirmed by a signature, with exactly the powers of their role, and gone at once when removed. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { activationHash } from "../../src/core/digests.ts";
import { isInvitationProof } from "../../src/core/invitation-proof.ts";
import type { Activity, Gateway, InboxMessage, Notice, WaitingCard } from "../../src/protocol/api.ts";
import { INVITATION_MS, MAX_OPEN_GATEWAY_INVITATIONS } from "../../src/protocol/limits.ts";
import { toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { PersonRole, SignedByOwner } from "../../src/protocol/statements.ts";
import { RoomStorage } from "../../src/worker/room/storage.ts";
import { handle } from "../../src/worker/app.ts";
import { codeHash } from "../../src/worker/services/gateway-invitations.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { TestKeyLog, newLogKey } from "../support/test-key-log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { grantBytes, newDevice } from "../support/fake-device.ts";
import {
  APPROVER,
  HOUR_MS,
  OWNER,
  VIEWER,
  accept,
  callAs,
  confirmation,
  confirmedPerson,
  invite,
  invitedPerson,
  personsView,
  removal,
  sendSigned,
} from "./persons-world.ts";
import { allowedDevice, ask, askOwner, config, dump, env, newGateway, newPerson, randomAddress } from "./world.ts";
import type { GatewayWorld, Person, WaitingDevice } from "./world.ts";

let world: GatewayWorld;

beforeEach(async () => {
  world = await newGateway();
});

afterEach(() => {
  vi.useRealTimers();
});

const gatewayPath = (): string => `/api/gateways/${world.gateway}`;
const isHere = async (person: Person): Promise<boolean> => (await callAs(person, "app", "GET", gatewayPath())).status === 200;

/** The list on the overview, once D1 has heard of everybody. */
async function listed(person: Person): Promise<Gateway[]> {
  await runDurableObjectAlarm(world.room);
  return (await callAs<{ gateways: Gateway[] }>(person, "app", "GET", "/api/gateways")).json.gateways;
}

async function inboxOf(person: Person): Promise<{ requests: WaitingCard[]; notices: Notice[] }> {
  return (await callAs<{ requests: WaitingCard[]; notices: Notice[] }>(person, "app", "GET", "/api/requests")).json;
}

/** A yes over HTTP, by somebody's own passkey. */
async function allowAs(person: Person, waiting: WaitingDevice, grant: { access?: "full" | "chat"; lifeMs?: number } = {}) {
  const signed = await signedGrant(person, waiting, grant);
  return sendGrant(person, waiting, signed);
}

async function signedGrant(
  person: Person,
  waiting: WaitingDevice,
  { access = "chat" as const, lifeMs = HOUR_MS }: { access?: "full" | "chat"; lifeMs?: number } = {},
) {
  const nowMs = Date.now();
  const bytes = await grantBytes(world.gateway, waiting.device.key, nowMs, {
    request: waiting.request,
    access,
    notAfterMs: nowMs + lifeMs,
  });
  return person.authenticator.sign("grant", bytes);
}

function sendGrant(person: Person, waiting: WaitingDevice, signed: SignedByOwner) {
  const path = `/api/decisions/${world.gateway}/requests/${waiting.request}/allow`;
  return callAs<{ outcome: string; device: string }>(person, "approve", "POST", path, { code: waiting.digits, signed });
}

async function audited(): Promise<{ action: string; actor: string; detail: Record<string, unknown> }[]> {
  const lines = await world.room.auditLines({ account: world.person.id, from: 0, isExport: false });
  if (!lines.ok) throw new Error("no audit");
  return lines.value.map((line) => JSON.parse(line) as { action: string; actor: string; detail: Record<string, unknown> });
}

const inRoom = <T>(look: (storage: RoomStorage) => T): Promise<T> =>
  runInDurableObject(world.room, (_room, state) => look(new RoomStorage(state.storage)));

/** A dashboard that is open. */
async function dashboard(person: Person): Promise<InboxMessage[]> {
  const answered = await ask(`${config.appOrigin}/api/inbox`, { cookie: await person.cookie("app"), headers: { upgrade: "websocket" } });
  const seen: InboxMessage[] = [];
  answered.webSocket?.addEventListener("message", ({ data }) => seen.push(JSON.parse(String(data)) as InboxMessage));
  answered.webSocket?.accept();
  return seen;
}

// --- invitations ----------------------------------------------------------------------------------------------------------------

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
  expect((await callAs(world.person, "approve", "POST", path, body)).code).toBe("too-many");
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

test("[PE4] [case 29] a confirmation counts for the accepted passkey, in the invited role, at this gateway, signed by an owner; else nothing changes", async () => {
  await world.connect();
  const { id, person } = await invitedPerson(world, APPROVER);
  const other = (await newAuthenticator(config.approveOrigin)).ownerKey;
  const stranger = await newPerson();
  const before = await dump(world.room);
  const wrong = [
    await confirmation(world, person, { passkey: other }),
    await confirmation(world, person, { passkey: { ...person.authenticator.ownerKey, key: other.key } }),
    await confirmation(world, person, { role: OWNER }),
    await confirmation(world, person, { role: { ...APPROVER, maxAccess: "full" } as PersonRole }),
    await confirmation(world, person, { gateway: (await newGateway()).gateway }),
    await confirmation(world, person, { account: person.id }),
    await confirmation(world, person, { by: person.authenticator }),
    await confirmation(world, person, { by: stranger.authenticator }),
  ];
  for (const signed of wrong) expect((await sendSigned(world, id, "confirm", signed)).code).toBe("grant-refused");
  expect(JSON.parse(await dump(world.room))[1]).toEqual(JSON.parse(before)[1]);
  // Nor does a confirmation serve as an endorsement of the account's own passkeys.
  const right = await confirmation(world, person);
  expect(await world.room.addOwnerKey({ account: world.person.id, signed: right })).toMatchObject({ failure: "grant-refused" });
  expect((await sendSigned(world, id, "confirm", right)).json).toEqual({ outcome: "done" });
  expect((await sendSigned(world, id, "confirm", right)).code).toBe("conflict");
});

test("[PE4] [KL13] a ceiling above the policy of the gateway's machine is neither offered an invitation nor a confirmation", async () => {
  const { id, person } = await invitedPerson(world, APPROVER);
  await inRoom((storage) => {
    const policy = { maxAccess: "look", maxExpiryMs: HOUR_MS, confirmOnHost: "never" };
    const line = JSON.stringify({
      v: 1,
      gateway: world.gateway,
      seq: 0,
      prev: null,
      atMs: 1,
      body: { type: "policy", policy },
      sig: "A".repeat(86),
    });
    storage.addToKeyLog({ seq: 0, hash: "A".repeat(43), line, grant: null });
  });
  expect((await sendSigned(world, id, "confirm", await confirmation(world, person))).code).toBe("grant-refused");
  const path = `/api/decisions/${world.gateway}/invitations`;
  expect((await callAs(world.person, "approve", "POST", path, { name: "Ben", role: APPROVER })).code).toBe("grant-refused");
  const body = { name: "Ben", role: { ...APPROVER, maxAccess: "look" } };
  expect((await callAs(world.person, "approve", "POST", path, body)).status).toBe(200);
});

test("[PE4] what an approver may give ends at its ceiling, in access and in time; the grant carries its own passkey's signature", async () => {
  const connector = await world.connect();
  const { person } = await confirmedPerson(world, APPROVER);
  await connector.next("owner-key");
  const waiting = await askOwner(world);
  const path = `/api/decisions/${world.gateway}/requests/${waiting.request}`;
  expect((await callAs(person, "approve", "GET", path)).json).toMatchObject({ ceiling: { maxAccess: "chat", maxExpiryMs: HOUR_MS } });
  expect((await callAs(world.person, "approve", "GET", path)).json).toMatchObject({ ceiling: null });
  expect((await allowAs(person, waiting, { access: "full" })).code).toBe("grant-refused");
  expect((await allowAs(person, waiting, { lifeMs: HOUR_MS + 60_000 })).code).toBe("grant-refused");
  // The same-device way has the same ceiling.
  const device = await newDevice();
  const bytes = await grantBytes(world.gateway, device.key, Date.now(), {
    kind: "owner",
    request: null,
    activation: await activationHash("c"),
  });
  const own = await person.authenticator.sign("grant", bytes);
  expect((await callAs(person, "approve", "POST", `/api/decisions/${world.gateway}/owner`, { signed: own })).code).toBe("grant-refused");
  expect((await allowAs(person, waiting)).json).toMatchObject({ outcome: "applied" });
  expect((await connector.next("grant")).signed.assertion.credentialId).toBe(person.authenticator.ownerKey.credentialId);
  expect((await audited()).findLast(({ action }) => action === "allow")).toMatchObject({ actor: "approver", detail: { person: "Ann" } });
});

test("[PE4] an approver invites, confirms and removes nobody, whatever it signs and whichever way it takes", async () => {
  await world.connect();
  const { id: self, person: ann } = await confirmedPerson(world, APPROVER);
  const ben = await invitedPerson(world, OWNER);
  const by = ann.authenticator;
  const path = `/api/decisions/${world.gateway}`;
  expect((await callAs(ann, "approve", "POST", `${path}/invitations`, { name: "Eve", role: VIEWER })).status).toBe(404);
  expect((await callAs(ann, "app", "GET", `${gatewayPath()}/persons`)).status).toBe(404);
  const signed = await confirmation(world, ben.person, { by, role: OWNER });
  expect((await sendSigned(world, ben.id, "confirm", signed, ann)).status).toBe(404);
  expect((await sendSigned(world, ben.id, "confirm", signed)).code).toBe("grant-refused");
  expect((await sendSigned(world, self, "remove", await removal(world, world.person, by), ann)).status).toBe(404);
  const eve = await confirmedPerson(world, APPROVER);
  expect((await sendSigned(world, eve.id, "remove", await removal(world, eve.person, by))).code).toBe("grant-refused");
  expect(await isHere(eve.person)).toBe(true);
});

test("[PE4] the gateway's machine has the last word: what it refuses leaves the person waiting, without a place and without a say", async () => {
  const connector = await world.connect({ answer: false });
  const { id, person } = await invitedPerson(world, APPROVER);
  const answered = sendSigned(world, id, "confirm", await confirmation(world, person));
  const message = await connector.next("owner-key");
  connector.send({ type: "result", id: message.id, ok: false, refusal: "over-ceiling" });
  expect((await answered).json).toEqual({ outcome: "refused" });
  expect(await isHere(person)).toBe(false);
  expect((await personsView(world)).persons).toMatchObject([{ state: "accepted", isRefused: true }]);
  expect((await audited()).map(({ action }) => action)).toContain("owner-key-refused");
});

test("[PE1] a second owner does what the first does: invites, confirms, removes; the one who claimed the gateway stays", async () => {
  await world.connect();
  const { person: ben } = await confirmedPerson(world, OWNER);
  const invitation = await invite(world, VIEWER, "Cid", ben);
  const cid = await newPerson();
  expect((await accept(world, invitation, cid)).status).toBe(200);
  const signed = await confirmation(world, cid, { by: ben.authenticator, role: VIEWER });
  expect((await sendSigned(world, invitation.id, "confirm", signed, ben)).json).toEqual({ outcome: "done" });
  expect(await listed(cid)).toMatchObject([{ id: world.gateway, role: "viewer", isOwn: false, waitingCount: 0 }]);
  expect((await callAs(ben, "app", "PATCH", gatewayPath(), { name: "Cabin" })).status).toBe(200);
  expect(await listed(world.person)).toMatchObject([{ name: "Cabin", role: "owner", isOwn: true }]);
  // A new machine's log would begin with ben's passkeys.
  expect((await callAs(ben, "app", "POST", `${gatewayPath()}/enrolment`)).status).toBe(404);
  expect((await callAs(ben, "approve", "GET", `/api/decisions/${world.gateway}/leave`)).json).toMatchObject({ mayLeave: true });
  expect((await callAs(world.person, "approve", "POST", `/api/decisions/${world.gateway}/leave`, { signed: null })).code).toBe("conflict");
  expect(await isHere(world.person)).toBe(true);
});

// --- what each hears ----------------------------------------------------------------------------------------------------------------

test("[PE1] cards go to everybody who may decide, also those that wait when somebody is confirmed; notices to owners alone", async () => {
  await world.connect();
  const waiting = await askOwner(world);
  const [ann, ben, cid] = [
    await confirmedPerson(world, APPROVER),
    await confirmedPerson(world, OWNER),
    await confirmedPerson(world, VIEWER),
  ];
  const second = await askOwner(world);
  const requests = async (person: Person) => (await inboxOf(person)).requests.map((card) => card.id);
  for (const person of [world.person, ann.person, ben.person]) expect(await requests(person)).toEqual([waiting.request, second.request]);
  expect(await requests(cid.person)).toEqual([]);
  expect((await allowAs(ann.person, waiting)).status).toBe(200);
  for (const person of [world.person, ann.person, ben.person]) expect(await requests(person)).toEqual([second.request]);
  for (const person of [world.person, ben.person]) expect((await inboxOf(person)).notices).toMatchObject([{ state: "granted", by: "Ann" }]);
  for (const { person } of [ann, cid]) expect((await inboxOf(person)).notices).toEqual([]);
});

test("[PE1] a decision that somebody else has taken is shown as such to whoever comes later", async () => {
  await world.connect();
  const { person: ann } = await confirmedPerson(world, APPROVER);
  const [first, second] = [await askOwner(world), await askOwner(world)];
  const look = (person: Person, { request }: WaitingDevice) =>
    callAs(person, "approve", "GET", `/api/decisions/${world.gateway}/requests/${request}`);
  expect((await look(world.person, first)).status).toBe(200);
  expect((await allowAs(ann, first)).status).toBe(200);
  expect(await look(world.person, first)).toMatchObject({ status: 410, code: "already-allowed" });
  expect(
    (await callAs(world.person, "approve", "POST", `/api/decisions/${world.gateway}/requests/${second.request}/deny`, { block: false }))
      .status,
  ).toBe(200);
  expect(await look(ann, second)).toMatchObject({ status: 410, code: "already-denied" });
});

test("[PE1] a person sees what happened at the gateway, and at no other of its owner's; a row in D1 makes nobody a person", async () => {
  await world.connect();
  const elsewhere = await newGateway(world.person);
  await elsewhere.connect();
  await allowedDevice(elsewhere);
  const { person } = await confirmedPerson(world, VIEWER);
  const mallory = await newPerson();
  for (const { gateway } of [world, elsewhere])
    await env.DB.prepare("INSERT INTO gateway_members (gateway_id, account_id, role) VALUES (?, ?, 'owner')")
      .bind(gateway, mallory.id)
      .run();
  for (const each of [world, elsewhere]) await runDurableObjectAlarm(each.room);
  const activity = async (of: Person, query = "") => (await callAs<Activity>(of, "app", "GET", `/api/activity${query}`)).json.events;
  const seen = await activity(person);
  expect(seen.map(({ action }) => action)).toContain("person-confirmed");
  expect(new Set(seen.map(({ gateway }) => gateway))).toEqual(new Set([world.gateway]));
  expect(await activity(person, `?gateway=${elsewhere.gateway}`)).toEqual([]);
  for (const query of ["", `?gateway=${world.gateway}`]) expect(await activity(mallory, query)).toEqual([]);
  expect((await callAs<{ gateways: Gateway[] }>(mallory, "app", "GET", "/api/gateways")).json.gateways).toEqual([]);
  expect(await isHere(mallory)).toBe(false);
});

// --- the end -------------------------------------------------------------------------------------------------------------------------

test("[PE5] whoever is removed is nobody at once: open dashboards lose the gateway, a signed decision comes too late, the machine is told", async () => {
  const connector = await world.connect();
  const { id, person: ann } = await confirmedPerson(world, APPROVER);
  const waiting = await askOwner(world);
  const late = await signedGrant(ann, waiting);
  const seen = await dashboard(ann);
  await vi.waitFor(() => expect(seen[0]).toMatchObject({ type: "list", requests: [{ id: waiting.request }] }));
  expect(await listed(ann)).toHaveLength(1);
  expect((await sendSigned(world, id, "remove", await removal(world, ann))).json).toEqual({ outcome: "done" });
  expect((await connector.next("owner-remove")).signed.assertion.credentialId).toBe(world.person.authenticator.ownerKey.credentialId);
  await vi.waitFor(() => expect(seen.at(-1)).toMatchObject({ type: "gateway", gateway: world.gateway }));
  expect(seen.at(-2)).toEqual({ type: "list", requests: [], notices: [] });
  expect(await isHere(ann)).toBe(false);
  expect(await listed(ann)).toEqual([]);
  expect((await sendGrant(ann, waiting, late)).status).toBe(404);
  expect((await sendGrant(world.person, waiting, late)).code).toBe("grant-refused");
  expect((await personsView(world)).persons).toEqual([]);
  const order = (await audited()).map(({ action }) => action).filter((action) => action.startsWith("person-"));
  expect(order).toEqual(["person-invited", "person-accepted", "person-confirmed", "person-removed"]);
  expect((await audited()).find(({ action }) => action === "person-removed")?.detail).toEqual({ whom: "Ann", role: "approver" });
});

test("[PE5] a person who is removed while its yes is being checked has decided nothing", async () => {
  await world.connect();
  const { id, person: ann } = await confirmedPerson(world, APPROVER);
  const waiting = await askOwner(world);
  const signed = await signedGrant(ann, waiting);
  const answer = await runInDurableObject(world.room, (room, state) => {
    const deciding = room.allow({ account: ann.id, request: waiting.request, code: waiting.digits, signed });
    // The check of the signature has begun and is not over.
    new RoomStorage(state.storage).delete("persons", id);
    return deciding;
  });
  expect(answer).toEqual({ ok: false, failure: "not-found" });
  expect((await callAs<{ devices: unknown[] }>(world.person, "app", "GET", gatewayPath())).json.devices).toEqual([]);
});

test("[PE5] removed while the gateway's machine is away: no say in the room at once, and the machine is owed the removal alone", async () => {
  const { id, person: ann } = await confirmedPerson(world, APPROVER);
  expect((await sendSigned(world, id, "remove", await removal(world, ann))).json).toEqual({ outcome: "waiting" });
  const waiting = await askOwner(world);
  expect((await sendGrant(world.person, waiting, await signedGrant(ann, waiting))).code).toBe("grant-refused");
  expect(await inRoom((storage) => storage.owed().map(({ type }) => type))).toEqual(["owner-remove"]);
});

test("[PE5] the removal of another passkey, at another gateway, or signed by nobody who may, removes nobody", async () => {
  await world.connect();
  const { id, person: ann } = await confirmedPerson(world, APPROVER);
  const ben = await confirmedPerson(world, OWNER);
  const other = await newGateway(world.person);
  for (const signed of [
    await removal(world, ben.person),
    await removal(world, ann, undefined, other.gateway),
    await removal(world, ann, ann.authenticator),
    await removal(world, ann, (await newPerson()).authenticator),
  ])
    expect((await sendSigned(world, id, "remove", signed)).code).toBe("grant-refused");
  expect((await callAs(world.person, "app", "DELETE", `${gatewayPath()}/persons/${id}`)).code).toBe("grant-refused");
  expect(await isHere(ann)).toBe(true);
  // Nor does the account page's own way take a word about one gateway.
  expect(await world.room.removeOwnerKey({ account: world.person.id, signed: await removal(world, ann) })).toMatchObject({
    failure: "grant-refused",
  });
});

test("[PE5] a person who goes takes along the devices that it opened for itself; those that it allowed to others stay", async () => {
  await world.connect();
  const { id, person: ben } = await confirmedPerson(world, OWNER);
  const waiting = await askOwner(world);
  const guest = (await allowAs(ben, waiting)).json.device;
  const own = await newDevice();
  const bytes = await grantBytes(world.gateway, own.key, Date.now(), {
    kind: "owner",
    request: null,
    activation: await activationHash("c"),
  });
  const signed = await ben.authenticator.sign("grant", bytes);
  const { device } = (await callAs<{ device: string }>(ben, "approve", "POST", `/api/decisions/${world.gateway}/owner`, { signed })).json;
  await sendSigned(world, id, "remove", await removal(world, ben));
  const { devices } = (await callAs<{ devices: { id: string; state: string }[] }>(world.person, "app", "GET", gatewayPath())).json;
  expect(devices.find((each) => each.id === device)?.state).toBe("cut");
  expect(devices.find((each) => each.id === guest)?.state).toBe("allowed");
});

test("[PE5] a person leaves by itself: a viewer by saying so, an approver with its own passkey, and nobody for another", async () => {
  const connector = await world.connect();
  const [ann, cid] = [await confirmedPerson(world, APPROVER), await confirmedPerson(world, VIEWER)];
  const path = `/api/decisions/${world.gateway}/leave`;
  const leave = (person: Person, signed: SignedByOwner | null) => callAs(person, "approve", "POST", path, { signed });
  expect((await callAs(cid.person, "approve", "GET", path)).json).toMatchObject({ credentialId: null, mayLeave: true });
  expect((await leave(cid.person, null)).json).toEqual({ outcome: "done" });
  expect(await isHere(cid.person)).toBe(false);
  expect((await leave(cid.person, null)).status).toBe(404);
  expect((await leave(ann.person, null)).code).toBe("grant-refused");
  expect((await leave(ann.person, await removal(world, world.person, ann.person.authenticator))).code).toBe("grant-refused");
  for (const by of [(await newPerson()).authenticator, world.person.authenticator])
    expect((await leave(ann.person, await removal(world, ann.person, by))).code).toBe("grant-refused");
  expect((await leave(ann.person, await removal(world, ann.person, ann.person.authenticator))).json).toEqual({ outcome: "done" });
  await connector.next("owner-remove");
  expect(await isHere(ann.person)).toBe(false);
});

test("[PE5] what the host says about a person's passkey holds for the person: another role, or none", async () => {
  const key = await newLogKey();
  const [account, ownerKeys, atMs] = [world.person.id, [world.person.authenticator.ownerKey], Date.now()];
  await world.room.enrol({ account, key: key.key, ownerKeys });
  const log = await TestKeyLog.start({
    gateway: world.gateway,
    ownerKeys,
    approveOrigin: config.approveOrigin,
    atMs,
    signer: key,
    account,
  });
  const { id, person: ben } = await invitedPerson(world, OWNER);
  const signed = await confirmation(world, ben, { role: OWNER });
  expect((await sendSigned(world, id, "confirm", signed)).json).toEqual({ outcome: "waiting" });
  const { credentialId } = ben.authenticator.ownerKey;
  await log.add({ type: "owner-add", key: ben.authenticator.ownerKey, authority: { by: "owner", signed } }, atMs);
  await log.add({ type: "owner-role", credentialId, role: { kind: "approver", maxAccess: "look", maxExpiryMs: HOUR_MS } }, atMs);
  const connector = await FakeConnector.up(env, world.gateway, { key: key.key, sign: (data) => key.sign(data) });
  const taken = async (): Promise<void> => {
    for (;;) if ((await connector.control.next()).type === "log-ack") return;
  };
  connector.say({ type: "log", lines: log.lines });
  await taken();
  expect((await callAs<{ gateway: Gateway }>(ben, "app", "GET", gatewayPath())).json.gateway.role).toBe("approver");
  expect((await callAs(ben, "app", "GET", `${gatewayPath()}/persons`)).status).toBe(404);
  await log.add({ type: "owner-remove", credentialId, authority: { by: "host" } }, atMs);
  connector.say({ type: "log", lines: log.lines.slice(-1) });
  await taken();
  expect(await isHere(ben)).toBe(false);
  expect((await audited()).findLast(({ action }) => action === "person-removed")?.actor).toBe("host");
});

test("[PE4] another machine begins a new log: whoever had a say is confirmed anew, viewers stay", async () => {
  const [ann, cid] = [await confirmedPerson(world, APPROVER), await confirmedPerson(world, VIEWER)];
  const ownerKeys = [world.person.authenticator.ownerKey];
  // Nobody but the account that claimed the gateway connects another machine.
  const { person: ben } = await confirmedPerson(world, OWNER);
  expect(await world.room.enrol({ account: ben.id, key: world.key, ownerKeys: [ben.authenticator.ownerKey] })).toMatchObject({
    failure: "not-found",
  });
  expect(await world.room.enrol({ account: world.person.id, key: world.key, ownerKeys })).toMatchObject({ ok: true });
  expect(await isHere(cid.person)).toBe(true);
  for (const person of [ann.person, ben]) expect(await isHere(person)).toBe(false);
  expect((await personsView(world)).persons.map(({ state }) => state)).toEqual(["accepted", "confirmed", "accepted"]);
  expect((await sendSigned(world, ann.id, "confirm", await confirmation(world, ann.person))).status).toBe(200);
  expect(await isHere(ann.person)).toBe(true);
});
