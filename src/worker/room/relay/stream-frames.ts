/** What a frame of the link means to the stream that it names: one that is open, and that its guard let pass (PROTOCOL.md FR). */
import { brokenAt, decodeClose } from "../../../core/link/close-code.ts";
import { CLOSE_PROTOCOL } from "../../../protocol/close-codes.ts";
import { FRAME_CLOSE, FRAME_CREDIT, FRAME_DATA, FRAME_END, FRAME_OPENED, FRAME_PROBE, FRAME_RESET } from "../../../protocol/frame.ts";
import type { Frame } from "../../../protocol/frame.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { readOpened } from "./open-payload.ts";
import { refusalFor } from "../refusals.ts";
import type { WsStream } from "./ws-stream.ts";

/** Every frame of a WebSocket's stream but DATA, which the relay counts as well. What does not belong there resets the stream. */
export function socketFrame(stream: WsStream, frame: Frame): void {
  switch (frame.type) {
    case FRAME_CREDIT:
      return stream.granted(frame);
    case FRAME_PROBE:
      return stream.probed(frame);
    case FRAME_CLOSE:
    case FRAME_RESET: {
      const close = decodeClose(frame.payload);
      return stream.gatewayClosed(close?.code ?? CLOSE_PROTOCOL, close?.reason ?? "", frame.type === FRAME_RESET);
    }
    default:
      return stream.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "unexpected frame"));
  }
}

/** Every frame of an HTTP exchange. What does not belong there resets it. */
export function exchangeFrame(exchange: HttpExchange, frame: Frame): void {
  switch (frame.type) {
    case FRAME_OPENED: {
      const opened = readOpened(frame);
      return opened === null ? exchange.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "bad answer")) : exchange.opened(opened);
    }
    case FRAME_DATA:
      return exchange.fromGateway(frame);
    case FRAME_END:
      return exchange.ended();
    case FRAME_CREDIT:
      return exchange.granted(frame);
    case FRAME_PROBE:
      return exchange.probed(frame);
    case FRAME_CLOSE:
    case FRAME_RESET: {
      const close = decodeClose(frame.payload);
      if (close !== null) exchange.broke(close.code, close.reason);
      return exchange.abort(refusalFor(frame));
    }
    default:
      return exchange.reset(CLOSE_PROTOCOL, brokenAt("room-connector", "unexpected frame"));
  }
}
