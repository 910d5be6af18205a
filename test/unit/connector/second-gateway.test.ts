/** A second code on a machine, an enrolment that somebody else begins, and codes that no list of processes shows. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { root, start } from "../../../scripts/children.ts";
import type { Child } from "../../../scripts/children.ts";
import { othersIn } from "../../../src/connector/cli/second-gateway.ts";
import { runCommandLine } from "../../../src/connector/cli/run.ts";
import { StateFiles } from "../../../src/connector/state/state-files.ts";
import { takeState } from "../../../src/connector/state/state-lock.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { ConnectorState } from "../../support/connector-state.ts";

const children: Child[] = [];
let redeemed: Arrivals<string>;
/** Called while a connector waits for the answer to its code. */
let onCode: () => void;
let server: http.Server;
let app: string;
let printed: string[];
let state: ConnectorState;

beforeEach(async () => {
  printed = [];
  vi.spyOn(console, "log").mockImplementation((text) => printed.push(String(text)));
  vi.spyOn(console, "error").mockImplementation((text) => printed.push(String(text)));
  state = await ConnectorState.create();
  redeemed = new Arrivals<string>();
  onCode = () => undefined;
  // A control plane that knows no code: it says which one it was given.
  server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("utf8");
    });
    request.on("end", () => {
      onCode();
      redeemed.put(String((JSON.parse(body) as { code?: string }).code));
      response.writeHead(410, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { code: "code-invalid", message: "The code is used up." } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  app = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(children.splice(0).map((child) => child.stop()));
  server.closeAllConnections();
  server.close();
});

function run(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return runCommandLine([...argv, "--app", app], { env, script: "gatehouse.mjs", folder: os.tmpdir() });
}

function fresh(): string {
  return path.join(mkdtempSync(path.join(os.tmpdir(), "gatehouse-second-")), "state");
}

/** Everything but the lock, which every start takes. */
function contents(dir: string): unknown {
  const names = readdirSync(dir).filter((name) => !name.startsWith("lock"));
  return names.toSorted().map((name) => [name, readFileSync(path.join(dir, name), "utf8")]);
}

test("[SF6] a second code without a terminal waits for --add or --replace, and changes nothing", async () => {
  await state.allow();
  vi.useFakeTimers({ now: state.nowMs, toFake: ["Date"] });
  const before = contents(state.files.dir);
  expect(await run(["up", "gthc_b", "--state", state.files.dir])).toBe(3);
  vi.useRealTimers();
  expect(printed.at(-1)).toBe("This machine already serves Home. Run it again with --add to serve both, or with --replace: then its device must be approved again."); // prettier-ignore
  expect(await run(["up", "gthc_b", "--add", "--replace", "--state", state.files.dir])).toBe(2);
  expect([contents(state.files.dir), redeemed.count]).toEqual([before, 0]);
});

test("[SF6] --add gives the new gateway a folder of its own, also while the first one runs", async () => {
  const before = contents(state.files.dir);
  const first = await takeState(state.files.dir);
  expect(await run(["up", "gthc_b", "--add", "--state", state.files.dir])).toBe(1);
  expect(await redeemed.next()).toBe("gthc_b");
  const beside = path.join(state.files.dir, "gateway-2");
  expect(new StateFiles(beside).read("identity")?.publicKey.x).not.toBe(state.identity.publicKey.x);
  expect((contents(state.files.dir.concat("/gateway-2")) as unknown[]).length).toBe(1);
  expect(new StateFiles(state.files.dir).read("identity")?.publicKey.x).toBe(state.identity.publicKey.x);
  expect(readdirSync(state.files.dir).filter((name) => name !== "gateway-2" && !name.startsWith("lock")).length).toBe((before as unknown[]).length); // prettier-ignore
  if (first.isMine) await first.release(null);
});

test("[SF6] a code that waits already goes on in its own folder, and hints name it", async () => {
  const beside = new StateFiles(path.join(state.files.dir, "gateway-2"));
  const pending = {
    enrolment: "e",
    ticket: "t",
    connectorNonce: "n",
    code: "gthc_b",
    appOrigin: app,
    machineName: "m",
    approveOrigin: app,
  };
  beside.write("enrolment", pending);
  expect(await run(["up", "gthc_b", "--add", "--state", state.files.dir])).toBe(1);
  expect(existsSync(path.join(state.files.dir, "gateway-3"))).toBe(false);
  expect(await run(["up", "gthc_c", "--add", "--state", state.files.dir])).toBe(1);
  expect(existsSync(path.join(state.files.dir, "gateway-3"))).toBe(true);
});

test("[SF6] --replace goes on in the same folder, and is refused while its connector runs", async () => {
  const first = await takeState(state.files.dir);
  expect(await run(["up", "gthc_b", "--replace", "--state", state.files.dir])).toBe(1);
  expect([printed.at(-1), redeemed.count]).toEqual([`A connector already runs with ${state.files.dir}.`, 0]);
  if (first.isMine) await first.release(null);
  expect(await run(["up", "gthc_b", "--replace", "--state", state.files.dir])).toBe(1);
  expect(await redeemed.next()).toBe("gthc_b");
  expect(new StateFiles(state.files.dir).read("gateway")?.name).toBe("Home");
});

test("[SF6] status names the gateways beside this one", () => {
  const gateway = state.files.read("gateway");
  if (gateway === null) throw new Error("no gateway");
  new StateFiles(path.join(state.files.dir, "gateway-2")).write("gateway", { ...gateway, name: "Cabin" });
  expect(othersIn(state.files)).toEqual([{ name: "Cabin", folder: path.join(state.files.dir, "gateway-2") }]);
  expect(othersIn(new StateFiles(fresh()))).toEqual([]);
});

test("[SF7] --check-words alone starts no enrolment", async () => {
  const dir = fresh();
  expect(await run(["up", "--check-words", "a b c d", "--state", dir])).toBe(1);
  expect([printed.at(-1), redeemed.count, existsSync(dir)]).toEqual([expect.stringMatching(/^No enrolment is under way on this machine\./), 0, false]); // prettier-ignore
});

test("[CLI11] the code comes from a file, once, on a machine that is not enrolled", async () => {
  const dir = fresh();
  const file = path.join(path.dirname(dir), "code");
  expect(await run(["up", "--state", dir], { GATEHOUSE_CODE_FILE: file })).toBe(1);
  expect([printed.at(-1), existsSync(dir)]).toEqual([`The file ${file} of GATEHOUSE_CODE_FILE cannot be read (ENOENT).`, false]);
  writeFileSync(file, "gthc_file\n");
  expect(await run(["up", "--state", dir], { GATEHOUSE_CODE_FILE: file })).toBe(1);
  expect(await redeemed.next()).toBe("gthc_file");
  writeFileSync(file, "\n");
  expect(await run(["up", "--state", dir], { GATEHOUSE_CODE_FILE: file })).toBe(2);
});

test("[CLI11] an enrolled machine reads no code from a file", async () => {
  const file = path.join(path.dirname(fresh()), "code");
  writeFileSync(file, "gthc_file\n");
  const first = await takeState(state.files.dir);
  expect(await run(["up", "--state", state.files.dir], { GATEHOUSE_CODE_FILE: file })).toBe(1);
  expect([printed.at(-1), redeemed.count]).toEqual([`A connector already runs with ${state.files.dir}.`, 0]);
  if (first.isMine) await first.release(null);
});

function child(dir: string, command: readonly string[]): Child {
  const env = { ...process.env, OPENCLAW_URL: "ws://127.0.0.1:1", OPENCLAW_GATEWAY_TOKEN: "none" };
  const started = start({ args: [path.join(root, "src/connector/main.ts"), ...command, "--json", "--state", dir, "--app", app], env });
  children.push(started);
  return started;
}

const says = (event: string) => (line: string) => line.startsWith("{") && (JSON.parse(line) as { event: string }).event === event;

test("[CLI11] up - reads the code from stdin, and no list of processes shows it", async () => {
  const args = [path.join(root, "src/connector/main.ts"), "up", "-", "--json", "--state", fresh(), "--app", app];
  let listed = "";
  onCode = () => {
    listed = spawnSync("ps", ["-A", "-ww", "-o", "args="], { encoding: "utf8" }).stdout;
  };
  const typed = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "inherit"] });
  const ended = once(typed, "exit");
  typed.stdin.end("gthc_stdin\n");
  expect(await redeemed.next()).toBe("gthc_stdin");
  expect(listed).toContain("main.ts up -");
  expect(listed).not.toContain("gthc_stdin");
  expect(await ended).toEqual([1, null]);
});

test("[SF8] run waits for its enrolment, then stands by", async () => {
  const dir = fresh();
  const waiting = child(dir, ["run"]);
  await waiting.line(says("waiting-for-enrolment"), "the wait");
  expect(existsSync(dir)).toBe(false);
  // Another process enrols the machine, and serves it.
  const lock = await takeState(dir);
  for (const name of ["identity", "head"] as const) new StateFiles(dir).write(name, state.files.read(name) as never);
  writeFileSync(path.join(dir, "key-log.jsonl"), readFileSync(path.join(state.files.dir, "key-log.jsonl")));
  new StateFiles(dir).write("gateway", state.files.read("gateway") as never);
  await waiting.line(says("standby"), "the standby");
  if (lock.isMine) await lock.release(null);
  await waiting.line(says("link"), "its link");
});
