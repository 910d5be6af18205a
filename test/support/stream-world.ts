/** A connector's streams between a scripted room and a server on loopback; clock and probe timer are the test's. */
import { frameOf } from "../../src/core/link/message-frames.ts";
import { encodeFrame } from "../../src/protocol/frame.ts";
import { vi } from "vitest";
import { PacedDownlink } from "../../src/connector/streams/downlink.ts";
import { Streams } from "../../src/connector/streams/streams.ts";
import { MAX_FRAME_PAYLOAD_BYTES, PROBE_INTERVAL_MS } from "../../src/protocol/limits.ts";
import type { StreamOpen } from "../../src/protocol/link-messages.ts";
import { ConnectorState, TEST_ORIGIN } from "./connector-state.ts";
import type { AllowedDevice } from "./connector-state.ts";
import { LocalGateway, StubOpenclaw } from "./local-gateway.ts";
import type { GatewaySocket } from "./local-gateway.ts";
import { ScriptedRoom } from "./scripted-room.ts";
import type { ScriptedStream } from "./scripted-room.ts";

export class StreamWorld {
  readonly state: ConnectorState;
  readonly gateway: LocalGateway;
  readonly openclaw: StubOpenclaw;
  readonly room = new ScriptedRoom();
  readonly streams: Streams;
  /** A line that takes everything at once, unless the test says otherwise. */
  readonly uplink = {
    freeBytes: Infinity,
    pieceBytes: MAX_FRAME_PAYLOAD_BYTES,
    handedBytes: 0,
    turns: new Set<() => void>(),
    together: (work: () => void): void => work(),
    waitForTurn: (turn: () => void): unknown => this.uplink.turns.add(turn),
    leaveTurns: (turn: () => void): unknown => this.uplink.turns.delete(turn),
    isArrived: true,
    hasArrived: (): boolean => this.uplink.isArrived,
  };
  readonly downlink: PacedDownlink;
  /** Heartbeats that the line down asked for. */
  beats = 0;
  readonly device: AllowedDevice;
  /** What the room answers when it is asked for a sign of life. */
  isHeard: () => Promise<boolean> = () => Promise.resolve(true);
  readonly deviceEvents: string[] = [];
  #lastId = 0;

  private constructor(state: ConnectorState, gateway: LocalGateway, device: AllowedDevice) {
    this.state = state;
    this.gateway = gateway;
    this.device = device;
    this.openclaw = new StubOpenclaw(gateway.port);
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout"] });
    this.downlink = new PacedDownlink({
      clock: () => state.nowMs,
      beat: () => this.beat(),
      streams: () => this.streams.count,
    });
    this.streams = new Streams({
      gateway: this.openclaw,
      admitted: state.admitted,
      origin: TEST_ORIGIN,
      uplink: this.uplink,
      downlink: this.downlink,
      sendFrame: (type, flags, streamId, payload) => this.room.received(encodeFrame(type, flags, streamId, payload)),
      sendData: (streamId, pieces) => {
        for (const piece of pieces) this.room.received(frameOf(streamId, piece));
      },
      onDevice: (_device, event) => this.deviceEvents.push(event),
      isHeard: () => this.isHeard(),
      now: () => state.nowMs,
    });
    this.room.deliver = (frame) => this.streams.frame(frame);
  }

  static async start(): Promise<StreamWorld> {
    const state = await ConnectorState.create();
    return new StreamWorld(state, await LocalGateway.start(), await state.allow());
  }

  /** A heartbeat leaves; the test says when it is answered. */
  beat(): void {
    this.beats += 1;
    this.downlink.beatSent();
  }

  /** A visitor comes: the room opens one more stream. */
  open(changes: Partial<StreamOpen> = {}): ScriptedStream {
    this.#lastId += 1;
    const stream = this.room.stream(this.#lastId);
    stream.open({
      kind: "ws",
      method: "GET",
      path: "/",
      headers: [["host", "gw.localhost:8787"]],
      session: this.device.session,
      device: this.device.device,
      access: "full",
      clientIp: "198.51.100.7",
      host: "gw.localhost:8787",
      hasBody: false,
      ...changes,
    });
    return stream;
  }

  /** A stream whose gateway has said its first word. */
  async opened(changes: Partial<StreamOpen> = {}): Promise<{ readonly stream: ScriptedStream; readonly socket: GatewaySocket }> {
    const stream = this.open(changes);
    const socket = await this.gateway.sockets.next();
    socket.ws.send("challenge");
    await stream.expect("opened");
    await stream.expect("data");
    return { stream, socket };
  }

  /** Time goes by, one probe interval at a time. */
  pass(ms: number): void {
    for (let gone = 0; gone < ms; gone += PROBE_INTERVAL_MS) {
      this.state.nowMs += PROBE_INTERVAL_MS;
      vi.advanceTimersByTime(PROBE_INTERVAL_MS);
    }
  }

  /** Lets events come in until something holds; fails with the test's own time limit. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<void> {
    this.streams.close();
    vi.useRealTimers();
    await this.gateway.stop();
  }
}
