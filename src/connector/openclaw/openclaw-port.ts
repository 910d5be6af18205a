/** The seam between the connector's link and streams on one side and everything that knows OpenClaw on the other. */
import type { PairedEntry } from "../../core/trust/drift.ts";
import type { SettingsQuestion } from "../../protocol/link-local-acts.ts";
import type { GatewayReport, StreamOpen } from "../../protocol/link-messages.ts";
import type { LocalActOutcome } from "../../protocol/words.ts";
import type { SettingsOutcome } from "./settings-question.ts";

/** Where the data leg dials: one pinned address, from the connector's own configuration, never from a message. */
export interface GatewayTarget {
  readonly host: string;
  readonly port: number;
  /** The gateway speaks TLS: its own certificate (PEM), the only one that is taken, and its SHA-256 fingerprint. */
  readonly tls?: { readonly certificate: string; readonly fingerprint: string };
}

/** OpenClaw devices whose own token the gateway takes no more; a `Set` is one. */
export interface StaleTokenStore {
  has(openclawDevice: string): boolean;
  /** Never throws. */
  add(openclawDevice: string): unknown;
  delete(openclawDevice: string): unknown;
}

/** Pairing state that outlives the process: which OpenClaw device was bound to which allowed device. */
export interface BindingStore {
  /** OpenClaw device ids bound to a Gatehouse device. */
  bound(device: string): readonly string[];
  /** Atomic write before it returns. */
  bind(device: string, openclawDevice: string): void;
  unbind(device: string, openclawDevice: string): void;
  readonly staleTokens: StaleTokenStore;
  /**
   * Whether this stream may be given what pairs its OpenClaw key: a key that is the device's already, or the one that its session statement
   * named, soon after the device proved itself at the door. A session cookie alone, which can be copied, is no proof.
   */
  mayHandOver(open: Pick<StreamOpen, "session" | "device" | "once">, openclawDevice: string): boolean;
  /**
   * Whether this stream is the page that its session statement named, soon after the device proved itself at the door. Says yes once for
   * each proof, so that a page whose approved key the gateway still refuses falls back to its own retries.
   */
  takeHandover(open: Pick<StreamOpen, "session">, openclawDevice: string): boolean;
}

/** Watches one WebSocket stream until its handshake is over. It reads; only an injected password ever changes a frame (openclaw.md R8, R10). */
export interface HandshakeWatch {
  /** @param text the browser's first message @returns what to forward; the same string unless a password was added */
  firstFromBrowser(text: string): string;
  /**
   * Each text message from the gateway while `isDone` is false. May start approving in the background.
   *
   * @returns null: the message passes at once. A promise, which never rejects: it and the gateway's close are held until then, and where a text
   *   came that one is the stream's last message, closed with `COME_BACK_CLOSE`; with null both pass as they came (PROTOCOL.md R18)
   */
  fromGateway(text: string): Promise<string | null> | null;
  readonly isDone: boolean;
  /** The stock page that connects, by a name that it keeps while it is open; null for any other client, and before its first message. */
  readonly page: string | null;
}

/** What one stream's handshake tells. */
export interface WatchEvents {
  paired(): void;
  connected(scopes: readonly string[]): void;
  refused(): void;
}

/** The OpenClaw gateway beside the connector: control leg, settings, self-test, pairing. Never carries a visitor's bytes. */
export interface OpenclawGateway {
  readonly target: GatewayTarget;
  readonly report: GatewayReport;
  /** Streams are served only while this is true: state `online` and the last self-test passed. */
  readonly isServing: boolean;
  /** OpenClaw's settings that wait for a yes; null when none do. */
  readonly settings: SettingsQuestion | null;
  /** Answers them. @param hash of the diff that was seen @returns what came of it */
  answerSettings(hash: string, isYes: boolean): Promise<SettingsOutcome>;
  /** Gives OpenClaw a new secret. @returns what came of it */
  rotateSecret(): Promise<LocalActOutcome>;
  start(): void;
  stop(): Promise<void>;
  /** @returns a function that removes the listener */
  onReport(listener: (report: GatewayReport) => void): () => void;
  /** @param mayPair asked right before an approval is sent: whether the stream's device may still be paired by this process (PROTOCOL.md LINK12) */
  watch(open: StreamOpen, events: WatchEvents, mayPair: () => Promise<boolean>): HandshakeWatch;
  /**
   * Removes the OpenClaw entries bound to a device, with their tokens; already missing entries count as removed.
   *
   * @throws GatewayAwayError while the control leg is down
   */
  removeBound(device: string): Promise<Removal>;
  /** The gateway's own list of paired devices. @throws GatewayAwayError */
  paired(): Promise<readonly PairedEntry[]>;
  /** Takes one entry out of that list; one that is not there is fine. @throws GatewayAwayError while it could not be done */
  removeEntry(entry: string): Promise<void>;
  /** One round trip on the control leg, milliseconds; told to `onPing`, too. @throws GatewayAwayError */
  ping(): Promise<number>;
  /** Hears of every round trip that was timed. @returns a function that removes the listener */
  onPing(listener: (ms: number) => void): () => void;
  /** Something in that list may have changed. @returns a function that removes the listener */
  onPairing(listener: () => void): () => void;
}

/** What became of a device's entries on the gateway. */
export interface Removal {
  /** Taken out now, with their tokens. */
  readonly removed: number;
  /** Not there any more when their turn came. */
  readonly absent: number;
  /** OpenClaw ids of both. */
  readonly entries: readonly string[];
}

/** The control leg is down; try again when the report says `online`. */
export class GatewayAwayError extends Error {
  override name = "GatewayAwayError";
}
