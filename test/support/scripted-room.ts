/** The room's end of a connector's streams: frames in by hand, frames out in order. */
import { decodeClose, encodeClose } from "../../src/core/link/close-code.ts";
import type { Close } from "../../src/core/link/close-code.ts";
import type { SendOrder } from "../../src/core/link/frame-order.ts";
import {
  FLAG_FIN,
  FLAG_TEXT,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_OPEN,
  FRAME_OPENED,
  FRAME_PROBE,
  FRAME_RESET,
  NO_PLACE,
  decodeFrame,
  decodeU32,
  encodeFrame,
  encodeU32,
  hasPlace,
} from "../../src/protocol/frame.ts";
import type { Frame } from "../../src/protocol/frame.ts";
import { openedSchema } from "../../src/protocol/link-messages.ts";
import type { StreamOpen, StreamOpened } from "../../src/protocol/link-messages.ts";
import { utf8 } from "../../src/protocol/statement-encoding.ts";
import { Arrivals } from "./arrivals.ts";

/** One frame of the connector, read. */
export type FromConnector =
  | { readonly is: "opened"; readonly status: number; readonly headers: StreamOpened["headers"] }
  | { readonly is: "data"; readonly bytes: Uint8Array<ArrayBuffer>; readonly isText: boolean; readonly isFin: boolean }
  | ({ readonly is: "close" | "reset" } & Close)
  | { readonly is: "credit" | "probe"; readonly value: number }
  | { readonly is: "end" };

function readFrame(frame: Frame): FromConnector {
  const { type, payload, flags } = frame;
  switch (type) {
    case FRAME_OPENED:
      return { is: "opened", ...openedSchema.parse(JSON.parse(new TextDecoder().decode(payload))) };
    case FRAME_DATA:
      return { is: "data", bytes: payload, isText: (flags & FLAG_TEXT) !== 0, isFin: (flags & FLAG_FIN) !== 0 };
    case FRAME_CREDIT:
    case FRAME_PROBE:
      return { is: type === FRAME_CREDIT ? "credit" : "probe", value: decodeU32(payload) ?? -1 };
    case FRAME_CLOSE:
    case FRAME_RESET:
      return { is: type === FRAME_CLOSE ? "close" : "reset", ...(decodeClose(payload) ?? { code: -1, reason: "" }) };
    case FRAME_END:
      return { is: "end" };
    default:
      throw new Error(`a connector never sends frame type ${type}`);
  }
}

export class ScriptedRoom {
  /** Where a frame of the room goes; set by whoever plays the link. */
  deliver: (frame: Frame) => void = () => undefined;
  readonly #streams = new Map<number, ScriptedStream>();

  stream(id: number): ScriptedStream {
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const stream = new ScriptedStream(this, id);
    this.#streams.set(id, stream);
    return stream;
  }

  /** A frame of the connector. */
  received(bytes: Uint8Array<ArrayBuffer>): void {
    const frame = decodeFrame(bytes);
    if (typeof frame === "string") throw new Error(frame);
    this.stream(frame.streamId).frames.put(readFrame(frame));
  }
}

export class ScriptedStream {
  readonly id: number;
  readonly #room: ScriptedRoom;
  /** Everything that the connector sent on this stream and nobody took yet. */
  readonly frames = new Arrivals<FromConnector>();
  /** Set: frames say their place (PROTOCOL.md FR6). A test that takes one without sending it has lost a frame. */
  order: SendOrder | null = null;

  constructor(room: ScriptedRoom, id: number) {
    this.#room = room;
    this.id = id;
  }

  /** The next frame of the connector, whatever it is. */
  next(): Promise<FromConnector> {
    return this.frames.next();
  }

  /** The next one of that kind; credits and probes before it are passed over, anything else is a fault. */
  async expect<Is extends FromConnector["is"]>(is: Is): Promise<Extract<FromConnector, { is: Is }>> {
    for (;;) {
      const frame = await this.next();
      if (frame.is === is) return frame as Extract<FromConnector, { is: Is }>;
      if (frame.is !== "credit" && frame.is !== "probe") throw new Error(`expected ${is}, got ${JSON.stringify(frame)}`);
    }
  }

  open(open: StreamOpen): void {
    this.raw(FRAME_OPEN, utf8(JSON.stringify(open)));
  }

  text(message: string): void {
    this.raw(FRAME_DATA, utf8(message), FLAG_TEXT | FLAG_FIN);
  }

  data(bytes: Uint8Array, flags = FLAG_FIN): void {
    this.raw(FRAME_DATA, bytes, flags);
  }

  end(): void {
    this.raw(FRAME_END, new Uint8Array());
  }

  credit(bytes: number): void {
    this.raw(FRAME_CREDIT, encodeU32(bytes));
  }

  probe(left: number): void {
    this.raw(FRAME_PROBE, encodeU32(left));
  }

  close(code: number, reason = ""): void {
    this.raw(FRAME_CLOSE, encodeClose(code, reason));
  }

  reset(code: number, reason = ""): void {
    this.raw(FRAME_RESET, encodeClose(code, reason));
  }

  /** @param times how often it arrives */
  raw(type: number, payload: Uint8Array, flags = 0, times = 1): void {
    const frame = decodeFrame(encodeFrame(type as Frame["type"], flags, this.id, payload));
    if (typeof frame === "string") throw new Error(frame);
    const place = this.order !== null && hasPlace(frame.type) ? this.order.take(payload.byteLength) : NO_PLACE;
    for (let time = 0; time < times; time += 1) this.#room.deliver({ ...frame, place });
  }
}
