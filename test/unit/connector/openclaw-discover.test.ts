/** Where OpenClaw listens and what its secret is, read as OpenClaw reads it; and what is said when that fails. */
import { createRequire } from "node:module";
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { root, start } from "../../../scripts/children.ts";
import { chooseProfile } from "../../../src/connector/cli/profile-question.ts";
import { SeveralProfilesError } from "../../../src/connector/openclaw/config-file.ts";
import { DiscoverError, discoverGateway } from "../../../src/connector/openclaw/discover.ts";
import { ID_Continue, ID_Start, Space_Separator } from "../../../src/connector/openclaw/json5-unicode.ts";
import { GATEWAY_CERTIFICATE } from "../../support/gateway-certificate.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), "gatehouse-home-"));
});

/** Writes a file below the home. @returns its path */
function write(name: string, text: string): string {
  const file = path.join(home, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function find(env: NodeJS.ProcessEnv = {}): ReturnType<typeof discoverGateway> {
  return discoverGateway({ HOME: home, ...env });
}

const JSON5_CONFIG = `{
  // A comment, a key without quotes, a trailing comma.
  gateway: { port: 19001, auth: { mode: 'token', token: 'plain' }, },
}`;

test("[OC2] the config is JSON5, and its port is used", () => {
  const file = write(".openclaw/openclaw.json", JSON5_CONFIG);
  expect(find()).toEqual({
    target: { host: "127.0.0.1", port: 19001 },
    other: { host: "::1", port: 19001 },
    secret: { kind: "token", value: "plain" },
    secretSource: file,
  });
});

test("[OC2] the variable comes before the config's port, and 18789 is last", () => {
  expect(find().target.port).toBe(18789);
  write(".openclaw/openclaw.json", JSON5_CONFIG);
  write(".openclaw/.env", "OPENCLAW_GATEWAY_PORT=19002\n");
  expect(find().target.port).toBe(19002);
  expect(find({ OPENCLAW_GATEWAY_PORT: "19003" }).target.port).toBe(19003);
  expect(find({ OPENCLAW_GATEWAY_PORT: "no port" }).target.port).toBe(19001);
});

test.each([
  ["127.0.0.1:20520", ["127.0.0.1"], 20520],
  ["ws://127.0.0.1:20520", ["127.0.0.1"], 20520],
  ["http://127.0.0.1", ["127.0.0.1"], 80],
  ["[::1]:20520", ["::1"], 20520],
  ["localhost:20520", ["127.0.0.1", "::1"], 20520],
])("[OC2] OPENCLAW_URL %s", (text, hosts, port) => {
  const { target, other } = find({ OPENCLAW_URL: text });
  expect([target, ...(other === null ? [] : [other])]).toEqual(hosts.map((host) => ({ host, port })));
});

test.each(["ws://10.0.0.5:18789", "10.0.0.5:18789", "ws://127.evil.example", "wss://box.example", "ftp://127.0.0.1", "ws://"])(
  "[OC2] OPENCLAW_URL %s is refused",
  (text) => {
    expect(() => find({ OPENCLAW_URL: text })).toThrow(DiscoverError);
  },
);

test.each([
  ["a variable of the process", { OPENCLAW_GATEWAY_TOKEN: "t" }, "token", "t"],
  ["a password", { OPENCLAW_GATEWAY_PASSWORD: "p" }, "password", "p"],
  ["a reference to the process", { NAME: "from-process" }, "token", "from-process"],
  ["a reference to the state folder's .env", {}, "token", "from-dotenv"],
])("[OC3] the secret from %s", (_what, env, kind, value) => {
  write(".openclaw/openclaw.json", "{ gateway: { auth: { token: '${NAME}' } } }");
  write(".openclaw/.env", "NAME='from-dotenv'\n");
  expect(find(env).secret).toEqual({ kind, value });
});

test("[OC3] a secret reference to the environment, the config's own variables, an escaped dollar", () => {
  write(".openclaw/openclaw.json", "{ env: { vars: { A: 'inline' } }, gateway: { auth: { token: { source: 'env', id: 'A' } } } }");
  expect(find().secret?.value).toBe("inline");
  write(".openclaw/openclaw.json", "{ gateway: { auth: { mode: 'password', password: '$${A}' } } }");
  expect(find().secret).toEqual({ kind: "password", value: "${A}" });
  write(".openclaw/openclaw.json", "{ gateway: {} }");
  write(".openclaw/.env", "OPENCLAW_GATEWAY_TOKEN=of-the-gateway\n");
  expect(find().secret).toEqual({ kind: "token", value: "of-the-gateway" });
});

test("[OC3] a file holds the secret", () => {
  const file = write("secret", "from-file\n");
  expect(find({ OPENCLAW_GATEWAY_TOKEN_FILE: file })).toMatchObject({ secret: { kind: "token", value: "from-file" }, secretSource: file });
  expect(find({ OPENCLAW_GATEWAY_PASSWORD_FILE: file }).secret).toEqual({ kind: "password", value: "from-file" });
  expect(find({ OPENCLAW_GATEWAY_TOKEN_FILE: write("empty", "\n") }).secret).toBe(null);
});

test.each([
  ["no config", null, "(ENOENT)"],
  ["a config that is none", "{", "is no JSON5"],
  ["an unknown variable", "{ gateway: { auth: { token: '${NOWHERE}' } } }", "is ${NOWHERE}"],
  ["a reference that only OpenClaw resolves", "{ gateway: { auth: { token: { source: 'exec', provider: 'vault', id: 'x' } } } }", 'source "exec", provider "vault"'], // prettier-ignore
  ["no secret at all", "{ gateway: { auth: {} } }", "holds no secret"],
  ["no sign-in", "{ gateway: { auth: { mode: 'none' } } }", "must be token or password"],
])("[OC3] the error names the file: %s", (_what, text, words) => {
  const file = path.join(home, ".openclaw/openclaw.json");
  if (text !== null) write(".openclaw/openclaw.json", text);
  const { secret, secretSource } = find();
  expect(secret).toBe(null);
  expect(secretSource).toContain(file);
  expect(secretSource).toContain(words);
});

test("[OC3] the error names the user who cannot read it", () => {
  expect(find().secretSource).toContain(`by user ${os.userInfo().username}`);
  expect(find({ OPENCLAW_GATEWAY_TOKEN_FILE: "/nowhere/token" }).secretSource).toContain("/nowhere/token");
});

test("[OC4] TLS pins the certificate that the config names, or OpenClaw's own", () => {
  const certificate = write("cert.pem", GATEWAY_CERTIFICATE);
  const config = (more: string): string => write(".openclaw/openclaw.json", `{ gateway: { auth: { token: 't' }, tls: { ${more} } } }`);
  config(`enabled: true, certPath: '${certificate}'`);
  const pinned = { certificate: GATEWAY_CERTIFICATE, fingerprint: expect.stringMatching(/^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/) as string };
  expect(find()).toMatchObject({ target: { tls: pinned }, other: { tls: pinned } });
  expect(find({ OPENCLAW_URL: "wss://127.0.0.1:1" }).target).toMatchObject({ port: 1, tls: pinned });
  expect(find({ OPENCLAW_URL: "ws://127.0.0.1:1" }).target).not.toHaveProperty("tls");
  config("enabled: true");
  expect(() => find()).toThrow(path.join(home, ".openclaw/gateway/tls/gateway-cert.pem"));
  write(".openclaw/gateway/tls/gateway-cert.pem", GATEWAY_CERTIFICATE);
  expect(find().target.tls).toEqual(pinned);
  write(".openclaw/gateway/tls/gateway-cert.pem", "no certificate");
  expect(() => find()).toThrow(DiscoverError);
});

test("[OC5] a profile's folder, the only one, or the default one", () => {
  const config = (token: string): string => `{ gateway: { auth: { token: '${token}' } } }`;
  write(".openclaw-rescue/openclaw.json", config("rescue"));
  expect(find().secret?.value).toBe("rescue");
  write(".openclaw-ops/openclaw.json", config("ops"));
  expect(() => find()).toThrow("Several OpenClaw profiles are here: ops, rescue.");
  expect(find({ OPENCLAW_PROFILE: "ops" }).secret?.value).toBe("ops");
  expect(find({ OPENCLAW_CONFIG_PATH: path.join(home, ".openclaw-rescue/openclaw.json") }).secret?.value).toBe("rescue");
  expect(find({ OPENCLAW_STATE_DIR: "~/.openclaw-ops" }).secret?.value).toBe("ops");
  write(".openclaw/openclaw.json", config("default"));
  expect(find().secret?.value).toBe("default");
  expect(find({ OPENCLAW_PROFILE: "default" }).secret?.value).toBe("default");
  expect(() => find({ OPENCLAW_PROFILE: "../x" })).toThrow(DiscoverError);
});

test("[OC2] the short character classes know every name that the library's own know", () => {
  const whole = createRequire(import.meta.url)("json5/lib/unicode.js") as Record<string, RegExp>;
  const differ: string[] = [];
  for (let code = 0; code < 0x10000; code += 1) {
    const text = String.fromCharCode(code);
    for (const [name, known] of Object.entries({ Space_Separator, ID_Start, ID_Continue }))
      // Node's Unicode is newer than the library's: it may know more, never less.
      if (whole[name]?.test(text) === true && !known.test(text)) differ.push(`${name} ${code.toString(16)}`);
  }
  expect(differ).toEqual([]);
});

test("[OC5] a person is asked which profile, and nobody else is", async () => {
  for (const name of ["ops", "rescue"]) write(`.openclaw-${name}/openclaw.json`, `{ gateway: { auth: { token: '${name}' } } }`);
  const env: NodeJS.ProcessEnv = { HOME: home };
  const asked: string[] = [];
  const person = (answer: string, isInteractive = true) => ({
    isInteractive,
    ask: (question: string) => {
      asked.push(question);
      return Promise.resolve(answer);
    },
  });
  await expect(chooseProfile(env, person("ops", false))).rejects.toThrow(SeveralProfilesError);
  await expect(chooseProfile(env, person("other"))).rejects.toThrow(SeveralProfilesError);
  expect(env["OPENCLAW_PROFILE"]).toBe(undefined);
  await chooseProfile(env, person("rescue"));
  expect([asked.length, asked[0]]).toEqual([2, "Several OpenClaw profiles are here: ops, rescue. Which one? "]);
  expect(discoverGateway(env).secret?.value).toBe("rescue");
});

test("[OC5] without a terminal the exit code is 3, the profiles are listed, and nothing is made", async () => {
  for (const name of ["ops", "rescue"]) write(`.openclaw-${name}/openclaw.json`, "{}");
  const state = path.join(home, "state");
  const lines: string[] = [];
  const args = [path.join(root, "src/connector/main.ts"), "up", "--json", "--state", state, "--app", "http://localhost:1"];
  const child = start({ args, env: { PATH: process.env["PATH"] ?? "", HOME: home }, onLine: (line) => lines.push(line) });
  expect(await child.ended()).toBe(3);
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ event: "several-profiles", profiles: ["ops", "rescue"] });
  expect(existsSync(state)).toBe(false);
});

test("[OC7] included files stand in their places: one, several in order, nested, with more beside them", () => {
  write(".openclaw/parts/auth.json5", "{ $include: './token.json5', mode: 'token' }");
  write(".openclaw/parts/token.json5", "{ token: 'included', mode: 'password' }");
  write(".openclaw/openclaw.json", "{ gateway: { port: 19005, auth: { $include: 'parts/auth.json5' } } }");
  expect(find()).toMatchObject({ target: { port: 19005 }, secret: { kind: "token", value: "included" } });
  write(".openclaw/a.json5", "{ gateway: { port: 19006, auth: { token: 'a' } } }");
  write(".openclaw/b.json5", "{ gateway: { auth: { token: 'b' } } }");
  write(".openclaw/openclaw.json", "{ $include: ['a.json5', './b.json5'] }");
  expect(find()).toMatchObject({ target: { port: 19006 }, secret: { value: "b" } });
});

test.each([
  ["a file outside", "../elsewhere.json5", "lies outside its folder"],
  ["a link to a file outside", "link.json5", "lies outside its folder"],
  ["a file that is not there", "missing.json5", "missing.json5 cannot be read"],
  ["a file that is none", "broken.json5", "is no JSON5"],
  ["a circle", "circle.json5", "includes itself"],
])("[OC7] %s is not read, and the sentence names it", (_what, name, words) => {
  const outside = write("elsewhere.json5", "{ token: 'outside' }");
  write(".openclaw/broken.json5", "{");
  write(".openclaw/circle.json5", "{ $include: './circle.json5' }");
  symlinkSync(outside, path.join(home, ".openclaw/link.json5"));
  write(".openclaw/openclaw.json", `{ gateway: { auth: { $include: '${name}' } } }`);
  expect(find().secret).toBe(null);
  expect(find().secretSource).toContain(words);
});

test("[OC7] another folder that OpenClaw may include is read; includes of no concern are not opened", () => {
  const outside = write("shared/auth.json5", "{ token: 'shared' }");
  write(".openclaw/openclaw.json", `{ agents: { $include: 'missing.json5' }, gateway: { auth: { $include: '${outside}' } } }`);
  expect(find().secret).toBe(null);
  expect(find({ OPENCLAW_INCLUDE_ROOTS: path.join(home, "shared") }).secret?.value).toBe("shared");
});
