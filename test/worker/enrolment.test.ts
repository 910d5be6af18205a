/** Enrolment over the real routes: who writes the database, or holds another account or passkey, gains nothing. */
import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { EnrolPage, Machine, askAsMachine, claimMachine } from "./enrolment-world.ts";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { ask, config, env, newPerson } from "./world.ts";
import type { Person } from "./world.ts";

const NAMES = bindings as unknown as { ENROLMENT: DurableObjectNamespace; ROOM: DurableObjectNamespace };

async function ownersIn(gateway: string): Promise<string[]> {
  return runInDurableObject(env.ROOM.getByName(gateway), (_room, state) =>
    new RoomStorage(state.storage).ownerKeys().map((key) => key.credentialId),
  );
}

async function hasRoom(gateway: string): Promise<boolean> {
  const ids = await listDurableObjectIds(NAMES.ROOM);
  return ids.some((id) => id.equals(NAMES.ROOM.idFromName(gateway)));
}

async function codeOf(person: Person, name = "Home"): Promise<{ code: string; enrolment: string; gateway: string }> {
  const answered = await ask(`${config.appOrigin}/api/gateways`, { method: "POST", cookie: await person.cookie("app"), body: { name } });
  const { code, enrolment, gateway } = await answered.json<{ code: string; enrolment: string; gateway: { id: string } }>();
  return { code, enrolment, gateway: gateway.id };
}

test("[EN6] a claim makes the room when the machine confirms, and not earlier; the one that signed is its only owner", async () => {
  const person = await newPerson();
  const machine = await Machine.begin(null);
  const page = new EnrolPage(person, machine.enrolment);
  const { json } = await page.claim("Home");
  const gateway = String(json["gateway"]);
  const draft = page.draft(await page.view());
  expect((await page.propose(draft)).status).toBe(200);
  expect((await machine.reveal()).status).toBe(200);
  const genesis = await page.genesis(draft);
  expect((await page.sign(await page.authenticator.sign("genesis", genesis))).status).toBe(200);
  expect(await hasRoom(gateway)).toBe(false);
  expect(await env.DB.prepare("SELECT id FROM gateways WHERE id = ?").bind(gateway).first()).toBe(null);
  expect((await machine.confirm(genesis)).status).toBe(200);
  expect(await ownersIn(gateway)).toEqual([person.authenticator.ownerKey.credentialId]);
  // The answer may be lost.
  expect((await machine.confirm(genesis)).status).toBe(200);
  expect(await machine.poll()).toMatchObject({ state: "done" });
});

test("[EN6] a gateway that waits for its machine is listed, renamed and removed without a room", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("app");
  const { gateway } = await codeOf(person);
  const url = `${config.appOrigin}/api/gateways/${gateway}`;
  expect(await (await ask(url, { cookie })).json()).toMatchObject({ gateway: { state: "unclaimed", name: "Home" } });
  expect((await ask(url, { method: "PATCH", cookie, body: { name: "Attic" } })).status).toBe(200);
  expect(await (await ask(url, { cookie })).json()).toMatchObject({ gateway: { name: "Attic" } });
  expect((await ask(url, { method: "DELETE", cookie })).status).toBe(200);
  expect((await ask(url, { cookie })).status).toBe(404);
  expect(await hasRoom(gateway)).toBe(false);
});

test("[EN6] the Worker takes no signature that is not the ceremony's", async () => {
  const [person, mallory] = [await newPerson(), await newAuthenticator(config.approveOrigin)];
  const machine = await Machine.begin(null);
  const page = new EnrolPage(person, machine.enrolment);
  await page.claim("Home");
  const draft = page.draft(await page.view());
  await page.propose(draft);
  await machine.reveal();
  const genesis = await page.genesis(draft);
  for (const signed of [
    await mallory.sign("genesis", genesis),
    await page.authenticator.sign("grant", genesis),
    await page.authenticator.sign("genesis", await page.genesis({ ...draft, gateway: "zzzzzzzzzzzzzzzzzzzzzzz" })),
    await page.authenticator.sign("genesis", genesis, { flags: 0x01 }),
  ])
    expect((await page.sign(signed)).code).toBe("grant-refused");
  expect(await machine.poll()).toMatchObject({ state: "revealed", signed: null });
});

test("[EN3] terms of another origin, gateway, account or passkey are not fixed", async () => {
  const [person, other] = [await newPerson(), await newPerson()];
  const machine = await Machine.begin(null);
  const page = new EnrolPage(person, machine.enrolment);
  await page.claim("Home");
  const seen = await page.view();
  for (const change of [
    { appOrigin: "https://evil.example" },
    { approveOrigin: config.appOrigin },
    { rpId: "localhost" },
    { gatewayOrigin: config.appOrigin },
    { ownerKey: other.authenticator.ownerKey },
    { account: other.id },
    { gateway: "zzzzzzzzzzzzzzzzzzzzzzz" },
  ])
    expect(["bad-request", "conflict"]).toContain((await page.propose(page.draft(seen, change))).code);
  expect(await machine.poll()).toMatchObject({ state: "redeemed", draft: null });
});

test("[EN9] a claim link leads to the approval origin, and its page is answered there alone", async () => {
  const machine = await Machine.begin(null);
  const person = await newPerson();
  const path = `/api/enrolments/${machine.enrolment}`;
  expect((await ask(`${config.appOrigin}${path}`, { cookie: await person.cookie("app") })).status).toBe(404);
  expect(
    (await ask(`${config.appOrigin}${path}/claim`, { method: "POST", cookie: await person.cookie("app"), body: { name: "x" } })).status,
  ).toBe(404);
  expect((await ask(`${config.approveOrigin}${path}`, { cookie: await person.cookie("approve") })).status).toBe(200);
  const started = await askAsMachine("/api/connector/claims", {
    key: machine.key.key,
    commitment: "A".repeat(43),
    machine: { name: "m", platform: "p" },
    version: "1",
  });
  expect(started.json["approveOrigin"]).toBe(config.approveOrigin);
});

test("[EN1] made-up names reach no object, and no row in the database tells of a ceremony", async () => {
  const person = await newPerson();
  const cookie = await person.cookie("approve");
  const before = (await listDurableObjectIds(NAMES.ENROLMENT)).length;
  for (let i = 0; i < 20; i += 1) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte & 31]).join("");
    expect((await ask(`${config.approveOrigin}/api/enrolments/${id}`, { cookie })).status).toBe(404);
    expect((await askAsMachine("/api/connector/poll", { enrolment: id, ticket: "x" })).status).toBe(404);
  }
  expect((await listDurableObjectIds(NAMES.ENROLMENT)).length).toBe(before);
  const { machine } = await claimMachine(person);
  expect((await listDurableObjectIds(NAMES.ENROLMENT)).length).toBe(before + 1);
  const { results } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%cf%'").all<{
    name: string;
  }>();
  for (const { name } of results) {
    const rows = JSON.stringify((await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
    for (const secret of [machine.enrolment, machine.ticket, machine.nonce]) expect(rows, name).not.toContain(secret);
  }
});

test("[EN7] another machine needs a passkey that decides there: a stolen session with a passkey of its own does not do", async () => {
  const person = await newPerson();
  const first = await claimMachine(person);
  expect(first.confirmed.status).toBe(200);
  const cookie = await person.cookie("app");
  const again = async (): Promise<{ code: string; enrolment: string }> =>
    (await ask(`${config.appOrigin}/api/gateways/${first.gateway}/enrolment`, { method: "POST", cookie })).json();
  // Added to the account by who holds its session, and endorsed by nobody.
  const thief = await newAuthenticator(config.approveOrigin);
  const nonce = await (await ask(`${config.approveOrigin}/api/auth/nonce`, { method: "POST", body: {} })).json<{ nonce: string }>();
  const added = { nonce: nonce.nonce, name: "Mine", response: await thief.register(nonce.nonce) };
  const approve = await person.cookie("approve");
  expect((await ask(`${config.approveOrigin}/api/auth/passkeys`, { method: "POST", cookie: approve, body: added })).status).toBe(200);
  const stolen = await Machine.begin((await again()).code);
  const page = new EnrolPage(person, stolen.enrolment, thief);
  expect((await page.propose(page.draft(await page.view()))).code).toBe("not-owner-here");
  expect(await stolen.poll()).toMatchObject({ state: "redeemed" });
  expect(await ownersIn(first.gateway)).toEqual([person.authenticator.ownerKey.credentialId]);
  const own = await Machine.begin((await again()).code);
  const ownPage = new EnrolPage(person, own.enrolment);
  await runInDurableObject(env.ROOM.getByName(first.gateway), (_room, state) =>
    new RoomStorage(state.storage).setPolicy({ maxAccess: "look", maxExpiryMs: 3_600_000 }),
  );
  const draft = ownPage.draft(await ownPage.view());
  await ownPage.propose(draft);
  await own.reveal();
  const genesis = await ownPage.genesis(draft);
  expect(await own.poll()).toMatchObject({ formerPolicy: null });
  await ownPage.sign(await ownPage.authenticator.sign("genesis", genesis));
  expect(await own.poll()).toMatchObject({ state: "signed", formerPolicy: { maxAccess: "look", maxExpiryMs: 3_600_000 } });
  expect((await own.confirm(genesis)).status).toBe(200);
});

test("[EN10] a newer code of a gateway ends the one before", async () => {
  const person = await newPerson();
  const { code, gateway } = await codeOf(person);
  const renewed = await ask(`${config.appOrigin}/api/gateways/${gateway}/enrolment`, {
    method: "POST",
    cookie: await person.cookie("app"),
  });
  const { code: newer } = await renewed.json<{ code: string }>();
  const body = {
    key: (await Machine.begin(null)).key.key,
    commitment: "A".repeat(43),
    machine: { name: "m", platform: "p" },
    version: "1",
  };
  expect((await askAsMachine("/api/connector/redeem", { ...body, code })).code).toBe("code-invalid");
  expect((await askAsMachine("/api/connector/redeem", { ...body, code: newer })).status).toBe(200);
});

const TRIGGERS: string[] = [];

async function plant(name: string, sql: string): Promise<void> {
  TRIGGERS.push(name);
  await env.DB.prepare(`CREATE TRIGGER ${name} ${sql}`).run();
}

afterEach(async () => {
  for (const name of TRIGGERS.splice(0)) await env.DB.prepare(`DROP TRIGGER IF EXISTS ${name}`).run();
});

test("[EN1] [EN5] [case 40] triggers on every row of an owner who claims: no second owner, no other gateway, no access for Mallory", async () => {
  const [victim, mallory] = [await newPerson(), await newPerson()];
  const gateways = await codeOf(mallory, "Empty");
  // Second owner: Mallory's passkey moves into the victim's account whenever a gateway of the victim appears.
  await plant("second_owner", `AFTER INSERT ON gateways WHEN NEW.account_id = '${victim.id}' BEGIN UPDATE passkeys SET account_id = '${victim.id}' WHERE account_id = '${mallory.id}'; END`); // prettier-ignore
  // Swapped gateway: the row, its member and its connector become Mallory's.
  await plant("swapped_row", `AFTER UPDATE ON gateways WHEN NEW.account_id = '${victim.id}' BEGIN UPDATE gateways SET account_id = '${mallory.id}' WHERE id = NEW.id; END`); // prettier-ignore
  await plant("swapped_member", `AFTER INSERT ON gateway_members WHEN NEW.account_id = '${victim.id}' BEGIN UPDATE gateway_members SET account_id = '${mallory.id}' WHERE gateway_id = NEW.gateway_id; END`); // prettier-ignore
  await plant("swapped_connector", `AFTER INSERT ON connectors BEGIN UPDATE connectors SET gateway_id = '${gateways.gateway}' WHERE gateway_id = NEW.gateway_id; END`); // prettier-ignore
  const claimed = await claimMachine(victim);
  expect(claimed.confirmed.status).toBe(200);
  expect(await ownersIn(claimed.gateway)).toEqual([victim.authenticator.ownerKey.credentialId]);
  expect(await hasRoom(gateways.gateway)).toBe(false);
  const poll = await claimed.machine.poll();
  expect(poll.draft).toMatchObject({ gateway: claimed.gateway, account: victim.id, ownerKey: victim.authenticator.ownerKey });
  const cookie = await mallory.cookie("app");
  const shown = await (await ask(`${config.appOrigin}/api/gateways/${claimed.gateway}`, { cookie })).text();
  expect(shown).not.toContain(victim.id);
  const opening = await ask(`${config.approveOrigin}/api/decisions/${claimed.gateway}/owner`, { cookie: await mallory.cookie("approve") });
  expect(opening.status).toBe(404);
});
