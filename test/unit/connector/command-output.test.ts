/** Every command that ends by itself, run whole: its exit code, and its JSON lines by their schemas. */
import { cpSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as z from "zod";
import { COMMANDS } from "../../../src/connector/cli/commands.ts";
import { EVENTS } from "../../../src/connector/cli/output.ts";
import { runCommandLine } from "../../../src/connector/cli/run.ts";
import type { BlockedDevice } from "../../../src/protocol/blocks.ts";
import { listenLocally } from "../../../src/connector/trust/local-control.ts";
import { ConnectorState, TEST_GATEWAY, TEST_ORIGIN } from "../../support/connector-state.ts";

interface Line {
  readonly event: string;
  readonly error?: string;
  readonly [member: string]: unknown;
}

let lines: string[];
let state: ConnectorState;

beforeEach(async () => {
  lines = [];
  vi.spyOn(console, "log").mockImplementation((text) => lines.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => lines.push(String(text)));
  state = await ConnectorState.create();
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function plain(dir: string, ...argv: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  lines = [];
  const code = await runCommandLine([...argv, "--state", dir], { env: {}, script: "gatehouse.mjs", folder: os.tmpdir() });
  return { code, text: lines.join("\n") };
}

const errorSchema = z.looseObject({ at: z.iso.datetime(), event: z.string(), error: z.string().min(1) });

/** Runs a command with `--json`, and holds each line against its schema. */
async function json(dir: string, ...argv: readonly string[]): Promise<{ readonly code: number; readonly lines: readonly Line[] }> {
  const { code, text } = await plain(dir, ...argv, "--json");
  const parsed = text.split("\n").map((line) => JSON.parse(line) as Line);
  for (const line of parsed) {
    const { at, event, ...members } = line;
    if (line.error !== undefined) errorSchema.parse(line);
    else {
      z.iso.datetime().parse(at);
      expect(Object.keys(EVENTS)).toContain(event);
      EVENTS[event as keyof typeof EVENTS].parse(members);
    }
  }
  return { code, lines: parsed };
}

test("[CLI4] devices is one object with a list, also when empty", async () => {
  expect(await json(state.files.dir, "devices")).toMatchObject({ code: 0, lines: [{ event: "devices", devices: [] }] });
  const { device } = await state.allow({ name: "Phone" });
  const { lines: listed } = await json(state.files.dir, "devices");
  expect(listed).toMatchObject([{ devices: [{ device, name: "Phone", access: "full" }] }]);
});

test("[BL6] [CLI4] devices --blocked and unblock ask the room, and end with 1 where they cannot", async () => {
  const dir = state.files.dir;
  for (const argv of [
    ["devices", "--blocked"],
    ["unblock", "phone"],
  ])
    expect(await json(dir, ...argv)).toMatchObject({ code: 1, lines: [{ event: "not-running" }] });
  let room: BlockedDevice[] | null = [];
  const asked: (string | null)[] = [];
  const nobody = (): never => {
    throw new Error("nobody asks for this");
  };
  const local = listenLocally(dir, {
    status: nobody, view: nobody, hops: nobody, rotateSecret: nobody, answerSettings: nobody, cut: nobody, host: nobody,
    blocked: (unblock) => {
      asked.push(unblock);
      if (room === null) return Promise.resolve({ error: "no-link" });
      const wasBlocked = room.some(({ device }) => device === unblock);
      room = room.filter(({ device }) => device !== unblock);
      return Promise.resolve({ devices: room, wasBlocked });
    },
  }); // prettier-ignore
  await local.ready.catch(() => undefined);
  expect(await json(dir, "devices", "--blocked")).toMatchObject({ code: 0, lines: [{ event: "blocked-devices", blocked: [] }] });
  const [phone, first, second] = ["a", "bc", "bd"].map((start) => start.padEnd(26, "x"));
  const row = (device = "", name = "Laptop", untilMs: number | null = 5): BlockedDevice => ({ device, name, sinceMs: 1, untilMs });
  room = [row(phone, "Phone", null), row(first), row(second)];
  expect((await json(dir, "devices", "--blocked")).lines).toMatchObject([{ blocked: [{ device: phone, untilMs: null }, {}, {}] }]);
  expect((await plain(dir, "devices", "--blocked")).text).toContain(`${phone}  for good  Phone`);
  asked.length = 0;
  expect(await json(dir, "unblock", "laptop")).toMatchObject({ code: 2, lines: [{ event: "ambiguous" }] });
  expect(await json(dir, "unblock", "nobody")).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
  expect(asked).toEqual([null, null]);
  expect(await json(dir, "unblock", "PHONE")).toMatchObject({ code: 0, lines: [{ event: "unblocked", device: phone }] });
  expect(await json(dir, "unblock", "bc")).toMatchObject({ code: 0, lines: [{ event: "unblocked", device: first }] });
  room = null;
  for (const argv of [
    ["devices", "--blocked"],
    ["unblock", "bd"],
  ])
    expect(await json(dir, ...argv)).toMatchObject({ code: 1, lines: [{ event: "no-link" }] });
  await local.close();
});

test("[CLI6] cut takes an id, its beginning or a name, and never guesses", async () => {
  const phone = await state.allow({ name: "Phone" });
  const first = await state.allow({ name: "Laptop" });
  const second = await state.allow({ name: "Laptop" });
  const several = await json(state.files.dir, "cut", "laptop");
  expect(several).toMatchObject({ code: 2, lines: [{ event: "ambiguous", error: expect.stringContaining(first.device) as string }] });
  expect(several.lines[0]?.["devices"]).toMatchObject([{ device: first.device }, { device: second.device }]);
  expect(await json(state.files.dir, "cut", "nobody")).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
  expect(await json(state.files.dir, "cut", "PHONE")).toMatchObject({ code: 0, lines: [{ event: "cut", device: phone.device }] });
  expect(await json(state.files.dir, "cut", second.device.slice(0, 8))).toMatchObject({ code: 0, lines: [{ device: second.device }] });
  // Of two with one name the one that is cut already is not meant.
  expect(await json(state.files.dir, "cut", "Laptop")).toMatchObject({ code: 0, lines: [{ device: first.device }] });
  expect(await json(state.files.dir, "cut", "z".repeat(26))).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
});

test("[CLI2] cut wants one device or --all", async () => {
  expect(await json(state.files.dir, "cut")).toMatchObject({ code: 2, lines: [{ event: "usage" }] });
  expect(await json(state.files.dir, "cut", "x", "--all")).toMatchObject({ code: 2, lines: [{ event: "usage" }] });
  const { device } = await state.allow();
  expect(await json(state.files.dir, "cut", "--all")).toMatchObject({ code: 0, lines: [{ event: "revoke-all", ok: true }] });
  expect((await json(state.files.dir, "devices")).lines).toMatchObject([{ devices: [{ device, state: "cut" }] }]);
});

test("[CLI4] owners is one object with a list", async () => {
  const { credentialId } = state.owner.ownerKey;
  expect(await json(state.files.dir, "owners")).toMatchObject({ code: 0, lines: [{ owners: [{ credentialId }], recoveryKey: null }] });
  expect(await json(state.files.dir, "owners", "remove", credentialId.slice(0, 6))).toMatchObject({
    code: 1,
    lines: [{ event: "owner-remove" }],
  });
  expect(await json(state.files.dir, "owners", "remove", "nobody")).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
});

test("[CLI4] access-list, history, policy, install and receipt print what their schemas say", async () => {
  const dir = state.files.dir;
  expect(await json(dir, "access-list")).toMatchObject({ code: 0, lines: [{ event: "access-list", gateway: TEST_GATEWAY, alarm: null }] });
  expect(await json(dir, "access-list", "verify")).toMatchObject({ code: 0, lines: [{ event: "verified", gateway: TEST_GATEWAY }] });
  expect(await json(dir, "access-list", "verify", path.join(dir, "none"))).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
  expect(await json(dir, "history")).toMatchObject({ code: 0, lines: [{ event: "history", head: null }] });
  expect(await json(dir, "history", "verify", dir)).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
  expect(await json(dir, "history", "verify", dir, "--head", "x")).toMatchObject({ code: 2, lines: [{ event: "usage" }] });
  expect(await json(dir, "policy")).toMatchObject({ code: 0, lines: [{ event: "policy", policy: { maxAccess: "full" } }] });
  expect(await json(dir, "policy", "--max-access", "chat")).toMatchObject({ code: 0, lines: [{ event: "policy", ok: true }] });
  expect(await json(dir, "rotate-key")).toMatchObject({ code: 0, lines: [{ event: "rotate-key", ok: true }] });
  expect(await json(dir, "install", "--print")).toMatchObject({ code: 0, lines: [{ event: "install" }] });
  writeFileSync(path.join(dir, "receipt.txt"), "{}");
  expect(await json(dir, "receipt", "verify", path.join(dir, "receipt.txt"))).toMatchObject({ code: 1, lines: [{ event: "fault" }] });
  expect(await json(dir, "reset")).toMatchObject({ code: 3, lines: [{ event: "needs-confirmation" }] });
  expect(await json(dir, "reset", "--yes")).toMatchObject({ code: 0, lines: [{ event: "reset" }] });
});

test("[CLI2] a wrong word and a wrong value end with 2, before anything is looked at", async () => {
  const dir = path.join(state.files.dir, "none");
  for (const argv of [["statsu"], ["status", "now"], ["policy", "--max-days", "91"], ["status", "--proxy", "x"]])
    expect([argv, await json(dir, ...argv)]).toMatchObject([argv, { code: 2, lines: [{ event: "usage" }] }]);
  expect(existsSync(dir)).toBe(false);
});

test("[CLI2] no command at all is answered with the overview", async () => {
  const { code, text } = await plain(state.files.dir);
  expect([code, text]).toEqual([2, expect.stringContaining("Usage: gatehouse <command>")]);
});

test("[CLI4] help, version and completion are one object each", async () => {
  for (const argv of [["help"], ["help", "cut"], ["-V"], ["completion", "bash"]]) {
    const { code, lines: printed } = await json(state.files.dir, ...argv);
    expect([argv, code, printed.length]).toEqual([argv, 0, 1]);
  }
});

test("[CLI7] status --check: 0 only while connected and served, 5 unsafe", async () => {
  const dir = state.files.dir;
  expect((await plain(dir, "status", "--check")).code).toBe(1);
  let openclaw = "online";
  let link = "up";
  const local = listenLocally(dir, {
    status: () => ({
      gateway: TEST_GATEWAY, name: "Home", origin: TEST_ORIGIN, link, linkProblem: null, machine: [], openclaw: { state: openclaw, version: "2026.9.6" },
      streams: 0, head: state.log.state.head, alarm: null, alarmAtMs: null, auditHead: null, version: "0.1.0",
    }), // prettier-ignore
    view: () => Promise.resolve({}),
    hops: () => Promise.resolve({}),
    rotateSecret: () => Promise.reject(new Error("nobody asks for this")),
    answerSettings: () => Promise.reject(new Error("nobody asks for this")),
    cut: () => Promise.resolve({}),
    blocked: () => Promise.reject(new Error("nobody asks for this")),
    host: () => Promise.resolve({ ok: false, problem: "" }),
  });
  await local.ready;
  expect((await json(dir, "status", "--check")).code).toBe(0);
  link = "down";
  expect([(await json(dir, "status", "--check")).code, (await json(dir, "status")).code]).toEqual([1, 0]);
  [link, openclaw] = ["up", "offline"];
  expect((await plain(dir, "status", "--check")).code).toBe(1);
  for (openclaw of ["unsafe", "needs-settings"]) expect([openclaw, (await plain(dir, "status", "--check")).code]).toEqual([openclaw, 5]);
  await local.close();
});

test("[CLI9] before an enrolment every command that needs one says so and makes nothing", async () => {
  const dir = path.join(mkdtempSync(path.join(os.tmpdir(), "gatehouse-cli-")), "state");
  const needing = Object.entries(COMMANDS).filter(([, command]) => "isForEnrolled" in command);
  expect(needing.map(([name]) => name)).toEqual([
    "devices", "unblock", "cut", "owners", "policy", "rotate-key", "rotate-secret", "restore", "reset",
  ]); // prettier-ignore
  for (const [name] of needing) {
    const { code, lines: printed } = await json(
      dir,
      name,
      ...({ unblock: ["k5tq"], cut: ["--all"], reset: ["--yes"], restore: ["x"] }[name] ?? []),
    );
    expect([name, code, printed[0]?.event, printed[0]?.error]).toEqual([name, 1, "not-enrolled", expect.stringMatching(/^This machine is not enrolled yet\. Start with: .* up$/)]); // prettier-ignore
  }
  for (const action of [[], ["show"], ["resume"]])
    expect((await json(dir, "access-list", ...action)).lines).toMatchObject([{ event: "not-enrolled" }]);
  expect(existsSync(dir)).toBe(false);
});

test("[CLI8] a hint names the command as this process was started", async () => {
  const { text } = await plain(state.files.dir, "status");
  expect(text).toBe(`The connector is not running. Start it with: ${process.execPath} gatehouse.mjs --state ${state.files.dir} run`);
  expect((await plain(state.files.dir, "help", "run")).text).toContain("Usage: gatehouse run");
});

test("[CLI4] nothing printed with --json is anything else than a line of JSON", async () => {
  writeFileSync(path.join(state.files.dir, "gateway.json"), "{");
  expect(await json(state.files.dir, "status")).toMatchObject({ code: 1, lines: [{ event: "state" }] });
  expect(readFileSync(path.join(state.files.dir, "gateway.json"), "utf8")).toBe("{");
});

test("[KL14] [CLI4] restore: a backup takes over what it lacks after a yes; the device of then is admitted, and a second time there is nothing new", async () => {
  await state.allow({ name: "Laptop" });
  const backup = mkdtempSync(path.join(os.tmpdir(), "gatehouse-backup-"));
  cpSync(state.files.dir, backup, { recursive: true });
  const later = await state.allow({ name: "Phone" });
  const file = path.join(backup, "export.jsonl");
  cpSync(path.join(state.files.dir, "key-log.jsonl"), file);
  const before = readFileSync(path.join(backup, "key-log.jsonl"), "utf8");
  const asked = await json(backup, "restore", file);
  expect(asked).toMatchObject({ code: 3, lines: [{ event: "restore", added: [{ type: "grant" }] }, { event: "needs-confirmation" }] });
  expect(readFileSync(path.join(backup, "key-log.jsonl"), "utf8")).toBe(before);
  expect((await plain(backup, "restore", file)).text).toContain("approved Phone, full access until ");
  const done = await json(backup, "restore", file, "--yes");
  expect(done).toMatchObject({ code: 0, lines: [{ event: "restore" }, { event: "restored", entries: 1, head: state.log.state.head }] });
  expect((await json(backup, "devices")).lines).toMatchObject([
    { devices: [{ name: "Laptop" }, { device: later.device, state: "allowed" }] },
  ]);
  expect(await json(backup, "restore", file, "--yes")).toMatchObject({ code: 1, lines: [{ event: "restore", problem: "nothing-new" }] });
  expect(await json(backup, "restore", path.join(backup, "none"))).toMatchObject({ code: 1, lines: [{ event: "not-found" }] });
});

test("[KL14] restore after a key rotation since the backup is final, and names the way that is left", async () => {
  const backup = mkdtempSync(path.join(os.tmpdir(), "gatehouse-backup-"));
  cpSync(state.files.dir, backup, { recursive: true });
  expect((await json(state.files.dir, "rotate-key")).code).toBe(0);
  const { code, text } = await plain(backup, "restore", path.join(state.files.dir, "key-log.jsonl"), "--yes");
  expect([code, text]).toEqual([4, expect.stringContaining("Connect the machine anew from the gateway's page")]);
});
