/** A full disk on the gateway's machine: what is on it already serves on, and everybody hears why. */
import { symlinkSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Link } from "../../../src/connector/link/link.ts";
import type { StateFiles } from "../../../src/connector/state/state-files.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";

let room: PlayedRoom;
let state: ConnectorState;
let link: Link;
let faults: unknown[];

beforeEach(async () => {
  room = await PlayedRoom.start();
  state = await ConnectorState.create(room.origin);
  faults = [];
  const { files, identity, admitted, log } = state;
  link = new Link({
    files,
    identity,
    admitted,
    log,
    gateway: new StubOpenclaw(1),
    version: "1",
    now: () => Date.now(),
    onStatus: () => undefined,
    onAlarm: () => undefined,
    onDisk: (fault) => faults.push(fault),
  });
});

afterEach(async () => {
  link.stop();
  vi.useRealTimers();
  await room.stop();
});

/** The next write of this file finds no space, as the kernel says it. */
function fill(files: StateFiles, name: string): void {
  symlinkSync("/dev/full", path.join(files.dir, `${name}.json.${process.pid}.tmp`));
}

test("[MA6] [case 47] a full disk: served, not acknowledged, and said", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  fill(state.files, "gateway");
  link.start();
  expect((await room.hellos.next()).generation).toBe(0);
  // The first thing that the room hears is the fault, not an `ack`.
  expect(await room.said.next()).toEqual({ type: "report", report: { state: "online", machine: ["disk-full"] } });
  expect([link.isUp, state.files.read("gateway")?.generation, faults]).toEqual([true, 0, ["disk-full"]]);
  vi.advanceTimersByTime(30_000);
  expect(await room.next("report")).toEqual({ type: "report", report: { state: "online" } });
  expect((await room.next("ack")).generation).toBe(1);
  expect([state.files.read("gateway")?.generation, faults]).toEqual([1, ["disk-full", null]]);
});

/** Step by step, so that the room's answers to heartbeats arrive in between. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    vi.advanceTimersByTime(500);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("[MA6] a disk that still refuses is tried again", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  fill(state.files, "gateway");
  link.start();
  await room.next("report");
  fill(state.files, "gateway");
  await pass(30_000);
  expect([state.files.read("gateway")?.generation, faults]).toEqual([0, ["disk-full"]]);
  await pass(30_000);
  expect((await room.next("ack")).generation).toBe(1);
});

test("[MA7] [case 47] a full disk: a device with a grant still opens a session", async () => {
  const first = await state.allow();
  fill(state.files, "sessions");
  const session = "s".repeat(22);
  const open = { session, device: first.device, grant: first.grant, expiresAtMs: state.nowMs + 1_000 };
  await state.admitted.keepSession(open, { key: "A".repeat(43) });
  expect(state.admitted.admits({ session, device: first.device })).toMatchObject({ access: "full" });
  expect(state.files.read("sessions")).toHaveLength(1);
  expect(state.files.diskFault).toBe("disk-full");
});
