/** What the two halves of a room ask of each other. `relay` owns the link and the streams, `admission` owns storage and decisions; room.ts wires them. */
import type { Away } from "../../core/http/gateway-away.ts";
import type { OldKey } from "../../core/trust/key-rotation.ts";
import type { KeyLogHead } from "../../protocol/key-log.ts";
import type { GatewayReport, LinkResult, ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";
import type { Meter } from "./storage/meter.ts";
import type { Break } from "./relay/ws-stream.ts";
import type { Access } from "../../protocol/words.ts";

/** A session that room and connector both admitted. */
export interface AdmittedSession {
  readonly session: string;
  readonly device: string;
  readonly access: Access;
  readonly expiresAtMs: number;
}

/** What a session may begin with, and whose it is. */
export interface ConnectorNonce {
  readonly nonce: string;
  readonly connectorKey: string;
}

/** Admission, as the relay sees it. Everything is synchronous: memory, or SQLite where no frame is involved. */
export interface AdmissionForRelay {
  /** Null until the room is set up and a connector enrolled. */
  identity(): {
    readonly gateway: string;
    readonly origin: string;
    readonly key: ConnectorKey;
    /** The key before the last rotation. */
    readonly previousKey: OldKey | null;
    /** Two copies of the connector fight: nobody is linked. */
    readonly isQuarantined: boolean;
    readonly generation: number;
    readonly acknowledged: number;
    /** End of the room's copy of the key log. */
    readonly head: KeyLogHead | null;
  } | null;
  /** Stores and returns the next generation; before `welcome`. */
  nextGeneration(): number;
  /** A proven connector showed a state that another one has left behind. @returns whether the gateway is closed for that now */
  sawCopy(): boolean;
  /** The connector has proven the newest key, or has it on disk: the one before is gone. */
  keyAcknowledged(): void;
  /** The connector has it on disk; from here on the room sends what it owes (LINK7). */
  acknowledged(generation: number): void;
  /** Looked up once per stream. */
  session(session: string, nowMs: number): AdmittedSession | null;
  /** Asked for every frame: one row is read at the first of a device, and when that row has changed. */
  isCut(device: string): boolean;
  /** Whether a device waits at the door for the owner's word. */
  isAnybodyWaiting(): boolean;
  /** Asked once per stream: the day's budget may be used up, then only the owner's devices may. */
  mayStream(device: string): boolean;
  readonly meter: Meter;
  /** The link came, went, or the connector reported. `version` is the connector's. */
  linkChanged(link: { readonly up: boolean; readonly report: GatewayReport | null; readonly version: string | null }): void;
  /** Why the gateway is not served now; null while it is. */
  away(): Away | null;
  /** Streams ended that nobody closed: a row of the audit, or one more for the next row. */
  broke(what: Break, streams: number): void;
  /** A result that nobody waits for any more: the room slept since it asked. */
  answered(result: LinkResult): void;
  /** A control message that is not the relay's own (`cut-done`, `device`, `log`, `alarm`, `audit-anchor`, `drift`, `rotated`, `probed`, `local-act-done`). Results and nonces are matched by the relay. */
  received(message: ToRoom): void;
}

/** The relay, as admission sees it. */
export interface RelayForAdmission {
  isLinkUp(): boolean;
  /** When the proven link's socket came, epoch ms; null without one. */
  linkSinceMs(): number | null;
  /** @returns false when there is no link */
  send(message: ToConnector): boolean;
  /** Sends a command that has an `id` and waits for its `result`; null when the link is away or goes. */
  command(message: Extract<ToConnector, { id: string }>): Promise<LinkResult | null>;
  /** Asks the connector for a session nonce; null when the link is away. */
  nonce(): Promise<ConnectorNonce | null>;
  /** Ends every stream of a device now. @returns how many sockets and exchanges ended */
  endDevice(device: string, code: number, reason: string): number;
  /** Ends streams whose session is over by `nowMs` (4401). @returns the next such time, or null */
  endExpired(nowMs: number): number | null;
  /** The budget is used up: ends every stream of devices that are not the owner's. */
  endOthers(isOwners: (device: string) => boolean, code: number, reason: string): void;
  /** Keeps what the room counted over its sleep. */
  keepUsage(usage: number[]): void;
  connectedDevices(): ReadonlySet<string>;
  /** Ends the link and with it every stream. */
  endLink(code: number, reason: string): void;
  /** A device waits at the door or not: decides the heartbeat together with open streams. Null: to be looked up where no stream decides it. */
  setWaiting(waiting: boolean | null): void;
}

/**
 * Headers that routes/gateway-origin.ts sets on requests to a room, after dropping every inbound header of that family:
 * `x-gatehouse-kind`: link | stream | challenge | standing | session | status | wait; `x-gatehouse-session`, on upgrades `x-gatehouse-device` and `x-gatehouse-session-ends` of the same cookie, `x-gatehouse-client-ip`, `x-gatehouse-country`, `x-gatehouse-origin`;
 * `x-gatehouse-edge`: the answer is wanted with the two headers below.
 */
export const INTERNAL_HEADER_PREFIX = "x-gatehouse-";

/** On an answer of the room in the gateway's place; ends in the Worker. */
export const REFUSED_HEADER = "x-gatehouse-refused";
/** What it says when the day's budget is the reason; else `1`. */
export const REFUSED_BY_BUDGET = "budget";

/** On an answer of the room that failed itself; ends in the Worker, whose line says so. */
export const FAILED_HEADER = "x-gatehouse-failed";

/** On an answer for the edge cache: what names the build (`edgeBuild` of core), and the content-encoding that the body has; both end in the Worker. */
export const EDGE_BUILD_HEADER = "x-gatehouse-build";
export const EDGE_ENCODING_HEADER = "x-gatehouse-encoding";
