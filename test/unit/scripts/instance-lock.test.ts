/** One `npm start` per state folder, shown with real processes. */
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { root, start } from "../../../scripts/children.ts";
import type { Child } from "../../../scripts/children.ts";
import { InstanceRunningError, takeInstance } from "../../../scripts/instance-lock.ts";
import { isTaken } from "../../../scripts/running-instance.mjs";

const children: Child[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
});

function folder(): string {
  return mkdtempSync(path.join(os.tmpdir(), "gatehouse-instance-"));
}

/** A process that has the folder, or says why not. */
function instance(state: string): Child {
  const module = path.join(root, "scripts/instance-lock.ts");
  const script = `const { takeInstance } = await import(${JSON.stringify(module)});
    try { await takeInstance(${JSON.stringify(state)}, "http://localhost:1"); console.log("mine"); setInterval(() => undefined, 1000); }
    catch (error) { console.log(error.message); process.exitCode = 1; }`;
  const child = start({ args: ["--input-type=module", "-e", script] });
  children.push(child);
  return child;
}

function everything(state: string): string[] {
  return readdirSync(state, { recursive: true, withFileTypes: true }).map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    return entry.isFile() ? `${file} ${readFileSync(file, "utf8")}` : file;
  });
}

test("a second process is told process and address of the first, ends with 1 and changes nothing", async () => {
  const state = folder();
  const first = instance(state);
  await first.line((line) => line === "mine", "the first");
  const before = everything(state);
  expect(await isTaken(state)).toBe(true);
  const second = instance(state);
  expect(await second.ended()).toBe(1);
  expect(second.tail()).toContain(`process ${String(first.process.pid)}, http://localhost:1`);
  expect(everything(state)).toEqual(before);
});

test("npm start itself is refused before it installs", async () => {
  const state = folder();
  const first = instance(state);
  await first.line((line) => line === "mine", "the first");
  const before = everything(state);
  // A clone without packages, and no npm on the path.
  const clone = folder();
  for (const name of readdirSync(path.join(root, "scripts")).filter((each) => each.endsWith(".mjs")))
    cpSync(path.join(root, "scripts", name), path.join(clone, "scripts", name));
  const env = { PATH: "/nowhere", GATEHOUSE_STATE: state };
  const second = start({ args: [path.join(clone, "scripts/bootstrap.mjs"), "start"], env });
  children.push(second);
  expect(await second.ended()).toBe(1);
  expect(second.tail()).toContain(`process ${String(first.process.pid)}, http://localhost:1`);
  expect(second.tail()).not.toContain("npm ci");
  expect(everything(state)).toEqual(before);
});

test("what a killed process left behind is taken over", async () => {
  const state = folder();
  const first = instance(state);
  await first.line((line) => line === "mine", "the first");
  first.process.kill("SIGKILL");
  await once(first.process, "exit");
  expect(await isTaken(state)).toBe(false);
  const second = instance(state);
  await second.line((line) => line === "mine", "the second");
  await expect(takeInstance(state, "")).rejects.toThrow(`process ${String(second.process.pid)}`);
});

test("of several at once exactly one has the folder", async () => {
  const state = folder();
  const all = Array.from({ length: 4 }, () => instance(state));
  await Promise.all(all.map((each) => each.line(() => true, "an answer")));
  expect(all.filter((each) => each.tail() === "mine")).toHaveLength(1);
});

test("a folder whose holder has not said yet who it is is taken all the same", async () => {
  const state = folder();
  const first = instance(state);
  await first.line((line) => line === "mine", "the first");
  writeFileSync(path.join(state, "instance.json"), "{");
  await expect(takeInstance(state, "")).rejects.toThrow(InstanceRunningError);
});
