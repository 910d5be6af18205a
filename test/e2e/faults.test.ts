/**
 * Faults on real processes: workerd, the built connector, TCP with a fault proxy on both legs. Both ends of every stream write down what they
 * send and see, and a checker that knows neither of them judges (PROTOCOL.md ST6). Tests build on one another: after each fault everybody must be
 * served again by what is left.
 */
import { rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { FaultWorld, flowing, until } from "../support/fault-world.ts";
import type { RecordedStream } from "../support/fault-world.ts";
import { violations } from "../support/history.ts";
import type { EndName, Recorder } from "../support/history.ts";
import type { AdmittedDevice } from "../support/person.ts";
import { INITIAL_CREDIT_BYTES } from "../../src/protocol/limits.ts";
import { isLinkUp, scratch } from "../support/stack.ts";

const STREAMS = 6;
const BURST_BYTES = 25 * 1024 * 1024;
const UPLOADS = 8;
/** Of each upload: all of them together are less than a room holds. */
const UPLOAD_PARTS = 48;
const UPLOAD_PART_BYTES = 64 * 1024;

let world: FaultWorld;
let history: Recorder;

beforeAll(async () => {
  world = await FaultWorld.start();
});

afterEach(() => world.healthy());

afterAll(() => world?.stop());

async function talking(): Promise<RecordedStream[]> {
  history = world.newHistory();
  return world.talking(STREAMS);
}

/** Waits for both ends of all of them, then judges. @param broken ends that may end without a close */
async function judged(streams: readonly RecordedStream[], broken: readonly EndName[] = []): Promise<void> {
  await until(() => streams.every((stream) => stream.isOver));
  expect(violations(history, streams.map(({ name }) => name), broken)).toEqual([]); // prettier-ignore
}

/** Half of the streams send so much that they may be given up for that before the link is: with a leg, too. */
const GIVEN_UP = [
  "4413 connector-gateway: gateway too slow",
  "4413 room-connector: no answer",
  "4413 device-room: too slow",
  "4413 device-room: too much at once",
];

/** @returns the distinct ways in which streams ended at the devices */
function saidToDevices(): string[] {
  return [...new Set(history.endings.filter(({ end }) => end === "device").map(({ code, reason }) => `${code} ${reason}`))];
}

test("[ST6] [case 1] the connector is killed with bytes under way: both ends end, what arrived is a prefix, and a new process serves", async () => {
  const streams = await talking();
  await world.connector.kill();
  await judged(streams, ["gateway"]);
  expect(saidToDevices()).toEqual(["4502 room-connector: connection lost"]);
  world.connector = world.connect();
});

test("[LINK3] [case 2] killed after it wrote a generation and before the room heard so; then before it heard of one: the next link is taken, without alarm", async () => {
  for (const lost of ["ack", "welcome"] as const) {
    await world.connector.kill();
    const before = world.generation();
    let hasPassed = false;
    world.linkProxy.onConnection = (connection) => {
      connection.down.onBytes = (bytes) => {
        if (!bytes.includes('"type":"welcome"')) return;
        hasPassed = true;
        if (lost === "ack") connection.up.hold();
        else connection.down.hold();
      };
    };
    world.connector = world.connect();
    await until(() => hasPassed && (lost === "welcome" || world.connector.events.some(isLinkUp)));
    expect(world.generation()).toBe(lost === "ack" ? before + 1 : before);
    await world.connector.kill();
    world.linkProxy.onConnection = () => undefined;
    world.connector = world.connect();
    await world.connector.until(isLinkUp, "the link");
    const { gateway } = await world.owner.get<{ gateway: { alarm: unknown } }>(`/api/gateways/${world.gatewayId}`);
    expect(gateway.alarm).toBe(null);
  }
});

test("[LINK5] [ST6] a connector that stands still for longer than a link may be silent: its streams end, and nothing of them crosses when it goes on", async () => {
  const streams = await talking();
  world.connector.child.process.kill("SIGSTOP");
  try {
    await until(() => streams.every(({ device }) => device.readyState === device.CLOSED));
  } finally {
    world.connector.child.process.kill("SIGCONT");
  }
  await judged(streams);
  expect(saidToDevices()).toContain("4502 room-connector: no sign of life");
  expect(saidToDevices().filter((said) => !GIVEN_UP.includes(said))).toEqual(["4502 room-connector: no sign of life"]);
});

test("[ST6] a workerd that stands still for a moment loses nothing: every stream goes on where it was", async () => {
  const streams = await talking();
  world.signalWorkerd("SIGSTOP");
  // What both ends sent meanwhile waits in sockets' buffers: until they are full, or a second's worth is there.
  const sent = streams.map(({ name }) => history.count(name, "down", "sent"));
  try {
    await until(() => streams.some(({ name }, i) => history.count(name, "down", "sent") > (sent[i] ?? 0) + 50));
  } finally {
    world.signalWorkerd("SIGCONT");
  }
  await flowing(streams, 50);
  expect(history.endings).toEqual([]);
  for (const stream of streams) stream.rest();
  await until(() => streams.every((stream) => stream.isWhole));
  for (const { device } of streams) device.close(1000, "done");
  await judged(streams);
  expect(saidToDevices()).toEqual(["1000 done"]);
});

test("[ST6] [LINK5] a workerd that stands still until its connector gives up: all streams end, none of them twice", async () => {
  const streams = await talking();
  const ups = world.linkUps();
  const losses = world.linkLosses();
  world.signalWorkerd("SIGSTOP");
  try {
    // The streams may be given up first, as too slow.
    await until(() => streams.every(({ gateway }) => gateway.readyState === gateway.CLOSED) && world.linkLosses() > losses);
  } finally {
    world.signalWorkerd("SIGCONT");
  }
  await judged(streams);
  // Which end gives up first is chance; that it says where is not.
  for (const said of saidToDevices()) expect(said).toMatch(/^(?:4413|4502) (?:device-room|room-connector|connector-gateway): /);
  await until(() => world.linkUps() > ups);
});

test("[ST6] [case 10] workerd is killed and started again: the connector is back by itself, devices need nothing new", async () => {
  const streams = await talking();
  const ups = world.linkUps();
  await world.restartControl();
  // The process that held the devices' sockets is gone: they hear nothing but that.
  await judged(streams, ["device"]);
  await until(() => world.linkUps() > ups);
});

test("[LINK5] [case 5] a link that is half open: both sides find out, a new one is up, and what comes late on the old one reaches nobody", async () => {
  const streams = await talking();
  const ups = world.linkUps();
  const old = world.link();
  old.silence();
  await until(() => streams.every((stream) => stream.isOver));
  await until(() => world.linkUps() > ups);
  const next = await world.talking(3);
  old.speakAgain();
  await flowing(next, 50);
  for (const stream of next) stream.rest();
  await until(() => next.every((stream) => stream.isWhole));
  for (const { device } of next) device.close(1000, "done");
  await judged([...streams, ...next]);
  // The room hears nothing for too long, or hears of the next link first: the leg is the same.
  const said = saidToDevices().filter((each) => !GIVEN_UP.includes(each));
  expect(said.filter((each) => each !== "1000 done").length).toBeGreaterThan(0);
  for (const each of said) expect(each).toMatch(/^(?:1000 done|4502 room-connector: (?:no sign of life|a newer connector took over))$/);
});

test.each([["down"], ["up"]] as const)("[ST6] the link is reset in the middle of a frame on its way %s: no part of a message arrives", async (direction) => {
  const streams = await talking();
  const { [direction]: lane } = world.link();
  lane.resetAfterBytes = 20_011;
  await judged(streams);
  expect(saidToDevices()).toEqual(["4502 room-connector: connection lost"]);
}); // prettier-ignore

test("[CUT1] [case 20] over an uplink of 10 KiB/s that is full, a cut is committed at once and everywhere; no frame of the device comes after it", async () => {
  history = world.newHistory();
  const device = await world.owner.admit(world.gatewayId, 90);
  const cut = await world.talking(2, [device]);
  const neighbours = await world.talking(2);
  const link = world.link();
  link.up.rate = 10 * 1024;
  const passed = link.up.passedBytes;
  await until(() => link.up.passedBytes > passed + 20 * 1024);
  const receipt = await world.owner.cut(world.gatewayId, device.id);
  expect(receipt.edge.socketsClosed).toBe(2);
  // The command went the other way and did not wait: the gateway's own sockets are closed although the line up is still full.
  await until(() => cut.every((stream) => stream.isOver));
  const atCut = cut.map((stream) => stream.received("down"));
  link.up.rate = null;
  for (const stream of [...cut, ...neighbours]) stream.rest();
  await until(() => neighbours.every((stream) => stream.isWhole || stream.isOver));
  expect(cut.map((stream) => stream.received("down"))).toEqual(atCut);
  for (const { device: socket } of neighbours) socket.close(1000, "done");
  await judged(neighbours);
  // A cut ends the gateway's own sockets at once, without a close that it could ignore.
  expect(violations(history, cut.map(({ name }) => name), ["gateway"])).toEqual([]); // prettier-ignore
  expect(history.endings.filter(({ stream, end }) => end === "device" && cut.some(({ name }) => name === stream)).map(({ code }) => code)).toEqual([4403, 4403]); // prettier-ignore
});

test("[CR10] [CUT6] [case 20] over an uplink of 10 KiB/s with bursts of 25 MiB a cut is answered in time, its link stays, and neighbours talk on", async () => {
  history = world.newHistory();
  const device = await world.owner.admit(world.gatewayId, 91);
  // Slow from its first byte, as a slow line is; the proxy holds 4 MiB, far more than bursts of two streams may have under way.
  const ups = world.linkUps();
  world.linkProxy.onConnection = (connection) => {
    connection.up.rate = 10 * 1024;
  };
  world.link().reset();
  await until(() => world.linkUps() > ups);
  const losses = world.linkLosses();
  const open = async (index: number): Promise<RecordedStream> => {
    let stream: RecordedStream | null = null;
    await until(async () => (stream = await world.open(index === 0 ? device : (world.devices[index] ?? expect.unreachable()))) !== null);
    return stream as unknown as RecordedStream;
  };
  const [cut, large, neighbour] = [await open(0), await open(1), await open(2)];
  neighbour.talk(["up", "down"], 20);
  const burst = Buffer.alloc(BURST_BYTES, 7);
  for (const { name, gateway } of [cut, large]) {
    history.add({ stream: name, direction: "down", what: "sent" }, burst, false);
    gateway.send(burst);
  }
  const link = world.link();
  const passed = link.up.passedBytes;
  await until(() => link.up.passedBytes > passed + 40 * 1024);
  await flowing([neighbour]);
  let receipt = await world.owner.cut(world.gatewayId, device.id);
  expect(receipt.edge.socketsClosed).toBe(1);
  // Pending for its answer, never for want of one.
  await until(async () => {
    receipt = await world.owner.get(`/api/gateways/${world.gatewayId}/devices/${device.id}/cut`);
    expect([null, "gateway-away"]).toContain(receipt.gateway.why);
    return receipt.gateway.state === "done";
  });
  await until(() => cut.isOver);
  await flowing([neighbour]);
  expect([world.linkLosses(), history.endings.filter(({ stream }) => stream !== cut.name)]).toEqual([losses, []]);
  world.linkProxy.onConnection = () => undefined;
  link.up.rate = null;
  await until(() => large.received("down") === 1);
  neighbour.rest();
  await until(() => neighbour.isWhole);
  for (const { device: socket } of [large, neighbour]) socket.close(1000, "done");
  await judged([large, neighbour]);
}); // prettier-ignore

test("[CR12] [CUT6] [case 20] over a downlink of 256 KiB/s that eight uploads fill, a cut passes ahead of most of their windows, its link stays, and neighbours talk on", async () => {
  history = world.newHistory();
  const device = await world.owner.admit(world.gatewayId, 92);
  const ups = world.linkUps();
  world.linkProxy.onConnection = (connection) => {
    connection.down.rate = 256 * 1024;
  };
  world.link().reset();
  await until(() => world.linkUps() > ups);
  const losses = world.linkLosses();
  const open = async (of: AdmittedDevice): Promise<RecordedStream> => {
    let stream: RecordedStream | null = null;
    await until(async () => (stream = await world.open(of)) !== null);
    return stream as unknown as RecordedStream;
  };
  const cut = await open(device);
  const neighbour = await open(world.devices[0] ?? expect.unreachable());
  const large: RecordedStream[] = [];
  for (let each = 1; each < UPLOADS; each += 1) large.push(await open(world.devices[each % world.devices.length] ?? expect.unreachable()));
  neighbour.talk(["up", "down"], 20);
  const link = world.link();
  const passed = link.down.passedBytes;
  const part = Buffer.alloc(UPLOAD_PART_BYTES, 7);
  for (const { name, device: socket } of [cut, ...large])
    for (let sent = 0; sent < UPLOAD_PARTS; sent += 1) {
      history.add({ stream: name, direction: "up", what: "sent" }, part, false);
      socket.send(part);
    }
  // The first windows are late once.
  await until(() => link.down.passedBytes > passed + (UPLOADS + 4) * INITIAL_CREDIT_BYTES);
  let passedAtEnd: number | null = null;
  cut.gateway.on("close", () => {
    passedAtEnd = link.down.passedBytes;
  });
  const passedAtCut = link.down.passedBytes;
  let receipt = await world.owner.cut(world.gatewayId, device.id);
  expect(receipt.edge.socketsClosed).toBe(1);
  await until(async () => {
    receipt = await world.owner.get(`/api/gateways/${world.gatewayId}/devices/${device.id}/cut`);
    return receipt.gateway.state === "done";
  });
  await until(() => cut.isOver);
  expect((passedAtEnd ?? Infinity) - passedAtCut).toBeLessThan((UPLOADS * INITIAL_CREDIT_BYTES) / 2);
  await flowing([neighbour]);
  expect([world.linkLosses(), history.endings.filter(({ stream }) => stream !== cut.name)]).toEqual([losses, []]);
  world.linkProxy.onConnection = () => undefined;
  link.down.rate = null;
  await until(() => large.every((stream) => stream.received("up") === UPLOAD_PARTS));
  neighbour.rest();
  await until(() => neighbour.isWhole);
  for (const { device: socket } of [...large, neighbour]) socket.close(1000, "done");
  await judged([...large, neighbour]);
}); // prettier-ignore

test("[CR4] [case 6] a browser whose network went silent while its gateway sends: given up at the gateway, its neighbours lose nothing", async () => {
  history = world.newHistory();
  const neighbours = await world.talking(2);
  const silent = await world.open(world.devices[0] ?? expect.unreachable(), world.deviceProxy.port);
  if (silent === null) throw new Error("refused");
  world.deviceProxy.connections("GET /record").at(-1)?.silence();
  silent.talk(["down"], 60_000);
  await until(() => silent.gateway.readyState === silent.gateway.CLOSED);
  expect(history.endings).toEqual([{ stream: silent.name, end: "gateway", code: 4413, reason: expect.stringMatching(/^device-room: /) }]);
  await flowing(neighbours);
  for (const stream of neighbours) stream.rest();
  await until(() => neighbours.every((stream) => stream.isWhole));
  for (const { device } of neighbours) device.close(1000, "done");
  silent.device.terminate();
  await judged([silent, ...neighbours], ["device"]);
});

test("[LINK2] [case 7] a second connector with the same key takes over with bytes under way: the first one's streams end, and it stops", async () => {
  const streams = await talking();
  const copy = await scratch();
  world.copyOfState(copy);
  const second = world.connect(copy);
  await second.until(isLinkUp, "the second link");
  await judged(streams);
  expect(saidToDevices()).toEqual(["4502 room-connector: a newer connector took over"]);
  await world.connector.until((event) => event.event === "link" && (event["link"] as { why?: string }).why === "superseded", "its end");
  const next = await world.talking(3);
  for (const stream of next) stream.rest();
  await until(() => next.every((stream) => stream.isWhole));
  for (const { device } of next) device.close(1000, "done");
  await judged([...streams, ...next]);
  // The folder that is ahead stays.
  await second.stop();
  rmSync(world.stateDir, { recursive: true });
  world.stateDir = copy;
  world.connector = world.connect();
});
