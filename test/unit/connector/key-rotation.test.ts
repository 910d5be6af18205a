/** A connector's key is replaced: whatever moment the machine dies at, one key is left that the log names and this machine holds. */
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { loadIdentity } from "../../../src/connector/trust/identity.ts";
import { KeyLog, LogWriteError, keyLogPath, splitLog } from "../../../src/connector/trust/key-log-file.ts";
import { DamagedStateError, StateFiles } from "../../../src/connector/state/state-files.ts";
import { isFault, verifyLog } from "../../../src/core/trust/key-log.ts";
import { verifyTagged } from "../../../src/core/trust/public-key.ts";
import { utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ConnectorState } from "../../support/connector-state.ts";

function copyOf(dir: string): string {
  const copy = mkdtempSync(path.join(os.tmpdir(), "gatehouse-crash-"));
  cpSync(dir, copy, { recursive: true });
  return copy;
}

/** What would be on disk if the machine died right after each of a rotation's steps. */
class DyingFiles extends StateFiles {
  readonly left: { readonly step: string; readonly dir: string }[] = [];

  note(step: string): void {
    this.left.push({ step, dir: copyOf(this.dir) });
  }

  override write(...args: Parameters<StateFiles["write"]>): void {
    super.write(...args);
    this.note(`${args[0]} written`);
  }

  override remove(...args: Parameters<StateFiles["remove"]>): void {
    super.remove(...args);
    this.note(`${args[0]} removed`);
  }
}

/** Starts again on what is left. @returns the key in use, after it has proven itself in the log and by a signature */
async function startAgain(dir: string): Promise<string> {
  const files = new StateFiles(dir);
  const identity = loadIdentity(files);
  const log = await KeyLog.open(files, identity);
  expect(log.state.key.x).toBe(identity.publicKey.x);
  expect(await verifyTagged(log.state.key, "link", utf8("proof"), identity.signTagged("link", utf8("proof")))).toBe(true);
  expect(await log.append({ type: "revoke-all", by: "host" }, Date.now())).toBe(null);
  expect(isFault(await verifyLog(splitLog(readFileSync(keyLogPath(files), "utf8")).lines))).toBe(false);
  expect(files.read("nextIdentity")).toBe(null);
  return identity.publicKey.x;
}

test("[KL8] a rotation that dies after any of its steps starts again with the one key that the log names", async () => {
  const { files } = await ConnectorState.create();
  const dying = new DyingFiles(files.dir);
  const identity = loadIdentity(dying);
  const log = await KeyLog.open(dying, identity);
  const old = identity.publicKey.x;
  const before = copyOf(files.dir);
  log.onAppend = () => dying.note("told");
  expect(await log.rotate(Date.now())).toBe(null);
  const fresh = identity.publicKey.x;
  expect(fresh).not.toBe(old);
  expect(dying.left.map(({ step }) => step)).toEqual([
    "nextIdentity written",
    "head written",
    "identity written",
    "nextIdentity removed",
    "told",
  ]);
  expect(await startAgain(before)).toBe(old);
  const keys = [];
  for (const { dir } of dying.left) keys.push(await startAgain(dir));
  expect(keys).toEqual([old, fresh, fresh, fresh, fresh]);
});

test("[KL8] [case 3] an entry that was torn off while it was written is no rotation; a whole one without its note is", async () => {
  const { files, log } = await ConnectorState.create();
  const old = log.state.key.x;
  const prepared = copyOf(files.dir);
  const dying = new DyingFiles(files.dir);
  const identity = loadIdentity(dying);
  const rotating = await KeyLog.open(dying, identity);
  await rotating.rotate(Date.now());
  const line = rotating.linesFrom(rotating.state.head.seq)[0] ?? "";
  for (const [written, expected] of [
    [line.slice(0, -20), old],
    [`${line}\n`, identity.publicKey.x],
  ] as const) {
    const crashed = copyOf(dying.left[0]?.dir ?? "");
    appendFileSync(path.join(crashed, "key-log.jsonl"), written);
    expect(await startAgain(crashed)).toBe(expected);
  }
  // The other half of the pair lost: this machine cannot speak for the gateway.
  appendFileSync(path.join(prepared, "key-log.jsonl"), `${line}\n`);
  const lost = new StateFiles(prepared);
  await expect(KeyLog.open(lost, loadIdentity(lost))).rejects.toThrow(DamagedStateError);
});

test("[KL8] [case 47] a disk that refuses the entry leaves the old key in use, and the next try works", async () => {
  const { files, identity, log } = await ConnectorState.create();
  const old = identity.publicKey.x;
  const file = keyLogPath(files);
  const text = readFileSync(file, "utf8");
  rmSync(file);
  mkdirSync(file);
  await expect(log.rotate(Date.now())).rejects.toThrow(LogWriteError);
  expect([identity.publicKey.x, files.read("nextIdentity")]).toEqual([old, null]);
  rmSync(file, { recursive: true });
  writeFileSync(file, text);
  expect(await log.rotate(Date.now())).toBe(null);
  expect(log.rotations()).toHaveLength(1);
  expect(await startAgain(files.dir)).not.toBe(old);
});

test("[KL8] a disk that refuses the last step keeps both keys: this process goes on with the new one, a rotation after it never loses it", async () => {
  const { files } = await ConnectorState.create();
  class StubbornFiles extends StateFiles {
    isStubborn = true;
    override write(...args: Parameters<StateFiles["write"]>): void {
      if (this.isStubborn && args[0] === "identity") throw new Error("no space");
      super.write(...args);
    }
  }
  const stubborn = new StubbornFiles(files.dir);
  const identity = loadIdentity(stubborn);
  const log = await KeyLog.open(stubborn, identity);
  expect(await log.rotate(Date.now())).toBe(null);
  const fresh = identity.publicKey.x;
  expect(log.state.key.x).toBe(fresh);
  expect(await startAgain(copyOf(files.dir))).toBe(fresh);
  await expect(log.rotate(Date.now())).rejects.toThrow(LogWriteError);
  expect(await startAgain(copyOf(files.dir))).toBe(fresh);
  stubborn.isStubborn = false;
  expect(await log.rotate(Date.now())).toBe(null);
  expect(await startAgain(copyOf(files.dir))).toBe(identity.publicKey.x);
});

test("[KL8] a missing key file is no fresh start: a log that names another key admits nobody", async () => {
  const { files } = await ConnectorState.create();
  files.remove("identity");
  await expect(KeyLog.open(files, loadIdentity(files))).rejects.toThrow(DamagedStateError);
});
