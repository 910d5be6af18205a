/** Which gateway is really dialled: the pinned certificate alone, and whichever loopback address answers. */
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import net from "node:net";
import type { AddressInfo, Server } from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterEach, expect, test } from "vitest";
import { isLive } from "../../../src/connector/openclaw/dial.ts";
import { discoverGateway } from "../../../src/connector/openclaw/discover.ts";
import { withGateway } from "../../../src/connector/openclaw/one-call.ts";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway } from "../../../src/demo/gateway.ts";
import { GATEWAY_CERTIFICATE, GATEWAY_KEY } from "../../support/gateway-certificate.ts";
import { RELAY_CERTIFICATE, RELAY_KEY } from "../../support/relay-certificate.ts";

const TOKEN = "token-of-the-demo";
const ORIGIN = "https://abc.gw.example";

let demo: DemoGateway;
let front: Server;
let heard: string;
let openclaw: LocalOpenclaw | undefined;

afterEach(async () => {
  await openclaw?.stop();
  openclaw = undefined;
  front.close();
  await demo.stop();
});

/** Passes everything on to the demo, and remembers what came. */
function relay(socket: net.Socket): void {
  const inner = net.connect({ host: "127.0.0.1", port: demo.port });
  socket.on("data", (data: Buffer) => {
    heard += data.toString("latin1");
  });
  for (const each of [socket, inner]) each.on("error", () => undefined);
  socket.pipe(inner).pipe(socket);
  socket.on("close", () => inner.destroy());
  inner.on("close", () => socket.destroy());
}

async function listen(server: Server, host: string): Promise<number> {
  demo = await startDemoGateway({ port: 0, token: TOKEN });
  heard = "";
  front = server;
  front.listen(0, host);
  await once(front, "listening");
  return (front.address() as AddressInfo).port;
}

/** @returns variables of a machine whose config names this port and certificate */
function machine(gateway: object): NodeJS.ProcessEnv {
  const home = mkdtempSync(path.join(os.tmpdir(), "gatehouse-home-"));
  const certPath = path.join(home, "cert.pem");
  writeFileSync(certPath, GATEWAY_CERTIFICATE);
  const file = path.join(home, "openclaw.json");
  writeFileSync(file, JSON.stringify({ gateway: { auth: { token: TOKEN }, tls: { certPath }, ...gateway } }));
  return { HOME: home, OPENCLAW_CONFIG_PATH: file };
}

async function online(env: NodeJS.ProcessEnv): Promise<LocalOpenclaw> {
  const made = new LocalOpenclaw({
    env,
    origin: ORIGIN,
    bindings: {
      bound: () => [],
      bind: () => undefined,
      unbind: () => undefined,
      mayHandOver: () => true,
      takeHandover: () => false,
      staleTokens: new Set(),
    },
    now: () => Date.now(),
    approveSettings: () => Promise.resolve(true),
    keepSettings: () => undefined,
  });
  openclaw = made;
  const isOnline = new Promise<void>((resolve) => made.onReport((report) => report.state === "online" && resolve()));
  made.start();
  await isOnline;
  return made;
}

test("[OC4] over TLS with the pinned certificate: control leg, probes, data leg", async () => {
  const port = await listen(tls.createServer({ cert: GATEWAY_CERTIFICATE, key: GATEWAY_KEY }, relay), "127.0.0.1");
  const { target } = await online({ ...machine({}), OPENCLAW_URL: `wss://127.0.0.1:${port}` });
  expect(target).toMatchObject({ port, tls: { certificate: GATEWAY_CERTIFICATE } });
  expect(await isLive(target)).toBe(true);
});

test("[OC4] another certificate on that port gets no secret", async () => {
  const port = await listen(tls.createServer({ cert: RELAY_CERTIFICATE, key: RELAY_KEY }, relay), "127.0.0.1");
  const env = { ...machine({}), OPENCLAW_URL: `wss://127.0.0.1:${port}` };
  const seen = await withGateway(env, { withinMs: 60_000, isPatient: false }, () => Promise.resolve());
  expect(seen).toEqual({ why: "not-running" });
  expect(await isLive(discoverGateway(env).target)).toBe(false);
  expect(heard).toBe("");
});

test("[OC6] a gateway that listens on ::1 alone is found there", async () => {
  const port = await listen(net.createServer(relay), "::1");
  const env = machine({ port });
  expect(await withGateway(env, { withinMs: 60_000, isPatient: false }, () => Promise.resolve("reached"))).toEqual({ value: "reached" });
  const { target } = await online(env);
  expect(target).toEqual({ host: "::1", port });
});
