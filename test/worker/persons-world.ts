/** Persons of a gateway as tests need them: invited, accepted over HTTP as the pages do it, confirmed and removed by signatures. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import type { Gateway, InboxMessage, Notice, WaitingCard } from "../../src/protocol/api.ts";
import { RoomStorage } from "../../src/worker/room/storage/storage.ts";
import { grantBytes } from "../support/fake-device.ts";
import { invitationProof } from "../../src/core/trust/invitation-proof.ts";
import type { PersonChange, PersonsView } from "../../src/protocol/members.ts";
import { OWNER_KEY_KEYS, OWNER_REMOVE_KEYS, encodeBody, toBase64url } from "../../src/protocol/statement-encoding.ts";
import type { OwnerKey, PersonRole, SignedByOwner } from "../../src/protocol/statements.ts";
import type { Authenticator } from "../support/fake-authenticator.ts";
import { ask, config, newPerson } from "./world.ts";
import type { GatewayWorld, Person, WaitingDevice } from "./world.ts";

export const HOUR_MS = 3_600_000;
export const OWNER: PersonRole = { kind: "owner" };
export const APPROVER: PersonRole = { kind: "approver", maxAccess: "chat", maxExpiryMs: HOUR_MS };
export const VIEWER: PersonRole = { kind: "viewer" };

/** One call at an origin by a signed-in person. */
export async function callAs<T = unknown>(
  person: Person,
  audience: "app" | "approve",
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; code: string | null; json: T }> {
  const origin = audience === "app" ? config.appOrigin : config.approveOrigin;
  const cookie = await person.cookie(audience);
  const answer = await ask(origin + path, { method, cookie, ...(body === undefined ? {} : { body }) });
  const json: T & { error?: { code: string } } = await answer.json();
  return { status: answer.status, code: json.error?.code ?? null, json };
}

export interface Invitation {
  readonly id: string;
  readonly code: string;
  /** The link's second secret, which no server sees. */
  readonly secret: string;
}

export async function invite(world: GatewayWorld, role: PersonRole, name = "Ann", by = world.person): Promise<Invitation> {
  const made = await callAs<{ id: string; code: string }>(by, "approve", "POST", `/api/decisions/${world.gateway}/invitations`, {
    name,
    role,
  });
  if (made.status !== 200) throw new Error(`invitation refused: ${made.code}`);
  return { ...made.json, secret: toBase64url(crypto.getRandomValues(new Uint8Array(32))) };
}

export async function accept(world: GatewayWorld, invitation: Invitation, person: Person) {
  const passkey = person.authenticator.ownerKey;
  const proof = await invitationProof(invitation.secret, world.gateway, passkey);
  return callAs(person, "approve", "POST", "/api/auth/invitations/accept", { code: invitation.code, passkey, proof });
}

/** Invites somebody new, who accepts. */
export async function invitedPerson(world: GatewayWorld, role: PersonRole = APPROVER) {
  const person = await newPerson();
  const invitation = await invite(world, role);
  const accepted = await accept(world, invitation, person);
  if (accepted.status !== 200) throw new Error(`not accepted: ${accepted.code}`);
  return { id: invitation.id, invitation, person };
}

export interface Confirming {
  readonly by?: Authenticator;
  readonly role?: PersonRole;
  readonly passkey?: OwnerKey;
  readonly gateway?: string;
  readonly account?: string;
}

/** What an owner's page signs for somebody who accepted. */
export async function confirmation(world: GatewayWorld, of: Person, about: Confirming = {}): Promise<SignedByOwner> {
  const { by = world.person.authenticator, role = APPROVER, passkey = of.authenticator.ownerKey, gateway = world.gateway } = about;
  const body = {
    v: 1,
    account: about.account ?? world.person.id,
    ...passkey,
    issuedAtMs: Date.now(),
    person: { gateway, role, head: null },
  };
  return by.sign("owner-key", encodeBody(body, OWNER_KEY_KEYS));
}

export async function removal(world: GatewayWorld, of: Person, by = world.person.authenticator, gateway = world.gateway) {
  const { credentialId } = of.authenticator.ownerKey;
  const body = encodeBody({ v: 1, account: world.person.id, credentialId, issuedAtMs: Date.now(), gateway }, OWNER_REMOVE_KEYS);
  return by.sign("owner-remove", body);
}

export function sendSigned(world: GatewayWorld, person: string, what: "confirm" | "remove", signed: SignedByOwner, as = world.person) {
  return callAs<PersonChange>(as, "approve", "POST", `/api/decisions/${world.gateway}/persons/${person}/${what}`, { signed });
}

/** Somebody new who was invited, accepted, and was confirmed by the owner. */
export async function confirmedPerson(world: GatewayWorld, role: PersonRole = APPROVER) {
  const made = await invitedPerson(world, role);
  const confirmed = await sendSigned(world, made.id, "confirm", await confirmation(world, made.person, { role }));
  if (confirmed.status !== 200) throw new Error(`not confirmed: ${confirmed.code}`);
  return made;
}

export async function personsView(world: GatewayWorld, as = world.person): Promise<PersonsView> {
  return (await callAs<PersonsView>(as, "app", "GET", `/api/gateways/${world.gateway}/persons`)).json;
}

/** What a test of persons asks and sees of one gateway. @param world the gateway of the test that runs */
export function personsBench(world: () => GatewayWorld) {
  const gatewayPath = (): string => `/api/gateways/${world().gateway}`;
  const isHere = async (person: Person): Promise<boolean> => (await callAs(person, "app", "GET", gatewayPath())).status === 200;

  /** The list on the overview, once D1 has heard of everybody. */
  async function listed(person: Person): Promise<Gateway[]> {
    await runDurableObjectAlarm(world().room);
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
    const bytes = await grantBytes(world().gateway, waiting.device.key, nowMs, {
      request: waiting.request,
      access,
      notAfterMs: nowMs + lifeMs,
    });
    return person.authenticator.sign("grant", bytes);
  }

  function sendGrant(person: Person, waiting: WaitingDevice, signed: SignedByOwner) {
    const path = `/api/decisions/${world().gateway}/requests/${waiting.request}/allow`;
    return callAs<{ outcome: string; device: string }>(person, "approve", "POST", path, { code: waiting.digits, signed });
  }

  async function audited(): Promise<{ action: string; actor: string; detail: Record<string, unknown> }[]> {
    const lines = await world().room.auditLines({ account: world().person.id, from: 0, isExport: false });
    if (!lines.ok) throw new Error("no audit");
    return lines.value.map((line) => JSON.parse(line) as { action: string; actor: string; detail: Record<string, unknown> });
  }

  const inRoom = <T>(look: (storage: RoomStorage) => T): Promise<T> =>
    runInDurableObject(world().room, (_room, state) => look(new RoomStorage(state.storage)));

  /** A dashboard that is open. */
  async function dashboard(person: Person): Promise<InboxMessage[]> {
    const answered = await ask(`${config.appOrigin}/api/inbox`, { cookie: await person.cookie("app"), headers: { upgrade: "websocket" } });
    const seen: InboxMessage[] = [];
    answered.webSocket?.addEventListener("message", ({ data }) => seen.push(JSON.parse(String(data)) as InboxMessage));
    answered.webSocket?.accept();
    return seen;
  }

  return { gatewayPath, isHere, listed, inboxOf, allowAs, signedGrant, sendGrant, audited, inRoom, dashboard };
}
