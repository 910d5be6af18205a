/** The connector as it is, behind a slow line of real TCP: uploads fill it, and a cut passes ahead of what the room still has of them. */
import { afterEach, expect, test } from "vitest";
import { Link } from "../../../src/connector/link/link.ts";
import { SendCredit } from "../../../src/core/link/stream-credit.ts";
import { FLAG_SPLIT, FRAME_CREDIT, FRAME_DATA, FRAME_OPEN, FRAME_PROBE, decodeFrame, decodeU32, encodeFrame, encodeU32 } from "../../../src/protocol/frame.ts"; // prettier-ignore
import { INITIAL_CREDIT_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../../src/protocol/limits.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import type { ProxiedConnection } from "../../support/fault-proxy.ts";
import { LocalGateway, StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";
import { UPLOAD_PATH } from "../../support/upload-path.ts";

const RATE = 512 * 1024;
const STREAMS = 16;

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** An upload without an end, as a room sends it: all that it has credit for, at once. */
class Upload {
  readonly #room: PlayedRoom;
  readonly #id: number;
  readonly #credit = new SendCredit();

  constructor(room: PlayedRoom, id: number) {
    this.#room = room;
    this.#id = id;
  }

  start(): void {
    while (this.#credit.spend(MAX_FRAME_PAYLOAD_BYTES)) this.#data(MAX_FRAME_PAYLOAD_BYTES);
    this.#room.sendFrame(encodeFrame(FRAME_PROBE, 0, this.#id, encodeU32(this.#credit.left)));
  }

  granted(bytes: number, isSplitting: boolean): void {
    this.#credit.grant(bytes);
    const { left } = this.#credit;
    if (isSplitting && left < MAX_FRAME_PAYLOAD_BYTES && this.#credit.spend(left)) this.#data(left);
    if (bytes > 0) this.start();
  }

  #data(bytes: number): void {
    this.#room.sendFrame(encodeFrame(FRAME_DATA, 0, this.#id, new Uint8Array(bytes)));
  }
}

test("[CR12] [CUT2] [case 20] sixteen uploads fill a line of 512 KiB/s: a cut comes after a second's worth of them, not after sixteen windows", async () => {
  const room = await PlayedRoom.start();
  room.also = { split: true };
  let connection = null as ProxiedConnection | null;
  const proxy = await FaultProxy.start({ port: 0, targetPort: () => Number(new URL(room.origin).port) });
  proxy.onConnection = (each) => {
    each.down.rate = RATE;
    connection = each;
  };
  const gateway = await LocalGateway.start();
  const state = await ConnectorState.create(`http://127.0.0.1:${proxy.port}`);
  const { files, identity, admitted, log } = state;
  const openclaw = new StubOpenclaw(gateway.port);
  const nothing = (): void => undefined;
  const link = new Link({ files, identity, admitted, log, gateway: openclaw, version: "1", now: () => state.nowMs, onStatus: nothing, onAlarm: nothing }); // prettier-ignore
  ends.push(() => link.stop(), () => proxy.stop(), () => room.stop(), () => gateway.stop()); // prettier-ignore
  link.start();
  await room.next("ack");
  room.say({ type: "attention", busy: true });
  const device = await state.allow();
  const other = await state.allow();
  const uploads = new Map<number, Upload>();
  let grants = 0;
  let isSteady: () => void = nothing;
  room.onFrames = (message) => {
    const frame = decodeFrame(message);
    if (typeof frame === "string") throw new Error(frame);
    const upload = uploads.get(frame.streamId);
    if (frame.type !== FRAME_CREDIT) return;
    const bytes = decodeU32(frame.payload) ?? 0;
    upload?.granted(bytes, (frame.flags & FLAG_SPLIT) !== 0);
    grants += bytes;
    if (grants >= 4 * RATE) isSteady();
  };
  const steady = new Promise<void>((resolve) => {
    isSteady = resolve;
  });
  const headers = [["host", "gw.localhost:8787"]];
  const where = { kind: "http", method: "POST", path: UPLOAD_PATH, headers, access: "full", clientIp: "198.51.100.7", host: "gw.localhost:8787", hasBody: true } as const; // prettier-ignore
  for (let id = 1; id <= STREAMS; id += 1) {
    const { device: name, session } = id === 1 ? device : other;
    const upload = new Upload(room, id);
    uploads.set(id, upload);
    room.sendFrame(encodeFrame(FRAME_OPEN, 0, id, utf8(JSON.stringify({ ...where, session, device: name }))));
    upload.start();
  }
  for (let each = 0; each < STREAMS; each += 1) {
    const { request } = await gateway.exchanges.next();
    request.on("error", nothing);
    request.resume();
  }
  await steady;
  const down = (): number => connection?.down.passedBytes ?? expect.unreachable();
  const before = down();
  room.say({ type: "cut", id: "the-cut", device: device.device, cutAtMs: 5, cut: "c".repeat(26) });
  const result = await room.next("result");
  expect(result).toMatchObject({ id: "the-cut", ok: true, cut: { streamsClosed: 1, done: true } });
  expect(down() - before).toBeLessThan((STREAMS * INITIAL_CREDIT_BYTES) / 2);
  expect(link.isUp).toBe(true);
}, 120_000);
