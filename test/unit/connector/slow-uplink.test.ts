/** The connector as it is, on a slow line of real TCP: bursts fill it, and a cut is answered ahead of what waits. */
import { afterEach, expect, test } from "vitest";
import { Link } from "../../../src/connector/link/link.ts";
import { ReceiveCredit } from "../../../src/core/link/stream-credit.ts";
import { FRAME_CREDIT, FRAME_DATA, FRAME_OPEN, decodeFrame, encodeFrame, encodeU32 } from "../../../src/protocol/frame.ts";
import { INITIAL_CREDIT_BYTES, MAX_MESSAGE_BYTES } from "../../../src/protocol/limits.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import type { AllowedDevice } from "../../support/connector-state.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { LocalGateway, StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";

const RATE = 128 * 1024;

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

test("[CR10] [CUT2] [case 20] two bursts of 25 MiB fill a line of 128 KiB/s: a cut is answered ahead of all but a second's worth, the other burst goes on", async () => {
  const room = await PlayedRoom.start();
  const proxy = await FaultProxy.start({ port: 0, targetPort: () => Number(new URL(room.origin).port) });
  // The proxy takes 4 MiB without a word: nothing of the slowness shows at the connector's socket.
  proxy.onConnection = (connection) => {
    connection.up.rate = RATE;
  };
  const gateway = await LocalGateway.start();
  const state = await ConnectorState.create(`http://127.0.0.1:${proxy.port}`);
  const { files, identity, admitted, log } = state;
  const openclaw = new StubOpenclaw(gateway.port);
  const nothing = (): void => undefined;
  const link = new Link({ files, identity, admitted, log, gateway: openclaw, version: "1", now: () => state.nowMs, onStatus: nothing, onAlarm: nothing }); // prettier-ignore
  ends.push(() => link.stop(), () => proxy.stop(), () => room.stop(), () => gateway.stop()); // prettier-ignore
  const bytesOf = new Map<number, number>();
  const credits = new Map<number, ReceiveCredit>();
  let onFrame = nothing;
  room.onFrames = (message) => {
    const frame = decodeFrame(message);
    if (typeof frame === "string") throw new Error(frame);
    const { streamId, type, payload } = frame;
    if (type === FRAME_DATA) {
      const credit = credits.get(streamId) ?? new ReceiveCredit();
      credits.set(streamId, credit);
      bytesOf.set(streamId, (bytesOf.get(streamId) ?? 0) + payload.byteLength);
      expect(credit.receive(payload.byteLength)).toBe(true);
      const grant = credit.consume(payload.byteLength);
      if (grant > 0) room.sendFrame(encodeFrame(FRAME_CREDIT, 0, streamId, encodeU32(grant)));
    }
    onFrame();
  };
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      onFrame = () => {
        if (holds()) resolve();
      };
    });
  const total = (): number => [...bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0);
  link.start();
  await room.next("ack");
  const open = async (id: number): Promise<AllowedDevice> => {
    const device = await state.allow();
    const headers = [["host", "gw.localhost:8787"]];
    const where = { kind: "ws", method: "GET", path: "/", headers, access: "full", clientIp: "198.51.100.7", host: "gw.localhost:8787", hasBody: false } as const; // prettier-ignore
    room.sendFrame(encodeFrame(FRAME_OPEN, 0, id, utf8(JSON.stringify({ ...where, session: device.session, device: device.device }))));
    (await gateway.sockets.next()).ws.send(Buffer.alloc(MAX_MESSAGE_BYTES, id));
    return device;
  };
  const cut = await open(1);
  await open(2);
  // More than both windows of credit: from here on the line alone decides.
  await until(() => total() > 3 * INITIAL_CREDIT_BYTES);
  const before = total();
  room.say({ type: "cut", id: "the-cut", device: cut.device, cutAtMs: 5, cut: "c".repeat(26) });
  const result = await room.next("result");
  expect(result).toMatchObject({ id: "the-cut", ok: true, cut: { streamsClosed: 1, done: true } });
  expect(total() - before).toBeLessThanOrEqual(RATE);
  const [ended = 0, other = 0] = [bytesOf.get(1), bytesOf.get(2)];
  await until(() => (bytesOf.get(2) ?? 0) > other + 2 * INITIAL_CREDIT_BYTES);
  // What was under way when it was pressed, and nothing of the burst after it.
  expect((bytesOf.get(1) ?? 0) - ended).toBeLessThanOrEqual(RATE);
  expect(link.isUp).toBe(true);
}, 120_000);
