/** `npm start`: control plane, a connector that waits to be claimed, and a gateway, on one machine. Ctrl-C ends all of it. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { gatewayUrl } from "../src/connector/openclaw/dial.ts";
import { DiscoverError, discoverGateway } from "../src/connector/openclaw/discover.ts";
import { Terminal } from "../src/connector/cli/terminal.ts";
import { buildAll } from "./build.ts";
import { root, start } from "./children.ts";
import type { Child } from "./children.ts";
import { connectorLines } from "./connector-lines.ts";
import { freePort, isListening, startControlPlane } from "./control-plane.ts";
import { takeInstance } from "./instance-lock.ts";
import { installOpenclaw, runOpenclaw } from "./real-openclaw.ts";
import { SettingsPrompt } from "./settings-prompt.ts";
import { HELP, InputError, readInputs } from "./start-inputs.mjs";

interface Gateway {
  readonly url: string;
  /** Null: the connector finds it in OpenClaw's own config. */
  readonly token: string | null;
  /** Ours: nobody needs to be asked about its settings. */
  readonly isOurs: boolean;
  stop(): Promise<void>;
}

const stops: (() => Promise<void>)[] = [];
let isEnding = false;

async function end(code: number): Promise<never> {
  isEnding = true;
  for (const stop of stops.toReversed()) await stop().catch(() => undefined);
  process.exit(code);
}

const terminal = new Terminal({ json: false });

/** While a question is open, its answer comes first. */
function say(line: string): void {
  terminal.print("start", line, {});
}

async function kept(file: string, make: () => string): Promise<string> {
  if (existsSync(file)) return (await readFile(file, "utf8")).trim();
  const value = make();
  await writeFile(file, value, { mode: 0o600 });
  return value;
}

async function findGateway(state: string, withOpenclaw: boolean): Promise<Gateway> {
  if (withOpenclaw) {
    const running = await runOpenclaw({
      command: await installOpenclaw(say),
      port: await freePort(),
      stateDir: path.join(state, "openclaw"),
    });
    say(`OpenClaw runs on port ${running.port} with a state of its own.`);
    return { url: `ws://127.0.0.1:${running.port}`, token: running.token, isOurs: true, stop: () => running.stop() };
  }
  const { target, other } = discoverGateway(process.env);
  for (const each of [target, other]) {
    if (each !== null && (await isListening(each.host, each.port)))
      return { url: gatewayUrl(each, "ws"), token: null, isOurs: false, stop: () => Promise.resolve() };
  }
  if ((process.env["OPENCLAW_URL"] ?? "") !== "") say(`Nothing listens at ${gatewayUrl(target, "ws")}.`);
  const token = await kept(path.join(state, "demo-token"), () => randomBytes(24).toString("base64url"));
  const own = await freePort();
  const child = start({
    args: [path.join(root, "src/demo/main.ts"), "--port", String(own)],
    env: { ...process.env, OPENCLAW_GATEWAY_TOKEN: token },
    endsWithParent: true,
  });
  await child.line((line) => line.includes("Demo gateway"), "The demo gateway");
  say("No OpenClaw is running here, so a demo gateway was started. (npm start -- --with-openclaw runs the real one.)");
  return { url: `ws://127.0.0.1:${own}`, token, isOurs: true, stop: () => child.stop() };
}

function startConnector(input: { state: string; appOrigin: string; gateway: Gateway; yes: boolean }): Child {
  const { state, appOrigin, gateway, yes } = input;
  const args = [
    path.join(root, "dist/connector/gatehouse.mjs"),
    "up",
    "--json",
    "--state",
    path.join(state, "connector"),
    "--app",
    appOrigin,
    ...(gateway.isOurs || yes ? ["--yes"] : []),
  ];
  const prompt = new SettingsPrompt(path.join(state, "connector"), terminal);
  stops.push(() => Promise.resolve(prompt.stop()));
  const env = { ...process.env, OPENCLAW_URL: gateway.url, ...(gateway.token === null ? {} : { OPENCLAW_GATEWAY_TOKEN: gateway.token }) };
  return start({
    args,
    env,
    endsWithParent: true,
    onLine: connectorLines(say, prompt),
  });
}

async function main(): Promise<void> {
  const { port, state, withOpenclaw, yes, help } = readInputs(process.argv.slice(2), process.env, root);
  if (help) return say(HELP);
  // What cannot be found later is said before anything is built.
  if (!withOpenclaw) discoverGateway(process.env);
  await takeInstance(state, `http://localhost:${port}`);
  if (await isListening("127.0.0.1", port)) throw new Error(`Port ${port} is taken. Set PORT to another one: PORT=8788 npm start`);
  say("Building …");
  await buildAll();
  say("Starting the control plane …");
  const control = await startControlPlane({ port, stateDir: state });
  stops.push(() => control.stop());
  control.child.process.once("exit", () => {
    if (!isEnding) void Promise.resolve(say(`The control plane ended.\n${control.child.tail()}`)).then(() => end(1));
  });
  const gateway = await findGateway(state, withOpenclaw);
  stops.push(() => gateway.stop());
  say(`Gatehouse ready: ${control.appOrigin}`);
  const claimed = existsSync(path.join(state, "connector/gateway.json"));
  if (claimed) say(`This gateway is claimed already. Open ${control.appOrigin}`);
  const connector = startConnector({ state, appOrigin: control.appOrigin, gateway, yes });
  stops.push(() => connector.stop());
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(0));
main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : "Something went wrong."}\n`);
  void end(error instanceof InputError || error instanceof DiscoverError ? 2 : 1);
});
