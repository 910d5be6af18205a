/** `gatehouse access-list` beside a running connector: an alarm that a full disk refused stands in its memory alone, and is told and settled as any other. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { performInRunning } from "../../../src/connector/trust/host-actions.ts";
import { alarmStatus } from "../../../src/connector/cli/host-commands.ts";
import { Link } from "../../../src/connector/link/link.ts";
import { listenLocally } from "../../../src/connector/trust/local-control.ts";
import { accessList } from "../../../src/connector/cli/lock-commands.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { ConnectorState, TEST_GATEWAY } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";
import { signWidening } from "../../support/test-key-log.ts";

/** Remembers instead of printing. */
class QuietTerminal extends Terminal {
  said: string[] = [];

  constructor() {
    super({ json: false });
  }

  override say(_event: string, text: string): void {
    this.said.push(text);
  }

  override fail(_event: string, text: string): void {
    this.said.push(text);
  }
}

let room: PlayedRoom;
let state: ConnectorState;
let link: Link;
let terminal: QuietTerminal;
let local: ReturnType<typeof listenLocally>;

beforeEach(async () => {
  room = await PlayedRoom.start();
  state = await ConnectorState.create(room.origin);
  terminal = new QuietTerminal();
  const { files, identity, admitted, log } = state;
  const gateway = new StubOpenclaw(1);
  link = new Link({
    files,
    identity,
    admitted,
    log,
    gateway,
    version: "0.0.0-test",
    now: () => state.nowMs,
    onStatus: () => undefined,
    onAlarm: () => undefined,
  });
  const never = (): Promise<never> => Promise.reject(new Error("nobody asks for this"));
  local = listenLocally(files.dir, {
    status: () => alarmStatus(admitted.alarm()),
    view: () => Promise.resolve({}),
    hops: never,
    blocked: () => Promise.reject(new Error("nobody asks for this")),
    cut: never,
    rotateSecret: () => Promise.reject(new Error("nobody asks for this")),
    answerSettings: never,
    host: (action) => performInRunning({ log, files, admitted, link }, action, state.nowMs),
  });
  await local.ready;
  link.start();
  await room.next("ack");
  const write = files.write.bind(files) as (name: string, content: unknown) => void;
  vi.spyOn(files, "write").mockImplementation((name, content) => {
    if (name === "alarm") throw new Error("ENOSPC");
    write(name, content);
  });
});

afterEach(async () => {
  link.stop();
  await local.close();
  await room.stop();
  vi.restoreAllMocks();
});

/** What `gatehouse access-list …` says, in a process that sees the disk and the running connector's socket. */
async function said(what: string | null = null): Promise<{ readonly code: number; readonly text: string }> {
  terminal.said = [];
  const code = await accessList({ terminal, files: state.files, yes: false }, what, undefined);
  return { code, text: terminal.said.join("\n") };
}

/** The next that the room hears of alarms: each link ends what it says by itself with whether one stands. */
async function alarmWord(): Promise<string> {
  for (;;) {
    const message = await room.said.next();
    if (message.type === "alarm") return message.alarm;
    if (message.type === "alarm-over") return "none";
  }
}

test("[KL6] [case 47] an alarm that the disk refuses: `access-list` shows it, an approved resume settles it whole, and the next link raises none", async () => {
  expect(await alarmWord()).toBe("none");
  // The room has forgotten what it had acknowledged.
  state.files.write("roomHead", { seq: 9, hash: "A".repeat(43) });
  room.drop();
  expect([await alarmWord(), await alarmWord()]).toEqual(["room-rolled-back", "room-rolled-back"]);
  expect(state.files.read("alarm")).toBe(null);
  expect(await said()).toMatchObject({ code: 1, text: expect.stringContaining(`ALARM since ${new Date(state.nowMs).toISOString()}`) as unknown }); // prettier-ignore
  expect(await said("resume")).toMatchObject({ code: 0, text: expect.stringContaining("It waits for an owner's passkey") as unknown });
  const proposal = state.log.state.head.hash;
  expect(state.admitted.alarm()).toMatchObject({ alarm: "room-rolled-back" });
  const change = { kind: "resume", alarm: "room-rolled-back" } as const;
  const signed = await signWidening(state.owner, TEST_GATEWAY, proposal, change, state.nowMs);
  room.say({ type: "proposal", id: "p", proposal, step: "signed", signed });
  expect(await alarmWord()).toBe("none");
  expect(state.admitted.alarm()).toBe(null);
  expect(await said()).toMatchObject({ code: 0, text: expect.not.stringContaining("ALARM") as unknown });
  expect(await said("resume")).toEqual({ code: 0, text: "There is no alarm." });
  room.drop();
  expect(await alarmWord()).toBe("none");
  expect(state.admitted.alarm()).toBe(null);
});

test.each([
  ["log-rolled-back", 9],
  ["fork", 0],
])("[KL6] %s: `access-list resume` says that nobody can be asked while the histories differ, and what ends it", async (alarm, seq) => {
  expect(await alarmWord()).toBe("none");
  room.also = { head: { seq, hash: "A".repeat(43) } };
  room.drop();
  expect([await alarmWord(), await alarmWord()]).toEqual([alarm, alarm]);
  expect((await said("resume")).text).toContain("Connect this machine again");
  expect(state.admitted.alarm()).toMatchObject({ alarm });
  room.drop();
  expect(await alarmWord()).toBe(alarm);
});
