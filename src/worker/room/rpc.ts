/** What services may ask of a room. Every call names the account; the room knows its persons and answers `not-found` to everybody else, and for what a role may not. */
import type { Device, Gateway, Receipt } from "../../protocol/api.ts";
import type { BlockedDevice } from "../../protocol/blocks.ts";
import type { ApproveAgainView, Ceiling, DecidedAgain, GrantRefusal, PairingRequest } from "../../protocol/approval-api.ts";
import type { Difference } from "../../protocol/drift.ts";
import type { KeyLogHead, OwnerPolicy, OwnerRole } from "../../protocol/key-log.ts";
import type { GatewayReport, ToRoom } from "../../protocol/link-messages.ts";
import type { RoleKind } from "../../core/trust/roles.ts";
import type { InvitationView, Leaving, PersonsView } from "../../protocol/members.ts";
import type { OwnerKey, PersonRole, RecoveryKey, SignedByOwner, SignedByRecovery } from "../../protocol/statements.ts";
import type { LastBreak } from "../../protocol/door-messages.ts";
import type { HopMedian } from "../../protocol/latency.ts";
import type { ProposalNotice } from "../../protocol/proposals-api.ts";
import type { ReceiptFile } from "../../protocol/receipt.ts";
import type { Budget, Usage } from "../../protocol/usage.ts";
import type { SettingsQuestion } from "../../protocol/link-local-acts.ts";
import type { GatewayState, LocalActOutcome } from "../../protocol/words.ts";

export type RoomFailure =
  | "not-found"
  | "request-over"
  | "match-code-wrong"
  /** Statement, key, gateway, access or expiry differ from what was shown, or the signature is wrong. */
  | "grant-refused"
  /** The gateway has a machine, and this passkey does not decide there. */
  | "not-owner-here"
  /** No link, or no gateway behind it: nothing was done. */
  | "gateway-away"
  /** Somebody else has decided about the request. */
  | "already-allowed"
  | "already-denied"
  /** Nothing was done: asked too often. */
  | "too-many"
  | "conflict";

export type RoomResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: RoomFailure; readonly triesLeft?: number };

/** How far a change of owners came: taken by the connector, owed to it, or refused by it. */
export type OwnerChange = "done" | "waiting" | "refused";

export interface RoomOwners {
  readonly keys: readonly {
    readonly credentialId: string;
    /** `adding`, `removing`: the connector has not answered yet. */
    readonly state: "trusted" | "adding" | "removing";
    readonly role: OwnerRole;
    /** Whose it is, when it came by an invitation. */
    readonly person: string | null;
  }[];
  readonly recovery: { readonly key: RecoveryKey; readonly state: "trusted" | "adding" } | null;
}

/** What became of a grant, as far as it is known when the owner is answered. */
export interface Decided {
  readonly device: string;
  readonly outcome: "applied" | "waiting" | "refused";
  readonly refusal?: GrantRefusal;
}

export type { DecidedAgain };

export interface RoomSnapshot {
  readonly gateway: string;
  readonly name: string;
  readonly state: GatewayState;
  readonly report: GatewayReport | null;
  /** OpenClaw's settings that wait for a yes; for owners. */
  readonly settings: SettingsQuestion | null;
  readonly connectorVersion: string | null;
  readonly lastSeenMs: number | null;
  readonly linkSinceMs: number | null;
  readonly lastBreak: LastBreak | null;
  /** End of the room's copy of the key log. */
  readonly head: KeyLogHead | null;
  readonly devices: readonly Device[];
  readonly drift: { readonly atMs: number; readonly differences: readonly Difference[] } | null;
  /** Devices that may not ask; for owners and approvers. */
  readonly blocked: readonly BlockedDevice[];
  readonly waitingCount: number;
  readonly alarm: Gateway["alarm"];
  /** A copy of the connector with an older state was refused, and waits for the owner; for owners. */
  readonly copyWaiting: boolean;
  /** Persons who accepted and wait for an owner; for owners. */
  readonly personsWaiting: number;
  /** Of the account that asked. */
  readonly role: RoleKind;
  /** Whether that account claimed the gateway. */
  readonly isOwn: boolean;
}

export interface RoomOpening {
  readonly name: string;
  readonly state: GatewayState;
  /** Hash of the key log's last entry. */
  readonly head: string | null;
  readonly ceiling: Ceiling | null;
}

/** What an owner's page needs to sign an act on the gateway's machine. */
export interface RoomLocalActs {
  readonly name: string;
  readonly state: GatewayState;
  readonly head: string | null;
  readonly settings: SettingsQuestion | null;
}

/** A connector's answer to `probe`. */
export type Probed = Pick<Extract<ToRoom, { type: "probed" }>, "roomConnector" | "connectorGateway">;

/** What a room says of its hops. */
export interface RoomHops {
  readonly state: GatewayState;
  readonly linkSinceMs: number | null;
  readonly connectorVersion: string | null;
  readonly openclawVersion: string | null;
  /** Data centre, `local`, or null: not told, or not yet. */
  readonly place: string | null;
  /** The connector was asked and has not answered yet, or the room does not know where it is yet. */
  readonly isWaiting: boolean;
  readonly probed: Probed | null;
}

/** `ask` begins a measuring, `look` is one round trip of it, `tell` ends it with what the Worker found. */
export type HopStep = { readonly do: "ask" | "look" } | { readonly do: "tell"; readonly edgeRoom: HopMedian };

export interface RoomRpc {
  /**
   * A finished enrolment: makes the room if there is none, verifies the genesis, pins the connector's key and its first owner; an older
   * connector's link ends. Idempotent by the genesis.
   */
  enrol(input: {
    account: string;
    gateway: string;
    name: string;
    genesis: SignedByOwner;
    /** The account's recovery key as an owner signed it; the new connector gets it. */
    recovery?: SignedByOwner | null;
  }): Promise<RoomResult<null>>;
  /** What the machine's policy gives at most, as far as the room obeys its log. */
  policy(input: { account: string }): Promise<RoomResult<OwnerPolicy>>;
  rename(input: { account: string; name: string }): Promise<RoomResult<null>>;
  snapshot(input: { account: string }): Promise<RoomResult<RoomSnapshot>>;
  request(input: { account: string; request: string }): Promise<RoomResult<PairingRequest>>;
  /** Counts a wrong try; the third ends the request. */
  checkMatchCode(input: { account: string; request: string; code: string }): Promise<RoomResult<null>>;
  /** Verifies the owner's signature against the room's copy, consumes the request and sends the grant on. */
  allow(input: {
    account: string;
    request: string;
    code: string;
    signed: SignedByOwner;
    /** Name of the passkey that signs, for the owner's other devices. */
    by?: string | null;
  }): Promise<RoomResult<Decided>>;
  deny(input: { account: string; request: string; block: boolean }): Promise<RoomResult<{ device: string }>>;
  /** Devices whose access ended because another machine was connected, with their former grants. */
  approveAgainView(input: { account: string }): Promise<RoomResult<ApproveAgainView>>;
  /** Grants for those devices that one gesture signed; each is judged alone. */
  approveAgain(input: {
    account: string;
    signed: readonly SignedByOwner[];
    by?: string | null;
  }): Promise<RoomResult<readonly DecidedAgain[]>>;
  /** What somebody is told before it opens the gateway on its own device. */
  opening(input: { account: string }): Promise<RoomResult<RoomOpening>>;
  /** Same-device grant: kind `owner`, with an activation hash. */
  ownerGrant(input: { account: string; signed: SignedByOwner; by?: string | null }): Promise<RoomResult<Decided>>;
  renameDevice(input: { account: string; device: string; name: string }): Promise<RoomResult<null>>;
  /** A blocked device may ask again; `not-found` for one that is not blocked. */
  unblock(input: { account: string; device: string }): Promise<RoomResult<null>>;
  /** A blocked device may not ask again before somebody unblocks it; `not-found` for one that is not blocked. */
  blockForGood(input: { account: string; device: string }): Promise<RoomResult<null>>;
  /** Blocks a device in the room only: the unsigned form of a cut. `token`: the API token that asks. `conflict` for one that is cut. */
  suspend(input: { account: string; device: string; token: string | null }): Promise<RoomResult<{ socketsClosed: number }>>;
  /** Ends that; `conflict` for one that is not suspended. */
  resume(input: { account: string; device: string }): Promise<RoomResult<null>>;
  /** The owner's answer to "was this you?": yes. */
  keepDevice(input: { account: string; device: string }): Promise<RoomResult<null>>;
  cut(input: { account: string; device: string }): Promise<RoomResult<Receipt>>;
  /** Latest receipt of a device. */
  receipt(input: { account: string; device: string }): Promise<RoomResult<Receipt>>;
  /** Latest receipt of a device with the connector's signature, for export; `not-found` while there is none. */
  receiptFile(input: { account: string; device: string }): Promise<RoomResult<ReceiptFile>>;
  /** Mends a difference between the gateway's pairing list and the grants. */
  mend(input: { account: string; entry: string; what: "remove" | "keep" }): Promise<RoomResult<null>>;
  /** Who may decide here, as far as the room knows. */
  owners(input: { account: string }): Promise<RoomResult<RoomOwners>>;
  /** An endorsed further passkey; the connector verifies by itself. */
  addOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>>;
  /** Takes one owner passkey out, signed by another one. */
  removeOwnerKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>>;
  /** Pins the account's recovery key, signed by an owner passkey. */
  setRecoveryKey(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>>;
  /** An owner passkey comes and lost ones go, signed by the recovery key. */
  recoverOwners(input: { account: string; signed: SignedByRecovery }): Promise<RoomResult<OwnerChange>>;
  localActs(input: { account: string }): Promise<RoomResult<RoomLocalActs>>;
  /** One act on the gateway's machine, signed by an owner: the machine verifies by itself. */
  localAct(input: { account: string; signed: SignedByOwner }): Promise<RoomResult<LocalActOutcome>>;
  /** What was counted this month and what it costs, and how the day's budget stands. */
  usage(input: { account: string }): Promise<RoomResult<Usage>>;
  setBudget(input: { account: string; budget: Budget }): Promise<RoomResult<Usage>>;
  /** The owner has read that the budget is nearly or wholly used up. */
  readBudgetNotice(input: { account: string }): Promise<RoomResult<null>>;
  /** The owner ended the other copy of the connector: the next one that proves itself is linked. `conflict` when no copy was refused. */
  endQuarantine(input: { account: string }): Promise<RoomResult<null>>;
  /** What the account is here. */
  standing(input: { account: string }): Promise<RoomResult<{ role: RoleKind }>>;
  /** Everybody who is invited, accepted or confirmed. */
  persons(input: { account: string }): Promise<RoomResult<PersonsView>>;
  /** A new invitation; `code` is the code's hash. */
  invite(input: {
    account: string;
    id: string;
    code: string;
    name: string;
    role: PersonRole;
    expiresAtMs: number;
  }): Promise<RoomResult<null>>;
  /** For any account: the code's hash is what admits. */
  lookAtInvitation(input: { account: string; code: string }): Promise<RoomResult<InvitationView>>;
  /** The code made this account: the invitation is for it alone. */
  holdInvitation(input: { account: string; code: string }): Promise<RoomResult<null>>;
  /** Names a passkey of the account to the gateway; one of many at once wins. */
  acceptInvitation(input: {
    account: string;
    code: string;
    accountName: string;
    passkey: OwnerKey;
    proof: string | null;
  }): Promise<RoomResult<null>>;
  /** Makes somebody who accepted a person, by an owner's signature; the connector verifies by itself. */
  confirmPerson(input: { account: string; person: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>>;
  /** Withdraws an invitation, or removes a person: signed by an owner when the person has a say. */
  removePerson(input: { account: string; person: string; signed: SignedByOwner | null }): Promise<RoomResult<OwnerChange>>;
  /** What the account would leave. */
  leaving(input: { account: string }): Promise<RoomResult<Leaving>>;
  /** The account goes by itself. */
  leave(input: { account: string; signed: SignedByOwner | null }): Promise<RoomResult<OwnerChange>>;
  /** A widening that the machine asks for; `not-found` once an owner has answered. */
  proposal(input: { account: string; proposal: string }): Promise<RoomResult<ProposalNotice>>;
  /** It takes effect, by an owner's signature; the connector verifies by itself. `conflict`: somebody has answered. */
  approveProposal(input: { account: string; proposal: string; signed: SignedByOwner }): Promise<RoomResult<OwnerChange>>;
  /** It ends. `conflict`: somebody has answered. */
  cancelProposal(input: { account: string; proposal: string }): Promise<RoomResult<OwnerChange>>;
  /** A page of the key log's copy, from place `from` on; empty at its end. */
  keyLog(input: { account: string; from: number }): Promise<RoomResult<readonly string[]>>;
  /** A page of the audit chain, from place `from` on; empty at its end. `isExport` records that somebody took it out, and with which API token. */
  auditLines(input: { account: string; from: number; isExport: boolean; token?: string | null }): Promise<RoomResult<readonly string[]>>;
  /** One step of measuring the hops (PROTOCOL.md OB1). Nothing is stored. */
  hops(input: { account: string; step: HopStep }): Promise<RoomResult<RoomHops>>;
  /** Deletes everything and ends every socket. */
  remove(input: { account: string }): Promise<RoomResult<null>>;
  /** Gateway-origin traffic and the link, with the headers that routes/gateway-origin.ts sets. */
  fetch(request: Request): Promise<Response>;
}
