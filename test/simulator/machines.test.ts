/** A copied machine that starts late: which alarms it has a reason for, and that it raises them. */
import { expect, test } from "vitest";
import { loadSimulator } from "./build.ts";
import { Disk } from "./disk.ts";
import { dueAlarm, knows } from "./machines.ts";
import type { Machine } from "./machines.ts";
import type { Plan } from "./plan.ts";
import { keyLogPath } from "./state-names.ts";

/** A disk with these entries in its key log. */
function diskWith(...lines: readonly string[]): Disk {
  const disk = new Disk();
  const handle = disk.open(keyLogPath, "w");
  disk.write(handle, Buffer.from(lines.map((line) => `${line}\n`).join("")));
  disk.close(handle);
  return disk;
}

const machine = (lines: readonly string[], copyOf: Machine | null = null, copied = 0): Machine => ({
  disk: diskWith(...lines),
  copyOf,
  copied,
  copiedAtMs: 10 * copied,
});

test("[KL6] an alarm has a reason where another machine wrote on after the copy was made, and it is that alarm", () => {
  const first = machine(["a", "b", "c"]);
  const copy = machine(["a", "b"], first, 2);
  const other = machine(["a", "b", "d"], first, 2);
  const all = [first, copy, other];
  expect(dueAlarm(copy, { seq: 2, line: "c" }, all)).toBe("log-rolled-back");
  expect(dueAlarm(other, { seq: 2, line: "c" }, all)).toBe("fork");
  expect(dueAlarm(first, { seq: 2, line: "d" }, all)).toBe("fork");
});

test("[KL6] no alarm has a reason where the machine has what the room knows, or the room lacks entries", () => {
  const first = machine(["a", "b", "c"]);
  const copy = machine(["a", "b"], first, 2);
  expect(dueAlarm(first, { seq: 2, line: "c" }, [first, copy])).toBe(null);
  expect(dueAlarm(first, { seq: 1, line: "b" }, [first, copy])).toBe(null);
  expect(dueAlarm(copy, { seq: 1, line: "b" }, [first, copy])).toBe(null);
  expect(dueAlarm(copy, undefined, [first, copy])).toBe(null);
  // Both wrote it, and a signature is the same each time.
  expect(dueAlarm(machine(["a", "b", "c"], first, 2), { seq: 2, line: "c" }, [first])).toBe(null);
});

test("[KL6] what a machine lost itself, or nobody wrote, is no reason, whoever has a copy of it", () => {
  const first = machine(["a"]);
  const copy = machine(["a", "b"], first, 2);
  const copyOfCopy = machine(["a"], copy, 2);
  const all = [first, copy, copyOfCopy];
  expect(dueAlarm(first, { seq: 1, line: "b" }, all)).toBe(null);
  expect(dueAlarm(copyOfCopy, { seq: 1, line: "b" }, all)).toBe(null);
  expect(dueAlarm(copy, { seq: 2, line: "x" }, all)).toBe(null);
});

test("a machine knows what it wrote, and what was on the machine that it was made of by then", () => {
  const first = machine(["a"]);
  const copy = machine(["a"], first, 1);
  expect(knows(copy, first.disk, 9)).toBe(true);
  expect(knows(copy, first.disk, 10)).toBe(false);
  expect(knows(copy, copy.disk, 50)).toBe(true);
  expect(knows(first, copy.disk, 50)).toBe(false);
});

/** A copy is killed before it links, the machine that it was made of writes a cut, and the copy starts again. */
const LATE_COPY: Plan = {
  devices: 2,
  hasStranger: false,
  steps: [
    { do: "connector-moves", atMs: 12_000 },
    { do: "connector-killed", atMs: 12_005 },
    { do: "cut", atMs: 12_100, device: 0 },
  ],
};
const SEEDS = 60;

test("[KL6] a copy that starts after the other machine wrote an entry raises the alarm; what it does otherwise is judged as ever", async () => {
  const simulator = await loadSimulator();
  let alarmed = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation, lines } = await simulator.run({ seed, plan: LATE_COPY, isVerbose: true });
    expect(violation, `seed ${seed}`).toBe(null);
    if (lines?.some((line) => line.endsWith("alarm log-rolled-back")) === true) alarmed += 1;
  }
  expect(alarmed).toBeGreaterThan(0);
});
