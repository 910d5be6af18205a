/** The connector's link against a room that the test plays: what it says without being asked, and what it measures. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Link } from "../../../src/connector/link/link.ts";
import type { LinkStatus } from "../../../src/connector/link/link.ts";
import { LogWriteError } from "../../../src/connector/trust/key-log-file.ts";
import { CLOSE_SUPERSEDED } from "../../../src/protocol/close-codes.ts";
import { deviceId, keyThumbprint } from "../../../src/core/trust/digests.ts";
import { HOP_ROUNDS, HOP_SAMPLES } from "../../../src/protocol/limits.ts";
import { FRAME_OPEN, encodeFrame } from "../../../src/protocol/frame.ts";
import type { ToRoom } from "../../../src/protocol/link-messages.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { newDevice } from "../../support/fake-device.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";

let room: PlayedRoom;
let gateway: StubOpenclaw;
let link: Link;
/** The connector's clock for round trips: only the test moves it. */
let clockMs: number;
let statuses: LinkStatus[];
let onWaiting: () => void;
let state: ConnectorState;

beforeEach(async () => {
  room = await PlayedRoom.start();
  gateway = new StubOpenclaw(1);
  clockMs = 0;
  statuses = [];
  onWaiting = () => undefined;
  gateway.pinged = () => Promise.resolve(0);
  state = await ConnectorState.create(room.origin);
  const { files, identity, admitted, log } = state;
  link = new Link({
    files,
    identity,
    admitted,
    log,
    gateway,
    version: "0.0.0-test",
    now: () => Date.now(),
    clock: () => clockMs,
    onStatus: (status) => {
      statuses.push(status);
      if (status.state === "waiting") onWaiting();
    },
    onAlarm: () => undefined,
  });
  link.start();
});

afterEach(async () => {
  link.stop();
  await room.stop();
  vi.restoreAllMocks();
});

/** Everything that the connector says up to the answer of this probe, which is sent now. */
async function saidUntilProbed(id: string): Promise<ToRoom[]> {
  room.say({ type: "probe", id });
  const said: ToRoom[] = [];
  for (;;) {
    const message = await room.said.next();
    if (message.type === "probed" && message.id === id) return said;
    said.push(message);
  }
}

const reports = (said: readonly ToRoom[]): ToRoom[] => said.filter((each) => each.type === "report");

test("[LINK10] a gateway that stays away is reported once, however often the connector tries it; what changes is reported at once", async () => {
  expect((await room.hellos.next()).report).toEqual({ state: "online" });
  await room.next("ack");
  // What the room knows from `hello` is not said again.
  expect(reports(await saidUntilProbed("a"))).toEqual([]);
  const away = { state: "offline", reason: "not-running" } as const;
  for (let tries = 0; tries < 5; tries += 1) gateway.tell({ ...away });
  expect(reports(await saidUntilProbed("b"))).toEqual([{ type: "report", report: away }]);
  gateway.tell({ state: "starting" });
  gateway.tell(away);
  expect(reports(await saidUntilProbed("c"))).toEqual([
    { type: "report", report: { state: "starting" } },
    { type: "report", report: away },
  ]);
});

test("[LINK10] what changed while there was no link, or between `hello` and `welcome`, is known to the next room", async () => {
  await room.next("ack");
  expect((await room.hellos.next()).report).toEqual({ state: "online" });
  onWaiting = () => gateway.tell({ state: "starting" });
  room.drop();
  expect((await room.hellos.next()).report).toEqual({ state: "starting" });
  gateway.tell({ state: "online" });
  expect((await room.next("report")).report).toEqual({ state: "online" });
  expect(reports(await saidUntilProbed("a"))).toEqual([]);
});

test.each([
  ["room-connector", 40, 0],
  ["connector-gateway", 0, 70],
] as const)("[OB2] a delay on %s is measured there and only there", async (_hop, roomMs, gatewayMs) => {
  await room.next("ack");
  room.onPing = () => {
    clockMs += roomMs;
  };
  gateway.pinged = () => {
    clockMs += gatewayMs;
    return Promise.resolve(gatewayMs);
  };
  room.say({ type: "probe", id: "p" });
  const { roomConnector, connectorGateway } = await room.next("probed");
  expect([roomConnector, connectorGateway]).toEqual([
    { medianMs: roomMs, samples: HOP_ROUNDS },
    { medianMs: gatewayMs, samples: HOP_ROUNDS },
  ]);
  expect([link.hops.meter.recent("room-connector"), link.hops.meter.recent("connector-gateway")]).toEqual([
    roomConnector,
    connectorGateway,
  ]);
});

test("[OB2] OpenClaw away: the way to the room is measured all the same, the other one is not said to be anything", async () => {
  await room.next("ack");
  gateway.isAway = true;
  room.say({ type: "probe", id: "p" });
  expect(await room.next("probed")).toMatchObject({ roomConnector: { samples: HOP_ROUNDS }, connectorGateway: null });
});

/** A stream of an allowed device is open, so that the gateway's stub can ask whether to pair it. */
async function openStream(): Promise<void> {
  await room.next("ack");
  const { device, session } = await state.allow();
  const open = { kind: "ws", method: "GET", path: "/", headers: [], session, device, access: "full", clientIp: "198.51.100.7", host: "gw.localhost:8787", hasBody: false }; // prettier-ignore
  room.sendFrame(encodeFrame(FRAME_OPEN, 0, 1, utf8(JSON.stringify(open))));
  await saidUntilProbed("opened");
}

test("[LINK12] [case 8] whether a device may be paired rests on a sign of life that the room gave after it was asked for, on this link", async () => {
  await openStream();
  let pings = 0;
  room.onPing = () => void (pings += 1);
  expect([await gateway.mayPair(), pings]).toEqual([true, 1]);
  // The other copy of this machine is the room's connector by now: what the room said before does not count.
  room.onPing = () => room.drop();
  expect(await gateway.mayPair()).toBe(false);
  expect(await gateway.mayPair()).toBe(false);
});

test("[LINK12] [case 8] a close that arrived behind the sign of life counts: nothing is paired", async () => {
  await openStream();
  // What a process that stood still finds in its socket: the old answer, and that another connector took over since.
  room.closeBehindPong = { code: CLOSE_SUPERSEDED, reason: "a newer connector took over" };
  expect(await gateway.mayPair()).toBe(false);
});

test("[OB3] a room that asks a hundred times at once has its machine measure once", async () => {
  await room.next("ack");
  let pings = 0;
  let answer = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  gateway.pinged = async () => {
    pings += 1;
    await held;
    return 0;
  };
  for (let each = 0; each < 100; each += 1) room.say({ type: "probe", id: String(each) });
  await expect.poll(() => pings).toBe(1);
  // Comes after them on the same socket: the connector has read them all.
  room.say({ type: "nonce-request", id: "n" });
  await room.next("nonce");
  answer();
  for (let each = 0; each < 100; each += 1) expect((await room.next("probed")).id).toBe(String(each));
  expect(pings).toBe(HOP_ROUNDS);
});

test("[OB3] measured often, the connector remembers only the last of it", async () => {
  await room.next("ack");
  for (let each = 0; each < 20; each += 1) await saidUntilProbed(String(each));
  expect(link.hops.meter.recent("room-connector")?.samples).toBe(HOP_SAMPLES);
  expect(link.hops.meter.histograms["room-connector"].count).toBe(20 * HOP_ROUNDS);
});

test("[OB1] the connector keeps what the room tells of its own side, for doctor", async () => {
  await room.next("ack");
  expect(link.hops.told).toBe(null);
  room.say({ type: "hops", edgeRoom: { medianMs: 3, samples: 5 }, place: "AMS", atMs: 9 });
  await saidUntilProbed("a");
  expect(link.hops.told).toEqual({ edgeRoom: { medianMs: 3, samples: 5 }, place: "AMS", atMs: 9 });
});

test("[OB3] a link that goes in the middle of a measuring: it ends without an answer, and the next link can measure", async () => {
  await room.next("ack");
  room.onPing = () => room.drop();
  room.say({ type: "probe", id: "a" });
  await expect.poll(() => statuses.some((each) => each.state === "waiting")).toBe(true);
  room.onPing = () => undefined;
  await room.next("ack");
  room.say({ type: "probe", id: "b" });
  expect(await room.next("probed")).toMatchObject({ id: "b", roomConnector: { samples: HOP_ROUNDS } });
});

test("[SE1] the yes to a grant brings a nonce that one session takes; a grant that is refused brings none", async () => {
  await room.next("ack");
  const answerTo = async (id: string, changes: Parameters<ConnectorState["newGrant"]>[0] = {}): Promise<ToRoom> => {
    const { id: grant, signed } = await state.newGrant(changes);
    room.say({ type: "grant", id, grant, signed });
    return room.next("result");
  };
  const yes = await answerTo("a");
  const connectorKey = await keyThumbprint(state.identity.publicKey);
  expect(yes).toEqual({ type: "result", id: "a", ok: true, first: { nonce: expect.stringMatching(/^[\w-]{43}$/), connectorKey } });
  const nonce = (yes.type === "result" && yes.first?.nonce) || "";
  expect([state.admitted.takeNonce(nonce), state.admitted.takeNonce(nonce)]).toEqual([true, false]);
  expect(await answerTo("b", { gateway: "z".repeat(23) })).toEqual({ type: "result", id: "b", ok: false, refusal: "wrong-gateway" });
});

/** Timers that the connector set since: the test says when they are due. The others run as they do. */
function heldTimers(ms: number): (() => void)[] {
  const held: (() => void)[] = [];
  const real = globalThis.setTimeout;
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, afterMs?: number, ...rest: unknown[]) => {
    if (afterMs !== ms) return real(run, afterMs, ...rest);
    held.push(run);
    return real(() => undefined, 0);
  }) as typeof setTimeout);
  return held;
}

test("[KL6] [case 47] an alarm that the disk refuses stands all the same: it is told, nobody new comes, and it is on disk when the disk takes it", async () => {
  await room.next("ack");
  const write = state.files.write.bind(state.files) as (name: string, content: unknown) => void;
  const full = vi.spyOn(state.files, "write").mockImplementation((name, content) => {
    if (name === "alarm") throw new Error("ENOSPC");
    write(name, content);
  });
  // The room that comes next has forgotten what this one had.
  state.files.write("roomHead", { seq: 9, hash: "A".repeat(43) });
  room.drop();
  expect(await room.next("alarm")).toMatchObject({ alarm: "room-rolled-back" });
  const { id, signed } = await state.newGrant();
  room.say({ type: "grant", id, grant: id, signed });
  expect(await room.next("result")).toEqual({ type: "result", id, ok: false, refusal: "alarm" });
  expect(state.files.read("alarm")).toBe(null);
  full.mockRestore();
  room.say({ type: "grant", id, grant: id, signed });
  expect(await room.next("result")).toMatchObject({ ok: false, refusal: "alarm" });
  expect(state.files.read("alarm")).toMatchObject({ alarm: "room-rolled-back" });
  state.files.remove("alarm");
  room.say({ type: "grant", id, grant: id, signed });
  expect(await room.next("result")).toMatchObject({ ok: true });
});

test("[LINK7] [case 47] what the disk refused is not applied from memory later: the room is asked once for what it owes by then", async () => {
  const { generation } = await room.next("ack");
  const due = heldTimers(30_000);
  const full = vi.spyOn(state.log, "append").mockRejectedValue(new LogWriteError("full"));
  const { key } = await newDevice();
  const device = await deviceId(TEST_GATEWAY, key);
  const newGrant = (issuedAtMs: number): ReturnType<typeof state.newGrant> => state.newGrant({ key, device, issuedAtMs });
  const [first, other, anew] = [await newGrant(state.nowMs), await state.newGrant(), await newGrant(state.nowMs + 1)];
  for (const { id, signed } of [first, other]) room.say({ type: "grant", id, grant: id, signed });
  for (const { id } of [first, other]) expect(await room.next("result")).toEqual({ type: "result", id, ok: false, refusal: "internal" });
  room.say({ type: "cut", id: "c", device, cutAtMs: 5, cut: "c".repeat(26) });
  expect(await room.next("result")).toMatchObject({ id: "c", ok: false, refusal: "internal" });
  full.mockRestore();
  // The owner allows the device anew: the room owes neither the first grant nor the cut any more.
  room.say({ type: "grant", id: anew.id, grant: anew.id, signed: anew.signed });
  expect(await room.next("result")).toMatchObject({ id: anew.id, ok: true });
  expect(due).toHaveLength(1);
  due[0]?.();
  expect(await saidUntilProbed("a")).toContainEqual({ type: "ack", generation });
  room.say({ type: "grant", id: other.id, grant: other.id, signed: other.signed });
  expect(await room.next("result")).toMatchObject({ id: other.id, ok: true });
  expect([state.admitted.grant(first.id), state.admitted.grant(anew.id)?.isRevoked]).toEqual([null, false]);
  // Nobody asks twice; the next time that the disk refuses does.
  expect(due).toHaveLength(1);
  vi.spyOn(state.log, "append").mockRejectedValueOnce(new LogWriteError("full"));
  const last = await state.newGrant();
  room.say({ type: "grant", id: last.id, grant: last.id, signed: last.signed });
  expect(await room.next("result")).toMatchObject({ id: last.id, ok: false, refusal: "internal" });
  expect(due).toHaveLength(2);
});
