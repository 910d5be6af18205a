/** `npm start`: control plane, a connector that waits to be claimed, and a gateway, on one machine. Ctrl-C ends all of it. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { gatewayUrl } from "../src/connector/openclaw/dial.ts";
import { discoverGateway } from "../src/connector/openclaw/discover.ts";
import { buildAll } from "./build.ts";
import { root, start } from "./children.ts";
import type { Child } from "./children.ts";
import { freePort, isListening, startControlPlane } from "./control-plane.ts";
import { installOpenclaw, runOpenclaw } from "./real-openclaw.ts";
import { SettingsPrompt } from "./settings-prompt.ts";
import type { SettingsEvent } from "./settings-prompt.ts";

const HELP = `npm start -- [options]

  --with-openclaw   fetch the pinned real OpenClaw and run it with an empty state
  --yes             let the connector apply the settings that an OpenClaw of yours needs
  --help

PORT (8787), GATEHOUSE_STATE (.gatehouse/), OPENCLAW_URL and OPENCLAW_GATEWAY_TOKEN (else what OpenClaw's own config says)`;

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

function say(line: string): void {
  process.stdout.write(`${line}\n`);
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
  if (process.env["OPENCLAW_URL"] !== undefined) say(`Nothing listens at ${gatewayUrl(target, "ws")}.`);
  const token = await kept(path.join(state, "demo-token"), () => randomBytes(24).toString("base64url"));
  const own = await freePort();
  const child = start({
    args: [path.join(root, "src/demo/main.ts"), "--port", String(own)],
    env: { ...process.env, OPENCLAW_GATEWAY_TOKEN: token },
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
  const prompt = new SettingsPrompt(path.join(state, "connector"));
  stops.push(() => Promise.resolve(prompt.stop()));
  const env = { ...process.env, OPENCLAW_URL: gateway.url, ...(gateway.token === null ? {} : { OPENCLAW_GATEWAY_TOKEN: gateway.token }) };
  return start({
    args,
    env,
    onLine: (line) => {
      if (!line.startsWith("{")) return say(line);
      const event = JSON.parse(line) as SettingsEvent & {
        url?: string;
        words?: string;
        gatewayName?: string;
        accountName?: string;
        passkeys?: number;
        approvalHost?: string;
        origin?: string;
        error?: string;
        level?: string;
        text?: string;
        report?: { state: string; reason?: string; version?: string };
      };
      prompt.take(event);
      if (event.event === "claim-link") say(`Claim this gateway: ${event.url ?? ""}`);
      else if (event.event === "check-words") {
        say(`Compare with the page at ${event.approvalHost ?? ""}:`);
        say(`  Gateway      ${event.gatewayName ?? ""}`);
        say(`  Account      ${event.accountName ?? ""}`);
        say(`  Passkeys     ${event.passkeys ?? 0} will decide`);
        say(`  Check words  ${event.words ?? ""}`);
      } else if (event.event === "enrolled") say(`Claimed. The gateway's address: ${event.origin ?? ""}`);
      else if (event.event === "openclaw")
        say(
          `Gateway ${event.report?.version ?? ""}: ${event.report?.state ?? ""}${event.report?.reason === undefined ? "" : ` (${event.report.reason})`}`,
        );
      else if (event.error !== undefined) say(event.error);
      else if (event.level === "error") say(event.text ?? event.event);
    },
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "with-openclaw": { type: "boolean" }, yes: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help === true) return say(HELP);
  const port = Number(process.env["PORT"] ?? 8787);
  const state = path.resolve(process.env["GATEHOUSE_STATE"] ?? path.join(root, ".gatehouse"));
  if (await isListening("127.0.0.1", port)) throw new Error(`Port ${port} is taken. Set PORT to another one: PORT=8788 npm start`);
  await mkdir(state, { recursive: true, mode: 0o700 });
  say("Building …");
  await buildAll();
  say("Starting the control plane …");
  const control = await startControlPlane({ port, stateDir: state });
  stops.push(() => control.stop());
  control.child.process.once("exit", () => {
    if (!isEnding) void Promise.resolve(say(`The control plane ended.\n${control.child.tail()}`)).then(() => end(1));
  });
  const gateway = await findGateway(state, values["with-openclaw"] === true);
  stops.push(() => gateway.stop());
  say(`Gatehouse ready: ${control.appOrigin}`);
  const claimed = existsSync(path.join(state, "connector/gateway.json"));
  if (claimed) say(`This gateway is claimed already. Open ${control.appOrigin}`);
  const connector = startConnector({ state, appOrigin: control.appOrigin, gateway, yes: values.yes === true });
  stops.push(() => connector.stop());
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end(0));
main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : "Something went wrong."}\n`);
  void end(1);
});
