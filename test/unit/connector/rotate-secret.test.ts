/** A new secret of OpenClaw: made here, written once, told nobody; left alone where the config does not hold it. */
import { mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeEach, expect, test } from "vitest";
import { GatewayRefusedError } from "../../../src/connector/openclaw/rpc-client.ts";
import { GatewayAwayError } from "../../../src/connector/openclaw/openclaw-port.ts";
import { SecretSource, rotateSecret } from "../../../src/connector/openclaw/rotate-secret.ts";

const REDACTED = "__OPENCLAW_REDACTED__";
const ENTRY = "e".repeat(64);

let file: string;
let env: NodeJS.ProcessEnv;
let written: unknown;
/** The file that OpenClaw says it reads. */
let named: string | undefined;
let asked: { readonly method: string; readonly params: Readonly<Record<string, unknown>> }[];
let stale: string[];
/** What `config.patch` does. */
let onPatch: (token: string) => void;

function config(token: unknown): void {
  writeFileSync(file, JSON.stringify({ gateway: { auth: { mode: "token", token } } }));
}

beforeEach(() => {
  file = path.join(mkdtempSync(path.join(os.tmpdir(), "gatehouse-secret-")), "openclaw.json");
  // Nobody listens there.
  env = { OPENCLAW_CONFIG_PATH: file, OPENCLAW_URL: "ws://127.0.0.1:1" };
  named = file;
  [written, asked, stale, onPatch] = [REDACTED, [], [], config];
  config("old-secret");
});

function rotate(source = new SecretSource(env)): Promise<string> {
  const request = (method: string, params: object): Promise<unknown> => {
    asked.push({ method, params: { ...params } });
    if (method === "config.get")
      return Promise.resolve({ hash: "h", path: named, parsed: { gateway: { auth: { mode: "token", token: written } } } });
    if (method === "device.pair.list")
      return Promise.resolve({ pending: [], paired: [{ deviceId: ENTRY, publicKey: "k", roles: [], scopes: [], approvedVia: "owner" }] });
    const { gateway } = JSON.parse((params as { raw: string }).raw) as { gateway: { auth: { token: string } } };
    onPatch(gateway.auth.token);
    return Promise.resolve({ ok: true });
  };
  return rotateSecret({ request }, env, { add: (entry) => void stale.push(entry) }, source);
}

const patches = () => asked.filter(({ method }) => method === "config.patch");

test("[SA9] a new secret of 32 random bytes is written once, and tokens from before are marked", async () => {
  const made = new Set<string>();
  onPatch = (token) => {
    made.add(token);
    config(token);
  };
  expect([await rotate(), await rotate()]).toEqual(["done", "done"]);
  expect([...made]).toEqual([expect.stringMatching(/^[\w-]{43}$/), expect.stringMatching(/^[\w-]{43}$/)]);
  expect([patches()[0]?.params["baseHash"], stale]).toEqual(["h", [ENTRY, ENTRY]]);
});

test.each([
  ["a reference", { source: "exec", provider: "vault", id: "x" }, "secret-reference"],
  ["a variable", "${TOKEN_OF_MINE}", "from-environment"],
])("[SA10] %s in the config stays as it is", async (_what, value, outcome) => {
  written = value;
  expect([await rotate(), patches(), stale]).toEqual([outcome, [], []]);
});

test.each(["TOKEN", "PASSWORD", "TOKEN_FILE"])("[SA10] a secret named by OPENCLAW_GATEWAY_%s stays as it is", async (name) => {
  env[`OPENCLAW_GATEWAY_${name}`] = file;
  expect([await rotate(), patches()]).toEqual(["from-environment", []]);
});

test("[SA9] OpenClaw refuses, or goes away before it took it: nothing changed", async () => {
  onPatch = () => {
    throw new GatewayRefusedError("INVALID_REQUEST", "read-only");
  };
  expect(await rotate()).toBe("not-taken");
  onPatch = () => {
    throw new GatewayAwayError("gone");
  };
  expect(await rotate()).toBe("gateway-away");
});

test("[SA9] an answer that is lost after OpenClaw took it is a success", async () => {
  onPatch = (token) => {
    config(token);
    throw new GatewayAwayError("closed 4001");
  };
  expect(await rotate()).toBe("done");
});

test.each([
  ["a variable", "${TOKEN_OF_MINE}", "from-environment"],
  ["a reference", { source: "env", provider: "default", id: "TOKEN_OF_MINE" }, "secret-reference"],
])("[SA10] %s that OpenClaw shows redacted stays as it is", async (_what, value, outcome) => {
  config(value);
  env["TOKEN_OF_MINE"] = "secret-of-the-variable";
  expect([await rotate(), patches(), stale]).toEqual([outcome, [], []]);
});

test("[SA10] a secret of the state folder's .env stays as it is", async () => {
  config(undefined);
  written = undefined;
  writeFileSync(path.join(path.dirname(file), ".env"), "OPENCLAW_GATEWAY_TOKEN=secret-of-the-folder\n");
  expect([await rotate(), patches()]).toEqual(["from-environment", []]);
});

test.each([
  ["OpenClaw shows none in that file", () => (written = undefined)],
  ["OpenClaw reads another file", () => (named = path.join(path.dirname(file), "other.json"))],
  ["OpenClaw names no file", () => (named = undefined)],
])("[SA11] a redacted secret stays as it is where %s", async (_what, change) => {
  change();
  expect([await rotate(), patches(), stale]).toEqual(["source-unknown", [], []]);
});

test("[SA12] the service's copy of the config stays old, and the connector goes on with the new secret", async () => {
  env["CREDENTIALS_DIRECTORY"] = path.dirname(file);
  named = "/home/somebody/.openclaw/openclaw.json";
  let made = "";
  onPatch = (token) => void (made = token);
  const source = new SecretSource(env);
  expect(await rotate(source)).toBe("done");
  expect([made === "", source.discover().secret]).toEqual([false, { kind: "token", value: made }]);
  // Started again, or given another one: what stands there counts.
  config("third-secret");
  expect(source.discover().secret?.value).toBe("third-secret");
});
