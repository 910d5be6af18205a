/** The command line at the gateway's machine, against the real OpenClaw: every command, its exit code, its JSON. Tests build on one another. */
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { COMMANDS } from "../../src/connector/cli/commands.ts";
import type { ListedDevice } from "../../src/connector/cli/output.ts";
import { ACCESS_SCOPES } from "../../src/protocol/words.ts";
import { cli } from "../support/cli.ts";
import type { Ran } from "../support/cli.ts";
import { GatewayClient, UpgradeRefused, newKey } from "../support/gateway-client.ts";
import type { OpenclawKey } from "../support/gateway-client.ts";
import { gatewayRpc, pairedDevices } from "../support/gateway-rpc.ts";
import { newPerson, untilOnline } from "../support/person.ts";
import type { AdmittedDevice, Person } from "../support/person.ts";
import { canary, isLinkUp, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const TOKEN = canary();

let stack: Stack;
let openclaw: RunningOpenclaw;
let person: Person;
let connector: RunningConnector;
let home: string;
let stateDir: string;
let gateway: string;
let settingsBefore: unknown;
let phone: AdmittedDevice;
let phoneKey: OpenclawKey;

/** A command at the gateway's machine: its own home folder, the state folder, OpenClaw's address and secret. */
function host(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const own = { HOME: home, OPENCLAW_URL: `ws://127.0.0.1:${openclaw.port}`, OPENCLAW_GATEWAY_TOKEN: TOKEN };
  return cli([...args, "--state", stateDir], { ...own, ...env });
}

function connect(args: readonly string[], env: { token?: string } = {}): RunningConnector {
  const { appOrigin } = stack.control;
  return startConnector({ args, stateDir, appOrigin, gatewayPort: openclaw.port, token: env.token ?? TOKEN });
}

async function listedDevices(): Promise<readonly ListedDevice[]> {
  const [line] = (await host(["devices", "--json"])).json<{ devices: readonly ListedDevice[] }>();
  return line?.devices ?? [];
}

async function settings(): Promise<unknown> {
  const { config } = await gatewayRpc<{ config: { gateway: Record<string, unknown> } }>(openclaw.port, TOKEN, "config.get");
  const { trustedProxies, controlUi, nodes, publicOrigin } = config.gateway;
  return { trustedProxies, controlUi, nodes, publicOrigin };
}

/** Connects as the stock page does, through the room, until OpenClaw's own pairing is finished. */
async function openControlUi(device: AdmittedDevice, key: OpenclawKey): Promise<{ client: GatewayClient; scopes: unknown }> {
  const asked = { key, scopes: ACCESS_SCOPES.full, buildId: "dev" };
  const first = await GatewayClient.dial(stack.control.port, device.headers);
  // The connector pairs the key first, then tells the page to come back (R18).
  expect((await first.connect(asked)).error).toMatchObject({ code: "UNAVAILABLE", details: { reason: "startup-sidecars" } });
  await first.closed;
  expect((await pairedDevices(openclaw.port, TOKEN)).map(({ deviceId }) => deviceId)).toContain(key.id);
  const client = await GatewayClient.dial(stack.control.port, device.headers);
  const answer = await client.connect(asked);
  expect(answer.error).toBe(undefined);
  return { client, scopes: (answer.payload?.["auth"] as { scopes?: unknown } | undefined)?.scopes };
}

/** How a device's next upgrade is answered; not at `/`, where the room itself answers for an ended session (EA3). */
async function statusOf(device: AdmittedDevice): Promise<number> {
  const error: unknown = await GatewayClient.dial(stack.control.port, device.headers, "/socket").then((client) => client.close(), (reason: unknown) => reason); // prettier-ignore
  return error === undefined ? 101 : error instanceof UpgradeRefused ? error.status : 0;
}

beforeAll(async () => {
  [stack, home, stateDir] = [await startStack(), await scratch(), path.join(await scratch(), "state")];
  openclaw = await runOpenclaw({ command: await installOpenclaw(() => undefined), port: await freePort(), stateDir: await scratch(), token: TOKEN }); // prettier-ignore
  settingsBefore = await settings();
  person = await newPerson(stack.control);
});

afterAll(async () => {
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

test("--help: of the whole, and of every command, also as JSON", async () => {
  const whole = await cli(["--help"]);
  expect(whole.code).toBe(0);
  for (const name of Object.keys(COMMANDS)) {
    expect(whole.text).toMatch(new RegExp(`^  ${name} `, "m"));
    const own = await cli([name, "--help"]);
    expect([own.code, own.text.split("\n")[0]]).toEqual([0, expect.stringContaining(`Usage: gatehouse ${name}`)]);
  }
  expect((await cli(["cut", "--help", "--json"])).json()).toMatchObject([
    { event: "help", help: expect.stringContaining("[device]") as string },
  ]);
  const version = await cli(["--version"]);
  expect([version.code, version.text]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
});

test.each([
  [[], "Usage: gatehouse <command>"],
  [["fly"], 'Unknown command "fly". See '],
  [["status", "--wings"], "Unknown option --wings. See "],
  [["owners", "lst"], 'does not take "lst". Did you mean list?'],
  [["up", "--app", "nowhere"], "Say where your Gatehouse is: --app https://…"],
])("wrong usage %j ends with 2 and says what to do", async (args, text) => {
  const plain = await host(args);
  expect([plain.code, plain.text]).toEqual([2, expect.stringContaining(text)]);
  const json = await host([...args, "--json"]);
  expect(json.code).toBe(2);
  expect(json.json().at(-1)).toMatchObject({ error: expect.stringContaining(text) as string });
});

test("before an enrolment: nothing to show, and nothing is left behind by looking", async () => {
  expect([(await host(["status"])).code, (await host(["devices"])).code, (await host(["access-list"])).code]).toEqual([1, 1, 1]);
  expect((await host(["status"])).text).toEqual(expect.stringMatching(/^This machine is not enrolled yet\. Start with: .* up$/));
  const doctor = await host(["doctor"]);
  expect(doctor.code).toBe(1);
  expect(doctor.text).toContain("FAIL enrolled: run `");
  expect(doctor.text).toContain("ok   gateway (this shell): answers at");
  expect(existsSync(stateDir)).toBe(false);
  expect(readdirSync(home)).toEqual([]);
});

test("up <code>: 3 until the words are confirmed, then the gateway is served and its settings are as they must be", async () => {
  const { id, enrolment, code } = await person.addGateway("Home");
  gateway = id;
  const first = connect(["up", code, "--yes"]);
  const words = await person.checkWords(enrolment, "Home");
  expect(await first.child.ended()).toBe(3);
  expect(first.events.find((event) => event.event === "check-words")).toMatchObject({ words });
  connector = connect(["up", "--yes", "--check-words", words]);
  await connector.until(isOnline, "online");
  await connector.until(isLinkUp, "linked");
  await untilOnline(person, gateway);
  expect(await settings()).toMatchObject({ trustedProxies: ["127.0.0.1", "::1"], nodes: { pairing: { autoApproveLocal: false } } });
  expect(statSync(stateDir).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(stateDir)) expect(statSync(path.join(stateDir, name)).mode & 0o077).toBe(0);
});

test("a second connector with the same folder, and a second enrolment under it, are refused", async () => {
  expect([(await host(["run"])).code, (await host(["up", "gthc_x", "--replace", "--app", stack.control.appOrigin])).code]).toEqual([1, 1]);
  const asked = await host(["up", "gthc_x", "--app", stack.control.appOrigin]);
  expect([asked.code, asked.text]).toEqual([3, expect.stringContaining("This machine already serves Home. Run it again with --add")]);
  expect((await host(["uninstall", "--yes"])).text).toBe("The connector is running. Stop it first, then run this again.");
  expect((await host(["reset", "--yes"])).code).toBe(1);
});

test("status and doctor: all is well, for people and for scripts", async () => {
  const plain = await host(["status"]);
  expect(plain.code).toBe(0);
  expect(plain.text).toMatch(
    /^Gateway +Home, http.*\nConnection connected\nOpenClaw +2026\.9\.6, online\nStreams +0\nAccess +1 entries, head /,
  );
  const [json] = (await host(["status", "--json"])).json<{ event: string; status: object }>();
  expect(json).toMatchObject({ event: "status", status: { gateway, link: "up", openclaw: { state: "online" }, alarm: null } });
  const doctor = await host(["doctor", "--json"]);
  expect(doctor.code).toBe(0);
  const checks = doctor.json<{ event: string; check: string; ok: boolean }>();
  expect(checks.filter(({ event }) => event === "check").map(({ check, ok }) => [check, ok])).toEqual([
    ["enrolled", true],
    ["secret", true],
    ["gateway", true],
    ["connector", true],
    ["disk", true],
    ["user", true],
    ["proxy", true],
    ["link", true],
    ["version", true],
    ["clock", true],
    ["approval page", true],
    ["lock", true],
    ["self-test", true],
  ]);
});

test("[KL4] [LP1] [LP2] the host's ceiling holds against the owner's own signature", async () => {
  expect((await host(["policy", "--max-access", "chat", "--max-days", "7"])).code).toBe(0);
  const wide = await person.grant(gateway, 1, "full");
  await expect(wide.open()).rejects.toThrow("the device is unknown");
  const asked = await host(["policy", "--max-access", "full"]);
  expect(asked).toMatchObject({ code: 0, text: expect.stringContaining("It waits for an owner's passkey") as unknown });
  expect((await host(["policy", "--json"])).json()).toMatchObject([{ event: "policy", policy: { maxAccess: "chat" } }]);
  await person.approveChange(gateway);
  expect((await host(["policy", "--json"])).json()).toMatchObject([{ event: "policy", policy: { maxAccess: "full" }, waiting: [] }]);
  phoneKey = newKey();
  phone = await (await person.grant(gateway, 2)).open(phoneKey);
});

test("[ST3] chat and look only: the real gateway's hello names exactly these scopes", async () => {
  const full = await openControlUi(phone, phoneKey);
  expect(new Set(full.scopes as string[])).toEqual(new Set(ACCESS_SCOPES.full));
  full.client.close();
  for (const [number, access] of [
    [3, "chat"],
    [4, "look"],
  ] as const) {
    const key = newKey();
    const device = await (await person.grant(gateway, number, access)).open(key);
    const { client, scopes } = await openControlUi(device, key);
    expect(new Set(scopes as string[])).toEqual(new Set(ACCESS_SCOPES[access]));
    client.close();
  }
});

test("[CUT2] devices, and cut on the host: streams end, OpenClaw's entry goes, the room denies", async () => {
  const client = await GatewayClient.dial(stack.control.port, phone.headers);
  const list = await listedDevices();
  expect(list.find((each) => each.device === phone.id)).toMatchObject({
    state: "allowed",
    access: "full",
    name: "Device 2",
  });
  expect((await host(["cut", "z".repeat(26)])).code).toBe(1);
  const cut = await host(["cut", phone.id, "--json"]);
  expect(cut.code).toBe(0);
  expect(cut.json()).toMatchObject([{ event: "cut", device: phone.id, result: { streamsClosed: 1, removed: 1, done: true } }]);
  expect((await client.closed).code).toBe(4403);
  expect((await pairedDevices(openclaw.port, TOKEN)).some((each) => each.deviceId === phoneKey.id)).toBe(false);
  expect(await statusOf(phone)).toBe(401);
  expect((await host(["devices"])).text).toContain(`${phone.id}  cut`);
});

test("owners, lock, audit: what stands there verifies, and a changed copy does not", async () => {
  const [owners] = (await host(["owners", "--json"])).json();
  expect(owners).toMatchObject({ event: "owners", owners: [{ credentialId: person.authenticator.ownerKey.credentialId }] });
  expect((await host(["owners", "remove", person.authenticator.ownerKey.credentialId])).text).toContain("It is the last owner's passkey");
  expect((await host(["access-list", "show", "--json"])).json()).toMatchObject([{ event: "access-list", gateway, owners: 1, alarm: null }]);
  expect((await host(["access-list", "verify", "--json"])).json()).toMatchObject([{ event: "verified", gateway }]);
  const copy = path.join(home, "copy.jsonl");
  const lines = readFileSync(path.join(stateDir, "key-log.jsonl"), "utf8").trimEnd().split("\n");
  writeFileSync(copy, lines.toSpliced(1, 1).join("\n"));
  const fault = await host(["access-list", "verify", copy]);
  expect([fault.code, fault.text]).toEqual([1, expect.stringContaining("does not verify: entry 1 (line 2)")]);
  expect((await host(["access-list", "verify", path.join(home, "none")])).code).toBe(1);
  const exported = path.join(home, "audit.jsonl");
  const audit = await person.text(`/api/gateways/${gateway}/audit.jsonl`);
  writeFileSync(exported, audit);
  expect((await host(["history", "--json"])).json()).toMatchObject([{ event: "history" }]);
  expect((await host(["history", "verify", exported, "--json"])).json()).toMatchObject([{ event: "verified" }]);
  writeFileSync(exported, audit.split("\n").toSpliced(2, 1).join("\n"));
  expect((await host(["history", "verify", exported])).code).toBe(1);
  rmSync(copy);
  rmSync(exported);
});

test("[KL8] [LINK8] rotate-key while it runs: streams stay, new devices come in, and after a restart the new key is the one", async () => {
  const tabletKey = newKey();
  const tablet = await (await person.grant(gateway, 5)).open(tabletKey);
  const client = await GatewayClient.dial(stack.control.port, tablet.headers);
  const before = readFileSync(path.join(stateDir, "identity.json"), "utf8");
  expect((await host(["rotate-key"])).text).toMatch(/^This machine has a new key/);
  expect(readFileSync(path.join(stateDir, "identity.json"), "utf8")).not.toBe(before);
  expect((await client.connect({ key: tabletKey, buildId: "dev" })).error?.code).toBe("UNAVAILABLE");
  expect(await statusOf(await (await person.grant(gateway, 6)).open())).toBe(101);
  await connector.stop();
  // And once more without a connection: the room is shown the way at the next link.
  expect((await host(["rotate-key", "--json"])).json()).toMatchObject([{ event: "rotate-key", ok: true }]);
  connector = connect(["run"]);
  await connector.until(isLinkUp, "linked again");
  await connector.until(isOnline, "online again");
  await untilOnline(person, gateway);
  expect(await statusOf(tablet)).toBe(101);
  expect((await host(["access-list", "verify"])).code).toBe(0);
});

test("cut --all: nobody is in, on the machine and in the room", async () => {
  const tablet = await (await person.grant(gateway, 7)).open();
  const client = await GatewayClient.dial(stack.control.port, tablet.headers);
  expect((await host(["cut", "--all"])).code).toBe(0);
  expect((await client.closed).code).toBe(4403);
  const states = (await listedDevices()).map((each) => each.state);
  expect(new Set(states)).toEqual(new Set(["cut"]));
  expect(await statusOf(tablet)).toBe(401);
  expect(await statusOf(await (await person.grant(gateway, 8)).open())).toBe(101);
});

test("[CUT2] Ctrl-C ends it with 0 and leaves no socket; without it the host still decides, and the room hears of it later", async () => {
  const tablet = await (await person.grant(gateway, 9)).open();
  const ended = once(connector.child.process, "exit");
  connector.child.process.kill("SIGINT");
  expect(await ended).toEqual([0, null]);
  expect(existsSync(path.join(stateDir, "control.sock"))).toBe(false);
  const status = await host(["status"]);
  expect([status.code, status.text]).toEqual([1, expect.stringMatching(/^The connector is not running\. Start it with: .* run$/)]);
  expect((await host(["cut", tablet.id])).text).toBe("Cut on this machine. The connector finishes the rest when it runs again.");
  expect((await host(["doctor"])).text).toContain("ok   settings (this shell): as they must be");
  connector = connect(["run"]);
  await connector.until(isOnline, "online again");
  await untilOnline(person, gateway);
  while ((await statusOf(tablet)) !== 401);
});

test("doctor: a wrong secret, missing settings, a gateway that does not run, each with its cure and its code", async () => {
  await connector.stop();
  const wrong = await host(["doctor"], { OPENCLAW_GATEWAY_TOKEN: canary() });
  expect([wrong.code, wrong.text]).toEqual([
    1,
    expect.stringContaining("FAIL openclaw (this shell): the secret is wrong: set OPENCLAW_GATEWAY_TOKEN"),
  ]);
  const refused = connect(["run"], { token: canary() });
  await refused.until(
    (event) => event.event === "openclaw" && (event["report"] as { reason?: string }).reason === "auth-failed",
    "refused",
  );
  const running = await host(["doctor"]);
  expect([running.code, running.text]).toEqual([1, expect.stringContaining("FAIL self-test: offline: the secret is wrong")]);
  await refused.stop();
  const { hash } = await gatewayRpc<{ hash: string }>(openclaw.port, TOKEN, "config.get");
  const raw = JSON.stringify({ gateway: { nodes: { pairing: { autoApproveLocal: true } } } });
  await gatewayRpc(openclaw.port, TOKEN, "config.patch", { raw, baseHash: hash });
  const missing = await host(["doctor"]);
  expect(missing.code).toBe(5);
  expect(missing.text).toContain("+ gateway.nodes.pairing.autoApproveLocal: false");
  connector = connect(["run"]);
  await connector.until(
    (event) => event.event === "openclaw" && (event["report"] as { state: string }).state === "needs-settings",
    "needs settings",
  );
  const waits = await host(["doctor"]);
  expect([waits.code, waits.text]).toEqual([5, expect.stringContaining("FAIL self-test: needs-settings: ")]);
  for (const { text } of [waits, await host(["status"])]) expect(text).toContain("+ gateway.nodes.pairing.autoApproveLocal: false");
  await connector.stop();
  await openclaw.stop();
  const stopped = await host(["doctor"]);
  expect(stopped.code).toBe(1);
  expect(stopped.text).toContain("Start it with: openclaw gateway run");
  const away = await host(["uninstall", "--yes"]);
  expect([away.code, away.text]).toEqual([1, expect.stringContaining("OpenClaw does not answer. Start it, then run this again")]);
  expect(existsSync(path.join(stateDir, "settings.json"))).toBe(true);
  await openclaw.start();
}, 400_000);

test("install --print changes nothing; uninstall asks, then puts OpenClaw's settings back and leaves no folder", async () => {
  const install = await host(["install", "--print", "--json"]);
  expect(install.code).toBe(0);
  expect(install.json()).toMatchObject([{ event: "install", unit: expect.stringContaining("DynamicUser=yes") as string }]);
  // Killed ones are back soon and always; one that was refused for good stays down.
  expect(install.json()[0]?.["unit"]).toMatch(
    /StartLimitIntervalSec=0\n[^]*Restart=on-failure\nRestartSec=1\nRestartPreventExitStatus=2 4 6\n/,
  );
  expect(readdirSync(home)).toEqual([]);
  const asked = await host(["uninstall"]);
  expect([asked.code, asked.text]).toEqual([3, "Nothing was changed. Run again with --yes."]);
  const done = await host(["uninstall", "--yes"]);
  expect([done.code, done.text]).toEqual([0, expect.stringContaining("- gateway.trustedProxies")]);
  expect(existsSync(stateDir)).toBe(false);
  const { nodes, ...rest } = (await settings()) as { nodes?: unknown };
  const { nodes: _before, ...restBefore } = settingsBefore as { nodes?: unknown };
  expect(rest).toEqual(restBefore);
  // What somebody set since is not ours to take away.
  expect(nodes).toEqual({ pairing: { autoApproveLocal: true } });
  // The folder is lost: what it knew is not said to be put back.
  const lost = await host(["uninstall", "--yes"]);
  expect([lost.code, lost.text]).toEqual([
    0,
    expect.stringMatching(/\n {2}openclaw config unset gateway\.trustedProxies\n[^]*Removed what was here\./),
  ]);
});

test("reset: the machine forgets, OpenClaw's settings stay", async () => {
  const { enrolment, code } = await person.addGateway("Cabin");
  const first = connect(["up", code, "--yes"]);
  const words = await person.checkWords(enrolment, "Cabin");
  await first.stop();
  connector = connect(["up", "--yes", "--check-words", words]);
  await connector.until(isOnline, "online");
  await connector.stop();
  expect((await host(["reset"])).code).toBe(3);
  expect((await host(["reset", "--yes", "--json"])).json()).toMatchObject([{ event: "reset" }]);
  expect((await host(["devices"])).code).toBe(1);
  expect(await settings()).toMatchObject({ nodes: { pairing: { autoApproveLocal: false } } });
});
