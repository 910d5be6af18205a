/** One connector per state folder: races for it, holders that die, and standbys that hear of it. */
import { mkdtempSync, readdirSync, readlinkSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { root, start } from "../../../scripts/children.ts";
import type { Child } from "../../../scripts/children.ts";
import { MAX_STATE_PATH_BYTES, takeState } from "../../../src/connector/state/state-lock.ts";
import type { StateLock } from "../../../src/connector/state/state-lock.ts";

const children: Child[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
});

function folder(): string {
  return mkdtempSync(path.join(os.tmpdir(), "gatehouse-lock-"));
}

async function mine(dir: string): Promise<StateLock> {
  const lock = await takeState(dir);
  if (!lock.isMine) throw new Error("somebody else has it");
  return lock;
}

/** A process that says `mine` or `theirs`, and stays. */
function contender(dir: string, onLine: (line: string) => void): Child {
  const module = path.join(root, "src/connector/state/state-lock.ts");
  const script = `const { takeState } = await import(${JSON.stringify(module)});
    for (;;) { const lock = await takeState(${JSON.stringify(dir)}); console.log(lock.isMine ? "mine" : "theirs"); if (lock.isMine) break; await lock.gone(); }
    setInterval(() => undefined, 1000);`;
  const child = start({ args: ["--input-type=module", "-e", script], onLine });
  children.push(child);
  return child;
}

test("[LINK11] the second is told that the first has it, and gets it when that one gives it up", async () => {
  const dir = folder();
  const first = await mine(dir);
  const second = await takeState(dir);
  expect(second.isMine).toBe(false);
  await first.release(null);
  expect(second.isMine ? null : await second.gone()).toBe(null);
  await (await mine(dir)).release(null);
});

test("[LINK11] a copied folder whose lock names a socket elsewhere is nobody's, however long that name", async () => {
  const original = folder();
  const first = await mine(original);
  const [lock] = readdirSync(original).filter((entry) => entry.startsWith("lock."));
  const socket = readlinkSync(path.join(original, lock ?? ""));
  for (const elsewhere of [original, `/${"y".repeat(200)}`]) {
    const copy = folder();
    symlinkSync(path.join(elsewhere, socket), path.join(copy, "lock.1"));
    await (await mine(copy)).release(null);
  }
  await first.release(null);
});

test("a folder whose path is as long as allowed can be had; one byte more is refused in words before anything is made", async () => {
  const base = folder();
  const longest = path.join(base, "z".repeat(MAX_STATE_PATH_BYTES - Buffer.byteLength(base) - 1));
  await (await mine(longest)).release(null);
  let said = "";
  const child = start({
    args: [path.join(root, "src/connector/main.ts"), "status", "--json", "--state", `${longest}z`],
    onLine: (line) => {
      said += line;
    },
  });
  children.push(child);
  expect(await child.ended()).toBe(2);
  expect(JSON.parse(said)).toMatchObject({ event: "usage", error: expect.stringContaining("Name a shorter one with --state") });
  expect(readdirSync(base)).toEqual([path.basename(longest)]);
});

test("[LINK11] a holder that was refused for good says so to its standby", async () => {
  const dir = folder();
  const first = await mine(dir);
  const second = await takeState(dir);
  await first.release(4);
  expect(second.isMine ? null : await second.gone()).toBe(4);
});

test("[LINK11] of many that want a folder at once exactly one has it, round after round, and nothing piles up", async () => {
  const dir = folder();
  for (let round = 0; round < 15; round += 1) {
    const locks = await Promise.all(Array.from({ length: 12 }, () => takeState(dir)));
    const holders = locks.filter((lock) => lock.isMine);
    expect(holders).toHaveLength(1);
    await holders[0]?.release(null);
  }
  expect(readdirSync(dir).filter((name) => name.startsWith("lock."))).toHaveLength(1);
});

test("[LINK11] [case 1] a holder that is killed is followed by exactly one of its standbys, at once, each time", async () => {
  const dir = folder();
  const holders: number[] = [];
  let onHolder: () => void = () => undefined;
  const contenders = Array.from({ length: 5 }, (_, i) =>
    contender(dir, (line) => {
      if (line !== "mine") return;
      holders.push(i);
      onHolder();
    }),
  );
  for (let deaths = 1; deaths <= contenders.length; deaths += 1) {
    while (holders.length < deaths)
      await new Promise<void>((resolve) => {
        onHolder = resolve;
      });
    expect(holders).toHaveLength(deaths);
    contenders[holders.at(-1) ?? 0]?.process.kill("SIGKILL");
  }
  expect(new Set(holders).size).toBe(contenders.length);
});

test("[LINK11] a holder that stands still has the folder still", async () => {
  const dir = folder();
  const holder = contender(dir, () => undefined);
  await holder.line((line) => line === "mine", "the holder");
  holder.process.kill("SIGSTOP");
  expect((await takeState(dir)).isMine).toBe(false);
  holder.process.kill("SIGCONT");
});
