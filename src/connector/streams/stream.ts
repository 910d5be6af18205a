/** What one stream is to the table of streams, and what each kind is made of. */
import type { ReceiveOrder, SendOrder } from "../../core/link/frame-order.ts";
import type { Piece } from "../../core/link/message-frames.ts";
import type { CreditAlong } from "../../core/link/stream-credit.ts";
import type { Frame, FrameType } from "../../protocol/frame.ts";
import type { StreamOpen } from "../../protocol/link-messages.ts";
import type { GatewayTarget } from "../openclaw/openclaw-port.ts";

export interface Stream {
  readonly device: string;
  readonly expiresAtMs: number;
  /** Where the room's next frame must stand. */
  readonly order: ReceiveOrder;
  /** Turns to the gateway; called once, when the table holds the stream. */
  start(): void;
  frame(frame: Frame): void;
  /** Ends the gateway's side; `tell` also ends the room's. */
  end(code: number, reason: string, tell: boolean): void;
  tick(): void;
  /** Tells a room that waits for credit that only the line is slow. */
  remind(): void;
}

/** The line to the room, for what is large: it waits in its stream while the line is full (PROTOCOL.md CR10). */
export interface Uplink {
  /** Bytes of data that may leave now; none while other streams wait for their turn. */
  readonly freeBytes: number;
  /** Largest payload to send in one piece. */
  readonly pieceBytes: number;
  /** What is sent meanwhile leaves in as few messages as the room takes. */
  together(work: () => void): void;
  /** `turn` is called once, when there is room and its turn has come: it sends one piece, and asks again when there is more. */
  waitForTurn(turn: () => void): void;
  leaveTurns(turn: () => void): void;
  /** Everything that was handed over on this link, a measure for `hasArrived`. */
  readonly handedBytes: number;
  /** Whether the room is known to have got everything up to there. */
  hasArrived(handedBytes: number): boolean;
}

/** The line from the room: where it is slow, credit is granted in turns (PROTOCOL.md CR12). */
export interface Downlink {
  /** Whether streams ask before they grant. */
  readonly isSlow: boolean;
  /** Whether what is under way comes late just now. */
  readonly isLate: boolean;
  /** Whether the room cuts its pieces to what credit it has. */
  readonly canSplit: boolean;
  /** Most that one turn grants. */
  readonly pieceBytes: number;
  /** A stream whose sender has less left than this may ask before it is out of credit. */
  readonly lowBytes: number;
  /** Data of a stream came. */
  received(stream: number, bytes: number): void;
  /** `turn` is called once, when the line has room and its turn has come; perhaps at once. */
  waitForTurn(turn: () => void): void;
  isWaiting(turn: () => void): boolean;
  /** That much was granted in a turn. */
  lent(stream: number, bytes: number): void;
  /** The stream is over. */
  leave(stream: number, turn: () => void): void;
  /** Asked every second: whether senders that wait should hear now that somebody is there. */
  isReminding(): boolean;
}

/** Where the frames of every stream go. */
export interface FrameSink {
  readonly uplink: Uplink;
  readonly downlink: Downlink;
  /** One frame; arguments as `encodeFrame`'s, and the order of its stream, if it has one. */
  readonly sendFrame: (type: FrameType, flags: number, streamId: number, payload?: Uint8Array, order?: SendOrder) => void;
  /** Pieces as DATA; credit of the direction back goes along where it can. */
  readonly sendData: (streamId: number, pieces: readonly Piece[], back: CreditAlong, order?: SendOrder) => void;
}

/** What every stream gets from the table that holds it. */
export interface StreamParts extends FrameSink {
  readonly id: number;
  readonly open: StreamOpen;
  readonly headers: Record<string, string | string[]>;
  readonly expiresAtMs: number;
  readonly target: GatewayTarget;
  readonly now: () => number;
  /** The stream is over: the table drops it. */
  readonly forget: () => void;
}

/** Above this the gateway's socket is paused until the room has taken what waits. */
export const PAUSE_ABOVE_BYTES = 512 * 1024;
