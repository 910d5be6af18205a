/** The peers that Gatehouse is measured against; each is started with the configuration that its own documents recommend for WebSockets. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { start } from "../../../scripts/children.ts";
import type { Child, StartOptions } from "../../../scripts/children.ts";
import { freePort, isListening, quietEnv } from "../../../scripts/control-plane.ts";
import { ECHO_PATH } from "../../support/echo.ts";
import { commandPath, workerdPids } from "../machine.ts";
import { BROWSER_HEADERS, pidsOf } from "./peer.ts";
import type { Peer } from "./peer.ts";
import { relayFleet } from "./relay-fleet.ts";

const READY_WITHIN_MS = 30_000;
const POLL_MS = 50;
const here = import.meta.dirname;

interface Parts {
  readonly name: string;
  readonly kind: string;
  readonly port: number;
  readonly relay: readonly Child[];
  readonly connector?: readonly Child[];
}

function peer({ name, kind, port, relay, connector = [] }: Parts): Peer {
  const target = { url: `ws://127.0.0.1:${port}${ECHO_PATH}`, headers: BROWSER_HEADERS };
  return {
    name,
    kind,
    target: () => target,
    relayPids: () => pidsOf(...relay),
    connectorPids: () => pidsOf(...connector),
    stop: async () => {
      for (const child of [...connector, ...relay]) await child.stop();
    },
  };
}

async function startedOn(port: number, options: StartOptions): Promise<Child> {
  const child = start(options);
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await isListening("127.0.0.1", port))) {
    if (child.process.exitCode !== null || Date.now() > deadline) {
      await child.stop();
      throw new Error(`does not listen on ${port}\n${child.tail()}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  return child;
}

/** No relay at all. */
export function direct(gatewayPort: number): Promise<Peer> {
  return Promise.resolve(peer({ name: "direct", kind: "no hop", port: gatewayPort, relay: [] }));
}

async function rawConnector(port: number, gatewayPort: number, room = ""): Promise<Child> {
  const link = `ws://127.0.0.1:${port}/link/${room}`;
  const connector = start({ args: [path.join(here, "raw-relay.ts"), "connector", link, `ws://127.0.0.1:${gatewayPort}${ECHO_PATH}`] });
  await connector.line((line) => line === "ready", "the raw connector");
  return connector;
}

function startRawRelay(port: number): Promise<Child> {
  return startedOn(port, { args: [path.join(here, "raw-relay.ts"), "relay", String(port)] });
}

/** Raw Node multiplexing relay on `ws`. */
export async function rawNode(gatewayPort: number): Promise<Peer> {
  const port = await freePort();
  const relay = await startRawRelay(port);
  const connector = await rawConnector(port, gatewayPort);
  return {
    ...peer({ name: "raw Node mux", kind: "reverse", port, relay: [relay], connector: [connector] }),
    fleet: async ({ rooms }) => {
      const own = await freePort();
      const child = await startRawRelay(own);
      const connect = (room: number): Promise<Child> => rawConnector(own, gatewayPort, String(room));
      return relayFleet({ rooms, port: own, relay: child, relayPids: () => pidsOf(child), connect });
    },
  };
}

function startMuxObject(port: number, stateDir: string): Promise<Child> {
  return startedOn(port, { args: [path.join(here, "workerd.ts"), "mux", String(port), stateDir], env: quietEnv() });
}

/** Minimal multiplexing Durable Object, started as Gatehouse's control plane is; its connector is the raw relay's. */
export async function muxObject(gatewayPort: number, dir: string): Promise<Peer> {
  const port = await freePort();
  const relay = await startMuxObject(port, path.join(dir, "mux-object"));
  const pids = (child: Child): number[] => workerdPids(child.process.pid ?? 0);
  const connector = await rawConnector(port, gatewayPort);
  return {
    ...peer({ name: "mux object", kind: "reverse, workerd", port, relay: [relay], connector: [connector] }),
    relayPids: () => pids(relay),
    fleet: async ({ rooms }) => {
      const own = await freePort();
      const child = await startMuxObject(own, path.join(dir, "mux-objects"));
      const connect = (room: number): Promise<Child> => rawConnector(own, gatewayPort, String(room));
      return relayFleet({ rooms, port: own, relay: child, relayPids: () => pids(child), connect });
    },
  };
}

/** @throws MissingPeerError when the program is not installed */
function need(command: string): string {
  const found = commandPath(command);
  if (found === null) throw new MissingPeerError(`${command} is not installed`);
  return found;
}

/** A peer that cannot be measured here; the report names it. */
export class MissingPeerError extends Error {
  override name = "MissingPeerError";
}

export async function nginx(gatewayPort: number, dir: string): Promise<Peer> {
  const command = need("nginx");
  const port = await freePort();
  const own = path.join(dir, "nginx");
  mkdirSync(own, { recursive: true });
  const config = path.join(own, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${own}/${name};`).join(" ");
  writeFileSync(
    config,
    `daemon off; worker_processes auto; pid ${own}/pid; error_log ${own}/error.log; worker_rlimit_nofile 32768;
${os.userInfo().uid === 0 ? "user root;" : ""}
events { worker_connections 16384; }
http { access_log off; ${temporary} server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${gatewayPort};
proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_read_timeout 600s; } } }\n`,
  );
  const relay = await startedOn(port, { command, args: ["-c", config, "-p", own, "-e", path.join(own, "error.log")] });
  return peer({ name: "nginx", kind: "one hop, forward, no checks", port, relay: [relay] });
}

export async function haproxy(gatewayPort: number, dir: string): Promise<Peer> {
  const command = need("haproxy");
  const port = await freePort();
  const config = path.join(dir, "haproxy.cfg");
  writeFileSync(
    config,
    `global\n  maxconn 8000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  timeout tunnel 600s
frontend f\n  bind 127.0.0.1:${port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:${gatewayPort}\n`,
  );
  const relay = await startedOn(port, { command, args: ["-db", "-f", config] });
  return peer({ name: "HAProxy", kind: "one hop, forward, no checks", port, relay: [relay] });
}

export async function caddy(gatewayPort: number, dir: string): Promise<Peer> {
  const command = need("caddy");
  const port = await freePort();
  const config = path.join(dir, "Caddyfile");
  // The gateway refuses forwarding headers that no trusted proxy sent; Caddy sets them unless told otherwise, the other two do not.
  const plain = ["For", "Proto", "Host"].map((each) => `    header_up -X-Forwarded-${each}\n`).join("");
  const site = `http://127.0.0.1:${port} {\n  reverse_proxy 127.0.0.1:${gatewayPort} {\n${plain}  }\n}\n`;
  writeFileSync(config, `{\n  admin off\n  auto_https off\n}\n${site}`);
  const env = { ...process.env, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir };
  const relay = await startedOn(port, { command, args: ["run", "--config", config, "--adapter", "caddyfile"], env });
  return peer({ name: "Caddy", kind: "one hop, forward, no checks", port, relay: [relay] });
}

/** A real reverse tunnel: an sshd of its own, reached over loopback with a fresh key. */
export async function openssh(gatewayPort: number, dir: string): Promise<Peer> {
  const [daemon, client, keygen] = [need("sshd"), need("ssh"), need("ssh-keygen")];
  const [sshPort, port] = [await freePort(), await freePort()];
  const own = path.join(dir, "ssh");
  mkdirSync(own, { recursive: true, mode: 0o700 });
  for (const name of ["host", "user"]) execFileSync(keygen, ["-q", "-t", "ed25519", "-N", "", "-f", path.join(own, name)]);
  execFileSync("cp", [path.join(own, "user.pub"), path.join(own, "authorized_keys")]);
  // The daemon of a root user separates privileges in a folder that packages make at boot.
  if (os.userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const config = path.join(own, "sshd_config");
  writeFileSync(
    config,
    `Port ${sshPort}\nListenAddress 127.0.0.1\nHostKey ${own}/host\nAuthorizedKeysFile ${own}/authorized_keys\nPidFile none\nStrictModes no
UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nAllowTcpForwarding yes\n`,
  );
  const relay = await startedOn(sshPort, { command: daemon, args: ["-D", "-e", "-f", config] });
  const options = ["StrictHostKeyChecking=no", `UserKnownHostsFile=${own}/known`, "ExitOnForwardFailure=yes", "BatchMode=yes"].flatMap(
    (each) => ["-o", each],
  );
  const forward = ["-N", "-i", path.join(own, "user"), "-p", String(sshPort), "-R", `127.0.0.1:${port}:127.0.0.1:${gatewayPort}`];
  const args = ["-F", "none", ...options, ...forward, `${os.userInfo().username}@127.0.0.1`];
  const connector = await startedOn(port, { command: client, args });
  return peer({ name: "OpenSSH -R", kind: "reverse", port, relay: [relay], connector: [connector] });
}
