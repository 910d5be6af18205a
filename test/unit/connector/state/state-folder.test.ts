/** Nothing foreign is ever changed: what a state folder is, who may write in it, and what is deleted. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runCommandLine } from "../../../../src/connector/cli/run.ts";
import { Dialler } from "../../../../src/connector/network/dialler.ts";
import { thisMachine } from "../../../../src/connector/service/machine.ts";
import { StateFolderError, isOurName, ownerOfFolder, prepareFolder } from "../../../../src/connector/state/state-folder.ts";
import { STATE_FILE_NAMES, StateFiles } from "../../../../src/connector/state/state-files.ts";
import { takeState } from "../../../../src/connector/state/state-lock.ts";
import { Terminal } from "../../../../src/connector/cli/terminal.ts";
import { uninstall } from "../../../../src/connector/cli/uninstall.ts";
import { ConnectorState } from "../../../support/connector-state.ts";

let printed: string[];

beforeEach(() => {
  printed = [];
  vi.spyOn(console, "log").mockImplementation((text) => printed.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => printed.push(String(text)));
});

afterEach(() => {
  vi.restoreAllMocks();
});

function folder(...files: readonly string[]): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-folder-"));
  for (const file of files) writeFileSync(path.join(dir, file), "theirs");
  return dir;
}

const mode = (file: string): number => statSync(file).mode & 0o7777;

function run(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return runCommandLine([...argv], { env, script: "gatehouse.mjs", folder: os.tmpdir() });
}

/** On a machine without a service: the real one may have one. */
function uninstallFrom(dir: string): Promise<number> {
  const terminal = new Terminal({ json: true });
  const options = {
    terminal,
    files: new StateFiles(dir),
    dialler: new Dialler(),
    app: undefined,
    checkWords: undefined,
    yes: true,
    standby: false,
  };
  const root = folder();
  return uninstall(options, { ...thisMachine({}), root, home: "/home/ada", hasSystemd: false });
}

/** Names, modes and contents. */
function picture(dir: string): unknown {
  return [mode(dir), readdirSync(dir).toSorted().map((name) => [name, mode(path.join(dir, name)), readFileSync(path.join(dir, name), "utf8")])]; // prettier-ignore
}

test("[SF1] an empty variable is unset, not the folder of the shell", async () => {
  vi.spyOn(os, "homedir").mockReturnValue(folder());
  const here = process.cwd();
  const before = mode(here);
  expect(await run(["up", "--check-words", "a"], { GATEHOUSE_STATE: "", GATEHOUSE_APP_ORIGIN: "", GATEHOUSE_METRICS: "" })).toBe(1);
  expect(await run(["install", "--user", "--print", "--json"], { GATEHOUSE_STATE: "" })).toBe(0);
  expect(printed.at(-1)).toContain(`${os.homedir()}/.gatehouse`);
  expect(mode(here)).toBe(before);
});

test("[SF2] reading commands change nothing in a shared or foreign folder", async () => {
  const lines = [
    ["status"],
    ["status", "--check"],
    ["devices"],
    ["owners"],
    ["policy"],
    ["access-list"],
    ["history"],
    ["install", "--print"],
    ["help"],
  ];
  for (const dir of [folder("notes.txt", "settings.json"), folder()]) {
    chmodSync(dir, 0o1777);
    const before = picture(dir);
    for (const line of lines) await run([...line, "--state", dir]);
    expect(picture(dir)).toEqual(before);
  }
  const missing = path.join(folder(), "none");
  for (const line of lines) await run([...line, "--state", missing]);
  expect(existsSync(missing)).toBe(false);
});

test("[SF3] a folder with files of somebody else is refused for writing, unchanged", async () => {
  const dir = folder("notes.txt", "settings.json");
  chmodSync(dir, 0o1777);
  const before = picture(dir);
  expect(await run(["up", "--state", dir, "--app", "http://127.0.0.1:1"])).toBe(1);
  expect(printed.at(-1)).toBe(`${dir} holds files that are not Gatehouse's. Nothing was changed. Name another one with --state <folder> or GATEHOUSE_STATE.`); // prettier-ignore
  await expect(takeState(dir)).rejects.toThrow(StateFolderError);
  await expect(uninstallFrom(dir)).rejects.toThrow(`${dir} is no state folder of Gatehouse. Nothing was changed.`);
  expect(picture(dir)).toEqual(before);
});

test.each([
  [[], "empty"],
  [["lost+found"], "empty"],
  [["gateway.json", "sessions.json"], "ours"],
  [["settings.json", "key-log.jsonl.1700000000000.old"], "ours"],
  [["identity.json", "notes.txt"], "shared"],
  [["lock.3", "notes.txt"], "shared"],
  [["settings.json", "notes.txt"], "foreign"],
  [["settings.json.bak"], "foreign"],
] as const)("[SF3] a folder of %j is %s", (files, owner) => {
  expect(ownerOfFolder(folder(...files))).toBe(owner);
});

test("[SF4] loose modes of our own are closed before the first write", () => {
  const dir = folder("identity.json", "key-log.jsonl");
  chmodSync(dir, 0o755);
  chmodSync(path.join(dir, "identity.json"), 0o644);
  expect(prepareFolder(dir)).toEqual([]);
  expect([mode(dir), mode(path.join(dir, "identity.json")), mode(path.join(dir, "key-log.jsonl"))]).toEqual([0o700, 0o600, 0o600]);
});

test("[SF4] a folder that we share is named, not changed", () => {
  const dir = folder("identity.json", "notes.txt");
  chmodSync(dir, 0o755);
  chmodSync(path.join(dir, "notes.txt"), 0o644);
  expect(prepareFolder(dir)).toEqual([dir]);
  expect([mode(dir), mode(path.join(dir, "notes.txt")), mode(path.join(dir, "identity.json"))]).toEqual([0o755, 0o644, 0o600]);
});

test("[SF4] what belongs to another user is named, not changed", () => {
  const dir = folder("identity.json");
  chmodSync(path.join(dir, "identity.json"), 0o644);
  chmodSync(dir, 0o755);
  vi.spyOn(process as { getuid: () => number }, "getuid").mockReturnValue(4_000_000);
  expect(prepareFolder(dir)).toEqual([dir, path.join(dir, "identity.json")]);
  expect([mode(dir), mode(path.join(dir, "identity.json"))]).toEqual([0o755, 0o644]);
});

test("[SF5] uninstall deletes files of our names only, and no folder beside them", async () => {
  const { files } = await ConnectorState.create();
  for (const name of ["settings.json.bak", "gateway.json~", "lock-notes"]) writeFileSync(path.join(files.dir, name), "theirs");
  mkdirSync(path.join(files.dir, "gateway-2"));
  expect(await uninstallFrom(files.dir)).toBe(0);
  expect(readdirSync(files.dir).toSorted()).toEqual(["gateway-2", "gateway.json~", "lock-notes", "settings.json.bak"]);
  expect(STATE_FILE_NAMES.every((name) => isOurName(`${name}.json`))).toBe(true);
});

test("[SF9] a user without a home, and a home that cannot be written, are asked for --state", async () => {
  vi.spyOn(os, "homedir").mockImplementation(() => {
    throw new Error("uv_os_homedir returned ENOENT");
  });
  expect(await run(["status"])).toBe(1);
  expect(printed.at(-1)).toBe("This user has no home folder. Name a state folder with --state <folder> or GATEHOUSE_STATE.");
  expect(await run(["completion", "bash"])).toBe(0);
  const blocked = path.join(folder("file"), "file", "state");
  expect(() => prepareFolder(blocked)).toThrow(/^The state folder .* cannot be (?:made|read) \(ENOTDIR\)\. Name another one with --state/);
  const dangling = path.join(folder(), "link");
  symlinkSync(path.join(dangling, "..", "none", "state"), dangling);
  expect(() => prepareFolder(dangling)).toThrow(/^The state folder .* cannot be made \([A-Z]+\)\. Name another one with --state/);
});
