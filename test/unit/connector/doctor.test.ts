/** `gatehouse doctor`: the running connector's view counts, not that of the shell it is typed into. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { versionGap } from "../../../src/connector/network/approval-page.ts";
import { Dialler } from "../../../src/connector/network/dialler.ts";
import { doctor } from "../../../src/connector/cli/doctor.ts";
import { status } from "../../../src/connector/cli/host-commands.ts";
import { listenLocally } from "../../../src/connector/trust/local-control.ts";
import { listenersIn, ownerOfPort } from "../../../src/connector/openclaw/socket-owner.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { VERSION } from "../../../src/connector/cli/options.ts";
import { ConnectorState, TEST_GATEWAY, TEST_ORIGIN } from "../../support/connector-state.ts";

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly warning?: true;
  readonly text: string;
}

class Listener extends Terminal {
  readonly checks: Check[] = [];
  readonly texts: string[] = [];

  override say(event: string, text: string, data: object = {}): void {
    this.texts.push(text);
    if (event === "check") this.checks.push(data as Check);
  }

  override fail(_event: string, text: string): void {
    this.texts.push(text);
  }
}

let state: ConnectorState;
let terminal: Listener;
let server: http.Server;
let port: number;
let local: { close(): Promise<void> } | null;
/** What the server says the time is. */
let date: string;

beforeEach(async () => {
  date = new Date().toUTCString();
  server = http.createServer((request, response) => {
    response.setHeader("date", date);
    response.end(request.url === "/healthz" ? '{"ok":true,"version":"9.9.9"}' : "<html></html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
  state = await ConnectorState.create(`http://127.0.0.1:${port}`);
  const file = state.files.read("gateway");
  if (file === null) throw new Error("not enrolled");
  state.files.write("gateway", { ...file, approveOrigin: `http://127.0.0.1:${port}` });
  terminal = new Listener({ json: true });
  local = null;
  // Nothing answers there, and no secret is found: what this shell sees is all wrong.
  vi.stubEnv("OPENCLAW_URL", "ws://127.0.0.1:1");
  vi.stubEnv("OPENCLAW_CONFIG_PATH", "/nowhere/openclaw.json");
  vi.stubEnv("OPENCLAW_GATEWAY_TOKEN", "");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await local?.close();
  await new Promise((resolve) => server.close(resolve));
});

async function run(openclawUid: number | null, machine: readonly string[] = [], clockAheadMs: number | null = null): Promise<void> {
  const answer = {
    gateway: TEST_GATEWAY,
    name: "Home",
    origin: TEST_ORIGIN,
    link: "up",
    linkProblem: null,
    machine,
    openclaw: { state: "online", version: "2026.9.6" },
    streams: 0,
    head: state.log.state.head,
    alarm: null,
    alarmAtMs: null,
    auditHead: null,
    version: VERSION,
  };
  const openclaw = { host: "127.0.0.1", port, hasSecret: true, secretSource: "the service's credential" };
  const listening = listenLocally(state.files.dir, {
    status: () => answer,
    view: () => Promise.resolve({ openclaw, isUp: true, proxy: "http://proxy.example:3128", uid: 990, openclawUid, clockAheadMs }),
    hops: () => Promise.resolve({ hops: [] }),
    blocked: () => Promise.reject(new Error("nobody asks for this")),
    cut: () => Promise.resolve({}),
    answerSettings: () => Promise.resolve({ outcome: "gone" }),
    rotateSecret: () => Promise.reject(new Error("nobody asks for this")),
    host: () => Promise.reject(new Error("nobody asks for this")),
  });
  local = listening;
  await listening.ready;
}

async function diagnose(): Promise<{ readonly code: number; readonly of: (name: string) => Check | undefined }> {
  const { files } = state;
  const code = await doctor({ terminal, files, dialler: new Dialler(), app: undefined, checkWords: undefined, yes: false, standby: false });
  return { code, of: (name) => terminal.checks.find(({ check }) => check === name) };
}

test("[MA11] a running connector is asked for its own view", async () => {
  await run(1_000);
  const { code, of } = await diagnose();
  expect(code).toBe(0);
  expect(of("secret")).toMatchObject({ ok: true, text: "the service's credential" });
  expect(of("gateway")).toMatchObject({ ok: true, text: `answers at 127.0.0.1:${port}` });
  expect(of("proxy")).toMatchObject({ text: "http://proxy.example:3128" });
});

test("[MA11] without a connector each line of the shell's is marked", async () => {
  const { code, of } = await diagnose();
  expect(code).toBe(1);
  expect(of("secret (this shell)")).toMatchObject({ ok: false });
  expect(of("gateway (this shell)")).toMatchObject({ ok: false, text: expect.stringContaining("127.0.0.1:1") as string });
  expect(of("proxy (this shell)")).toMatchObject({ ok: true, text: "none: loopback is always direct" });
});

test("[MA12] clock, version, disk, users and last stop are lines", async () => {
  state.files.write("lastStop", { atMs: 0, why: "stale" });
  await run(990, ["disk-full", "shared-user"], 7_200_000);
  const { code, of } = await diagnose();
  expect(code).toBe(1);
  expect(of("clock")).toMatchObject({ ok: false, text: expect.stringMatching(/^2 hours ahead of/) as string });
  expect(of("version")).toMatchObject({ ok: true, warning: true, text: expect.stringContaining("the control plane 9.9.9") as string });
  expect(of("disk")).toMatchObject({ ok: false, text: expect.stringMatching(/^disk-full: /) as string });
  expect(of("last stop")).toMatchObject({ warning: true, text: expect.stringMatching(/^1970-01-01T.*newer copy/) as string });
});

test("[MA12] without a connector the clock is compared with the control plane's answer", async () => {
  date = new Date(Date.now() - 86_400_000).toUTCString();
  expect((await diagnose()).of("clock")).toMatchObject({ ok: false, text: expect.stringMatching(/^24 hours ahead/) as string });
});

test("[MA12] which version is another one", () => {
  expect(versionGap({ own: "1", program: "1", served: "1" }).isSame).toBe(true);
  expect(versionGap({ own: "1", program: "2", served: "2" })).toMatchObject({
    isSame: false,
    text: expect.stringContaining("restart") as string,
  });
  expect(versionGap({ own: "1", program: "1", served: null }).isSame).toBe(true);
});

test("[MA16] a shared user is said by doctor and status", async () => {
  await run(990, ["shared-user"]);
  const { code, of } = await diagnose();
  expect([code, of("user")]).toMatchObject([0, { warning: true, text: expect.stringContaining("can imitate the host") as string }]);
  await status({ terminal, files: state.files });
  expect(terminal.texts.at(-1)).toMatch(/^Machine {4}shared-user: .*install --system/m);
});

test("[MA16] the owner of a port is read as Linux tells it", () => {
  const line = (address: string, state_: string, uid: number): string =>
    `   0: ${address} 00000000:0000 ${state_} 00000000:00000000 00:00000000 00000000 ${uid}        0 1 1 0 100 0 0 10 0`;
  const table = ["  sl  local_address", line("0100007F:4965", "0A", 1000), line("0100007F:4965", "01", 7), line("0100007F:0050", "0A", 0)];
  expect(listenersIn(table.join("\n"), 18_789)).toEqual([1000]);
  expect(ownerOfPort(port)).toBe(process.getuid?.());
  expect(ownerOfPort(1)).toBe(null);
});
