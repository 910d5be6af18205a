/** `gatehouse run --standby` as processes, against a control plane of one line: who dials, and when. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { root, start } from "../../../scripts/children.ts";
import type { Child } from "../../../scripts/children.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { Arrivals } from "../../support/arrivals.ts";

const children: Child[] = [];
const servers: http.Server[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Accepts links, and closes each with `code` when there is one. */
async function controlPlane(code?: number): Promise<{ origin: string; dials: Arrivals<string>; drop(): void }> {
  const dials = new Arrivals<string>();
  const server = http.createServer();
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => {
      dials.put(request.url ?? "");
      if (code !== undefined) ws.close(code, "no");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    dials,
    drop: () => {
      for (const ws of sockets.clients) ws.terminate();
    },
  };
}

function run(dir: string, ...more: string[]): Child {
  const env = { ...process.env, OPENCLAW_URL: "ws://127.0.0.1:1", OPENCLAW_GATEWAY_TOKEN: "none" };
  const child = start({ args: [path.join(root, "src/connector/main.ts"), "run", "--json", "--state", dir, ...more], env });
  children.push(child);
  return child;
}

const says = (event: string) => (line: string) => line.startsWith("{") && (JSON.parse(line) as { event: string }).event === event;
const exit = ({ process: child }: Child): Promise<number | null> =>
  new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    else child.once("exit", resolve);
  });

test("[LINK11] a second connector is refused, a standby waits without dialling, and dials once the first one is killed", async () => {
  const control = await controlPlane();
  const { files } = await ConnectorState.create(control.origin);
  const first = run(files.dir);
  await control.dials.next();
  const second = run(files.dir);
  await second.line(says("already-running"), "its refusal");
  expect(await exit(second)).toBe(1);
  const standby = run(files.dir, "--standby");
  await standby.line(says("standby"), "the standby");
  expect(control.dials.count).toBe(0);
  first.process.kill("SIGKILL");
  expect(await control.dials.next()).toMatch(/^\/link\//);
  expect(standby.process.exitCode).toBe(null);
});

test.each([
  ["refused", 4410, 4],
  ["superseded", 4409, 6],
])("[LINK11] a connector that is %s for good takes its standby with it: no dial of its own", async (_what, closeCode, exitCode) => {
  const control = await controlPlane();
  const { files } = await ConnectorState.create(control.origin);
  const first = run(files.dir);
  await control.dials.next();
  const standby = run(files.dir, "--standby");
  await standby.line(says("standby"), "the standby");
  // The same address refuses from here on.
  const refusing = await controlPlane(closeCode);
  const gateway = files.read("gateway");
  if (gateway === null) throw new Error("no gateway");
  files.write("gateway", { ...gateway, appOrigin: refusing.origin });
  control.drop();
  await refusing.dials.next();
  expect(await exit(first)).toBe(exitCode);
  expect(await exit(standby)).toBe(exitCode);
  expect(refusing.dials.count).toBe(0);
});
