/** `npm start` as a person runs it: ready with a claim link, alone on its state folder, and gone as a whole when its process is killed. */
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { root, start } from "../../scripts/children.ts";
import type { Child } from "../../scripts/children.ts";
import { freePort, isListening } from "../../scripts/control-plane.ts";
import { scratch } from "../support/stack.ts";

const children: Child[] = [];

afterAll(async () => {
  await Promise.all(children.map((child) => child.stop()));
});

test("a second one is refused, and after a kill the next one takes the folder over", async () => {
  const dir = await scratch();
  const home = path.join(dir, "home");
  mkdirSync(home);
  const npmStart = (port: number): Child => {
    const env = { ...process.env, HOME: home, GATEHOUSE_STATE: path.join(dir, "state"), PORT: String(port), OPENCLAW_URL: "" };
    // The port of an OpenClaw that nobody has: the demo gateway stands in.
    const child = start({ args: [path.join(root, "scripts/start.ts")], env: { ...env, OPENCLAW_GATEWAY_PORT: "1" } });
    children.push(child);
    return child;
  };
  const port = await freePort();
  const first = npmStart(port);
  await first.line((line) => line === `Gatehouse ready: http://localhost:${port}`, "the first");
  await first.line((line) => line.startsWith("Claim this gateway: "), "the claim link");

  const second = npmStart(await freePort());
  expect(await second.ended()).toBe(1);
  expect(second.tail()).toContain(`process ${String(first.process.pid)}, http://localhost:${port}`);
  const served = await fetch(`http://localhost:${port}/`);
  expect(await served.text()).toContain("<html");

  first.process.kill("SIGKILL");
  await once(first.process, "exit");
  // What it had started must not go on with the same databases.
  await expect.poll(() => isListening("127.0.0.1", port)).toBe(false);
  const third = npmStart(port);
  await third.line((line) => line.startsWith("Gatehouse ready: "), "the third");
  await third.line((line) => line.startsWith("Claim this gateway: "), "the third claim link");
  await third.stop();
  expect(await isListening("127.0.0.1", port)).toBe(false);
});
