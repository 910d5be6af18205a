/** Several persons on one gateway: invited, accepted, confirmed by a signature, with exactly the powers of their role, and gone at once when removed. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { activationHash } from "../../src/core/trust/digests.ts";
import type { Activity, Gateway } from "../../src/protocol/api.ts";
import type { PersonRole, SignedByOwner } from "../../src/protocol/statements.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
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
  personsBench,
  personsView,
  removal,
  sendSigned,
} from "./persons-world.ts";
import { allowedDevice, askOwner, claimAs, config, dump, enrol, env, newGateway, newPerson } from "./world.ts";
import type { GatewayWorld, Person, WaitingDevice } from "./world.ts";

let world: GatewayWorld;

beforeEach(async () => {
  world = await newGateway();
});

afterEach(() => {
  vi.useRealTimers();
});

const { gatewayPath, isHere, listed, inboxOf, allowAs, signedGrant, sendGrant, audited, inRoom, dashboard } = personsBench(() => world);

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
    storage.setPolicy({ maxAccess: "look", maxExpiryMs: HOUR_MS });
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
  for (const person of [world.person, ben.person])
    expect((await inboxOf(person)).notices).toMatchObject([{ state: "granted", by: "Ann", isShared: true }]);
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
  const [account, atMs] = [world.person.id, Date.now()];
  await enrol(world, key.key);
  const log = await TestKeyLog.start({
    gateway: world.gateway,
    owner: world.person.authenticator,
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
  // Nobody but the account that claimed the gateway connects another machine.
  const { person: ben } = await confirmedPerson(world, OWNER);
  const bens = { gateway: world.gateway, account: ben.id, connectorKey: world.key, by: ben.authenticator };
  expect(await claimAs(world.room, bens)).toMatchObject({
    failure: "not-found",
  });
  expect(await enrol(world, world.key)).toMatchObject({ ok: true });
  expect(await isHere(cid.person)).toBe(true);
  for (const person of [ann.person, ben]) expect(await isHere(person)).toBe(false);
  expect((await personsView(world)).persons.map(({ state }) => state)).toEqual(["accepted", "confirmed", "accepted"]);
  expect((await sendSigned(world, ann.id, "confirm", await confirmation(world, ann.person))).status).toBe(200);
  expect(await isHere(ann.person)).toBe(true);
});
