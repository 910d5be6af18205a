/** Loses, or doubles, one message of the link on its way through a proxy: TCP and WebSocket are whole, as when somebody between them has a bug. */
import { FRAME_DATA } from "../../src/protocol/frame.ts";
import type { ProxiedLane } from "./fault-proxy.ts";

const BINARY = 2;
const NOTHING = Buffer.alloc(0);

/** On one lane, from its first byte on. */
export class MessageFault {
  /** What becomes of the next message that is one frame of data. */
  next: "passes" | "is lost" | "comes twice" = "passes";
  #rest = NOTHING;
  #isUpgraded = false;

  constructor(lane: ProxiedLane) {
    lane.alter = (bytes) => this.#alter(bytes);
  }

  #alter(bytes: Buffer): Buffer {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const out: Buffer[] = [];
    if (!this.#isUpgraded) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end === -1) return NOTHING;
      this.#isUpgraded = true;
      out.push(this.#take(end + 4));
    }
    for (let bytesOfFirst = frameBytes(this.#rest); bytesOfFirst !== null; bytesOfFirst = frameBytes(this.#rest)) {
      const message = this.#take(bytesOfFirst.all);
      const what = isData(message, bytesOfFirst) ? this.next : "passes";
      if (what !== "passes") this.next = "passes";
      if (what !== "is lost") out.push(message);
      if (what === "comes twice") out.push(message);
    }
    return Buffer.concat(out);
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    return taken;
  }
}

interface FrameBytes {
  readonly header: number;
  readonly all: number;
}

/** @returns lengths of the WebSocket frame that stands first (RFC 6455 §5.2), or null while it is not whole */
function frameBytes(bytes: Buffer): FrameBytes | null {
  if (bytes.byteLength < 2) return null;
  const masked = (bytes.readUInt8(1) & 0x80) === 0 ? 0 : 4;
  const short = bytes.readUInt8(1) & 0x7f;
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const header = 2 + lengthBytes + masked;
  if (bytes.byteLength < header) return null;
  const payload = lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
  return bytes.byteLength < header + payload ? null : { header, all: header + payload };
}

function isData(message: Buffer, { header, all }: FrameBytes): boolean {
  if ((message.readUInt8(0) & 0x0f) !== BINARY || all === header) return false;
  const isMasked = (message.readUInt8(1) & 0x80) !== 0;
  return (message.readUInt8(header) ^ (isMasked ? message.readUInt8(header - 4) : 0)) === FRAME_DATA;
}
