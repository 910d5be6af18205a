/** `gatehouse install` and `uninstall` on a machine that the test plays: what is written, who may read it, what is left. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Dialler } from "../../../src/connector/network/dialler.ts";
import { install } from "../../../src/connector/cli/install.ts";
import type { InstallWishes } from "../../../src/connector/cli/install.ts";
import { loadIdentity } from "../../../src/connector/trust/identity.ts";
import { KeyLog } from "../../../src/connector/trust/key-log-file.ts";
import { serviceHint } from "../../../src/connector/cli/rotate-secret-command.ts";
import { installedService, isRootOnly, placesOf } from "../../../src/connector/service/places.ts";
import type { Machine } from "../../../src/connector/service/places.ts";
import { environmentText, unitText } from "../../../src/connector/service/unit.ts";
import { StateFiles } from "../../../src/connector/state/state-files.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";
import { uninstall } from "../../../src/connector/cli/uninstall.ts";
import { ConnectorState } from "../../support/connector-state.ts";

class Listener extends Terminal {
  readonly events: { readonly event: string; readonly text: string }[] = [];

  override say(event: string, text: string): void {
    this.events.push({ event, text });
  }

  override print(event: string, text: string): void {
    this.events.push({ event, text });
  }

  override fail(event: string, text: string): void {
    this.events.push({ event, text });
  }
}

const SYSTEM: InstallWishes = { kind: "system", print: false, proxy: "http://ada:pass@proxy.example:3128", waitMs: 0 };

const SECOND = "zyxwvutsrqponmlkjihgfed";
const SECOND_NAME = "gatehouse-zyxwvuts";

let root: string;
let home: string;
let state: ConnectorState;
let terminal: Listener;
let ran: string[];
let machine: Machine;

beforeEach(async () => {
  root = mkdtempSync(path.join(os.tmpdir(), "gatehouse-root-"));
  home = path.join(root, "home/ada");
  const programDir = path.join(root, "npx");
  mkdirSync(programDir);
  mkdirSync(path.join(home, ".openclaw"), { recursive: true });
  writeFileSync(path.join(programDir, "gatehouse.mjs"), "// the entry");
  writeFileSync(path.join(programDir, "connector.mjs"), "// the program");
  writeFileSync(path.join(programDir, "node"), "// node");
  writeFileSync(path.join(home, ".openclaw/openclaw.json"), '{"gateway":{"auth":{"mode":"token","token":"secret-of-the-gateway"}}}');
  state = await ConnectorState.create();
  terminal = new Listener({ json: true });
  ran = [];
  const env = { HOME: home, OPENCLAW_URL: "ws://127.0.0.1:18790" };
  machine = {
    root,
    uid: 0,
    env,
    home: "/home/ada",
    node: path.join(programDir, "node"),
    programDir,
    hasSystemd: true,
    run: (command, words) => {
      ran.push([command, ...words].join(" "));
      return "";
    },
  };
});

function options(yes = true) {
  return { terminal, files: state.files, dialler: new Dialler(), app: undefined, checkWords: undefined, yes, standby: false };
}

const modeOf = (file: string): number => statSync(file).mode & 0o777;
const events = (): string[] => terminal.events.map(({ event }) => event);

test("[MA13] the system unit has a user of its own, and the secret as a credential", async () => {
  await install(options(), SYSTEM, machine);
  const places = placesOf("system", machine, "");
  const unit = readFileSync(places.unit, "utf8");
  for (const line of [
    "DynamicUser=yes",
    "StateDirectory=gatehouse",
    `LoadCredential=openclaw.json:${home}/.openclaw/openclaw.json`,
    "Environment=OPENCLAW_CONFIG_PATH=%d/openclaw.json",
    "Wants=network-online.target",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "CapabilityBoundingSet=",
    "UMask=0077",
    "LockPersonality=yes",
    "SystemCallFilter=@system-service",
    "MemoryMax=512M",
    "RestartPreventExitStatus=2 4 6",
  ])
    expect(unit.split("\n")).toContain(line);
  expect(unit).not.toMatch(/secret-of-the-gateway|pass@|MemoryDenyWriteExecute/);
  // What holds a password is readable by root alone; the unit is not secret.
  expect([modeOf(places.environment), modeOf(places.unit)]).toEqual([0o600, 0o644]);
  expect(readFileSync(places.environment, "utf8")).toBe(
    'OPENCLAW_URL="ws://127.0.0.1:18790"\nHTTP_PROXY="http://ada:pass@proxy.example:3128"\nHTTPS_PROXY="http://ada:pass@proxy.example:3128"\n',
  );
  expect(ran).toEqual(["systemctl daemon-reload", "systemctl enable gatehouse.service", "systemctl restart gatehouse.service"]);
});

test("[MA13] a secret that stands in no config file becomes a credential file", async () => {
  machine.env["OPENCLAW_GATEWAY_PASSWORD"] = "from-the-shell";
  await install(options(), SYSTEM, machine);
  const { secret, unit } = placesOf("system", machine, "");
  expect([readFileSync(secret, "utf8"), modeOf(secret)]).toEqual(["from-the-shell\n", 0o600]);
  expect(readFileSync(unit, "utf8")).toContain(
    `LoadCredential=openclaw-secret:${secret}\nEnvironment=OPENCLAW_GATEWAY_PASSWORD_FILE=%d/openclaw-secret\n`,
  );
});

test("[MA13] a secret of an included file becomes a credential file: the config is handed over alone", async () => {
  writeFileSync(path.join(home, ".openclaw/auth.json5"), "{ token: 'included' }");
  writeFileSync(path.join(home, ".openclaw/openclaw.json"), "{ gateway: { auth: { $include: './auth.json5' } } }");
  await install(options(), SYSTEM, machine);
  const { secret, unit } = placesOf("system", machine, "");
  expect(readFileSync(secret, "utf8")).toBe("included\n");
  expect(readFileSync(unit, "utf8")).not.toContain("LoadCredential=openclaw.json");
});

test("[SA10] whose service has the secret in a file of its own is told what to write and to run", async () => {
  await install(options(), SYSTEM, machine);
  expect(serviceHint("/nowhere", machine)).toBe("");
  machine.env["OPENCLAW_GATEWAY_PASSWORD"] = "from-the-shell";
  await install(options(), SYSTEM, machine);
  const { secret } = placesOf("system", machine, "");
  expect(serviceHint("/nowhere", machine)).toContain(`${secret}: write the new one there, then run: sudo systemctl restart gatehouse.service`); // prettier-ignore
});

test("[MA14] the state moves with a new key, and nothing stays behind", async () => {
  const { dir } = state.files;
  const old = state.identity.publicKey.x;
  const { device } = await state.allow();
  await install(options(), SYSTEM, machine);
  const { stateFiles } = placesOf("system", machine, "");
  const files = new StateFiles(stateFiles);
  const log = await KeyLog.open(files, loadIdentity(files));
  expect([existsSync(dir), log.state.key.x === old, modeOf(stateFiles)]).toEqual([false, false, 0o700]);
  expect([...log.state.grants.values()].map(({ statement }) => statement.device)).toEqual([device]);
  expect(readdirSync(stateFiles).filter((name) => modeOf(path.join(stateFiles, name)) !== 0o600)).toEqual([]);
  // A second install keeps what the first one moved.
  const { head } = log.state;
  await install(options(), SYSTEM, machine);
  expect((await KeyLog.open(files, loadIdentity(files))).state.head).toEqual(head);
});

test("[SF3] install and uninstall leave foreign folders and files alone", async () => {
  const { dir } = state.files;
  writeFileSync(path.join(dir, "notes.json"), "theirs");
  const foreign = mkdtempSync(path.join(root, "foreign-"));
  for (const name of ["gateway.json", "notes.txt"]) writeFileSync(path.join(foreign, name), "theirs");
  const files = new StateFiles(foreign);
  expect(await install({ ...options(), files }, SYSTEM, machine)).toBe(1);
  expect(events()).toEqual(["not-enrolled"]);
  await expect(uninstall({ ...options(), files }, machine)).rejects.toThrow("is no state folder of Gatehouse");
  expect(readdirSync(foreign).toSorted()).toEqual(["gateway.json", "notes.txt"]);
  await install(options(), SYSTEM, machine);
  expect([readdirSync(dir), existsSync(path.join(placesOf("system", machine, "").stateFiles, "notes.json"))]).toEqual([
    ["notes.json"],
    false,
  ]);
});

test("[MA10] program and Node are copied to where only root writes", async () => {
  await install(options(), SYSTEM, machine);
  const { programDir, unit } = placesOf("system", machine, "");
  expect(readFileSync(path.join(programDir, "gatehouse.mjs"), "utf8")).toBe("// the entry");
  expect(readFileSync(path.join(programDir, "connector.mjs"), "utf8")).toBe("// the program");
  // The one of the shell lies in a folder that its user may write.
  expect(readFileSync(unit, "utf8")).toContain(`ExecStart=${programDir}/node ${programDir}/gatehouse.mjs run\n`);
  expect([modeOf(path.join(programDir, "node")), modeOf(path.join(programDir, "gatehouse.mjs"))]).toEqual([0o755, 0o755]);
});

test.each([
  [0, 0o755, true],
  [1000, 0o755, false],
  [0, 0o775, false],
  [0, 0o757, false],
  [0, 0o700, false],
])("[MA10] a program of user %i with mode %o is root's alone: %s", (uid, mode, expected) => {
  const real = process.execPath.startsWith("/usr/") ? process.execPath : "/usr/bin/env";
  const look = (file: string) => ({ uid: file === path.dirname(real) ? uid : 0, mode: file === path.dirname(real) ? mode : 0o755 });
  expect(isRootOnly(real, look as never)).toBe(expected);
});

test("[MA13] without root, without systemd and without a yes nothing is written", async () => {
  const before = readdirSync(root);
  expect(await install(options(), SYSTEM, { ...machine, uid: 1000 })).toBe(1);
  expect(await install(options(), SYSTEM, { ...machine, hasSystemd: false })).toBe(1);
  expect(await install(options(false), SYSTEM, machine)).toBe(3);
  expect(await install(options(), { ...SYSTEM, print: true }, machine)).toBe(0);
  expect(events()).toEqual(["needs-root", "no-systemd", "plan", "needs-confirmation", "install"]);
  expect([readdirSync(root), ran, existsSync(state.files.dir)]).toEqual([before, [], true]);
});

test("[MA15] uninstall stops the service and removes what install wrote, and only that", async () => {
  const foreign = path.join(root, "etc/gatehouse/mine.txt");
  await install(options(), SYSTEM, machine);
  writeFileSync(foreign, "kept");
  ran.length = 0;
  expect(await uninstall({ ...options(), files: new StateFiles(path.join(root, "elsewhere")) }, machine)).toBe(0);
  const places = placesOf("system", machine, "");
  for (const file of [places.unit, places.environment, places.shim, places.programDir, places.stateFiles])
    expect(existsSync(file)).toBe(false);
  expect(existsSync(foreign)).toBe(true);
  expect(ran).toEqual(["systemctl disable --now gatehouse.service", "systemctl daemon-reload"]);
});

test("[MA17] a second gateway has a service of its own beside the first", async () => {
  await install(options(), SYSTEM, machine);
  const { files } = await ConnectorState.create(undefined, SECOND);
  ran.length = 0;
  for (const again of [files, new StateFiles(placesOf("system", machine, "", SECOND_NAME).stateDir)]) {
    await install({ ...options(), files: again }, SYSTEM, machine);
    expect(ran.splice(0).at(-1)).toBe(`systemctl restart ${SECOND_NAME}.service`);
  }
  const [first, second] = [placesOf("system", machine, ""), placesOf("system", machine, "", SECOND_NAME)];
  const unit = readFileSync(second.unit, "utf8");
  expect(unit).toContain(`StateDirectory=${SECOND_NAME}\n`);
  expect(unit).toContain(`Environment=GATEHOUSE_STATE=${second.stateDir}\n`);
  expect(readFileSync(second.shim, "utf8")).toContain(second.stateDir);
  expect(readFileSync(first.unit, "utf8")).toContain("StateDirectory=gatehouse\n");
  expect(new StateFiles(first.stateFiles).read("gateway")?.gateway).not.toBe(SECOND);
  expect(new StateFiles(second.stateFiles).read("gateway")?.gateway).toBe(SECOND);
});

test("[MA17] with two services uninstall takes out the one of the named folder, and none where none is named", async () => {
  await install(options(), SYSTEM, machine);
  const { files } = await ConnectorState.create(undefined, SECOND);
  await install({ ...options(), files }, SYSTEM, machine);
  const [first, second] = [placesOf("system", machine, ""), placesOf("system", machine, "", SECOND_NAME)];
  ran.length = 0;
  expect(await uninstall({ ...options(), files: new StateFiles(path.join(root, "elsewhere")) }, machine)).toBe(3);
  expect([events().at(-1), ran]).toEqual(["several-services", []]);
  expect(terminal.events.at(-1)?.text).toContain(`${SECOND_NAME}.service: --state ${second.stateDir}`);
  expect(await uninstall({ ...options(), files: new StateFiles(second.stateDir) }, machine)).toBe(0);
  expect(ran).toEqual([`systemctl disable --now ${SECOND_NAME}.service`, "systemctl daemon-reload"]);
  expect([first, second].map(({ unit, stateFiles }) => [existsSync(unit), existsSync(stateFiles)])).toEqual([
    [true, true],
    [false, false],
  ]);
});

test("[MA17] a folder with a gateway of its own does not take out another gateway's only service", async () => {
  await install(options(), SYSTEM, machine);
  const { files } = await ConnectorState.create(undefined, SECOND);
  expect(installedService(machine, files.dir)).toBe(null);
  expect(installedService(machine, "/nowhere")?.manifest.unit).toBe("gatehouse.service");
});

test("[MA15] a command of another program is not overwritten", async () => {
  const { shim } = placesOf("system", machine, "");
  mkdirSync(path.dirname(shim), { recursive: true });
  writeFileSync(shim, "#!/bin/sh\n# somebody else's");
  await install(options(), SYSTEM, machine);
  await uninstall(options(), machine);
  expect(readFileSync(shim, "utf8")).toContain("somebody else's");
});

test("[MA13] the user's service keeps its state in place and lingers", async () => {
  await install(options(), { ...SYSTEM, kind: "user" }, { ...machine, uid: 1000 });
  const unit = readFileSync(path.join(home, ".config/systemd/user/gatehouse.service"), "utf8");
  expect(unit).toContain(`Environment=GATEHOUSE_STATE=${state.files.dir}\n`);
  expect(unit).not.toMatch(/DynamicUser|network-online/);
  expect(ran.at(-1)).toBe("loginctl enable-linger");
});

test("[MA13] signs that systemd would read are written as they are meant", () => {
  const plan = { kind: "user", node: "/opt/a b/node", program: "/opt/50%/g$x.mjs", stateDir: "/st $ate", environmentFile: "/e%v", configFile: null, secretFile: null, secretKind: "token" } as const; // prettier-ignore
  const unit = unitText(plan);
  expect(unit).toContain('ExecStart="/opt/a b/node" /opt/50%%/g$$x.mjs run\n');
  expect(unit).toContain('Environment="GATEHOUSE_STATE=/st $ate"\nEnvironmentFile=/e%%v\n');
  expect(environmentText({ A: 'x"y\\z$1`' })).toBe('A="x\\"y\\\\z\\$1\\`"\n');
  expect(() => environmentText({ A: "x\nB=1" })).toThrow("A has several lines");
});

test("[MA18] a state that does not say what was changed: uninstall names the settings and commands, and says nothing of all as removed", async () => {
  const bare = { ...machine, hasSystemd: false };
  expect(await uninstall(options(), bare)).toBe(0);
  expect(events()).toEqual(["settings-unknown", "uninstalled"]);
  const [unknown, done] = terminal.events;
  for (const setting of ["trustedProxies", "controlUi.allowedOrigins", "nodes.pairing.autoApproveLocal"])
    expect(unknown?.text).toContain(`\n  openclaw config unset gateway.${setting}`);
  expect(done?.text).toMatch(/^Removed what was here\./);
  terminal.events.length = 0;
  state.files.write("settings", []);
  await uninstall(options(), bare);
  expect(terminal.events.map(({ event, text }) => [event, text.slice(0, 8)])).toEqual([["uninstalled", "Removed."]]);
});
