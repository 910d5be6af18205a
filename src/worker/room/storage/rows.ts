/** What a room keeps: the shapes of its documents (storage.ts). Persons and invitations are in person-rows.ts. */
import type { CopyWatch } from "../../../core/trust/copy-watch.ts";
import type { TokenState } from "../../../core/trust/device-token-policy.ts";
import type { OldKey } from "../../../core/trust/key-rotation.ts";
import type { Receipt } from "../../../protocol/api.ts";
import type { AuditHead } from "../../../protocol/audit.ts";
import type { Claims, LastBreak } from "../../../protocol/door-messages.ts";
import type { KeyLogAlarm } from "../../../protocol/key-log.ts";
import type { ToConnector } from "../../../protocol/link-messages.ts";
import type { ConnectorKey, DeviceKey, RecoveryKey, SignedByOwner } from "../../../protocol/statements.ts";
import type { SignedReceipt } from "../../../protocol/receipt.ts";
import type { Access } from "../../../protocol/words.ts";

export interface RoomMeta {
  readonly gateway: string;
  readonly account: string;
  readonly name: string;
  readonly key: ConnectorKey | null;
  readonly generation: number;
  readonly acknowledged: number;
  readonly connectorVersion: string | null;
  readonly lastSeenMs: number | null;
  /** The connector's key before its last rotation. Rooms from before that lack it. */
  readonly previousKey?: OldKey | null;
  /** Signs of a second copy of the connector. */
  readonly copies?: CopyWatch;
  /** When OpenClaw was last served. */
  readonly servedAtMs?: number | null;
  readonly lastBreak?: LastBreak;
  /** Hash of the genesis that the present machine was enrolled with: the same one again changes nothing. */
  readonly genesis?: string;
}

export interface DeviceRow {
  readonly id: string;
  readonly key: DeviceKey;
  readonly name: string;
  readonly platform: string;
  readonly browser: string;
  readonly access: Access;
  readonly kind: "ask" | "owner";
  readonly grant: string;
  /** `approve-again`: another machine was connected, whose log does not know its grant. */
  readonly state: "waiting" | "allowed" | "approve-again" | "cut";
  readonly createdAtMs: number;
  readonly lastSeenMs: number | null;
  readonly notAfterMs: number;
  readonly token: TokenState | null;
  /** Same-device grants: hash of the code that the first session must bring; null once used. */
  readonly activation: string | null;
  /** When its access was ended, for one that is cut. */
  readonly endedAtMs?: number;
  /** Stopped without a signature (device-changes.ts): nothing of it crosses and no session opens until the owner says otherwise. */
  readonly suspendedAtMs?: number;
}

export interface RequestRow {
  readonly id: string;
  readonly device: string;
  readonly key: DeviceKey;
  readonly claims: Claims;
  readonly address: string;
  readonly country: string | null;
  readonly access: Access;
  readonly nonce: string;
  readonly code: string;
  readonly tries: number;
  readonly createdAtMs: number;
  readonly lastSeenMs: number;
  /** The owner has opened the page that decides about it. */
  readonly isOwnerThere?: boolean;
}

export interface GrantRow {
  readonly id: string;
  readonly device: string;
  readonly signed: SignedByOwner;
  readonly state: "owed" | "live" | "refused" | "revoked";
}

export interface SessionRow {
  readonly id: string;
  readonly device: string;
  readonly grant: string;
  readonly access: Access;
  readonly expiresAtMs: number;
}

/** What the room keeps of a cut: what the owner sees, and what that rests on. */
export interface StoredReceipt extends Omit<Receipt, "isSigned"> {
  /** Names the cut on the link; null in rows from before cuts had names. */
  readonly cut: string | null;
  /** The grant that it ended. */
  readonly grant: string | null;
  readonly signed: SignedReceipt | null;
  /** The key that verified `signed`. */
  readonly connectorKey: ConnectorKey | null;
  /** Sent on the link of this generation and not answered yet. */
  readonly asked: { readonly generation: number; readonly atMs: number } | null;
  /** When it is sent again to a machine that could not write it down. */
  readonly againAtMs?: number;
}

export interface AuditAnchor {
  readonly generation: number;
  readonly head: AuditHead | null;
}

export interface RecoveryRow {
  readonly key: RecoveryKey;
  readonly issuedAtMs: number;
}

/** What stops new admissions at the machine, as the room knows it. */
export interface AlarmRow {
  readonly kind: KeyLogAlarm;
  readonly atMs: number;
  /** The machine raised it: only a resume that the room obeys, or a day, takes it back (PROTOCOL.md LP7). */
  readonly isOfMachine?: boolean;
  readonly isResumed?: boolean;
  /** When the machine said that nothing stands any more. */
  readonly saidOverAtMs?: number;
}

/** Commands that stay until their result came. */
export type Owed = Extract<ToConnector, { type: "grant" | "cut" | "owner-key" | "owner-remove" | "recovery-key" | "recover" | "proposal" }>;
