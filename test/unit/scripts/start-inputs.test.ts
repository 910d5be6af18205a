/** `npm start` reads its inputs before it installs, builds or changes anything. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { root } from "../../../scripts/children.ts";
import { HELP, InputError, readInputs } from "../../../scripts/start-inputs.mjs";
import { DiscoverError, discoverGateway } from "../../../src/connector/openclaw/discover.ts";

function folder(): string {
  return mkdtempSync(path.join(os.tmpdir(), "gatehouse-inputs-"));
}

function problem(args: readonly string[], env: NodeJS.ProcessEnv): string | null {
  try {
    readInputs(args, env, "/checkout");
    return null;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.message;
  }
}

test("inputs that are left out have their documented values", () => {
  const plain = { port: 8787, state: "/checkout/.gatehouse", withOpenclaw: false, yes: false, help: false };
  expect(readInputs([], {}, "/checkout")).toEqual(plain);
  expect(readInputs([], { PORT: "", GATEHOUSE_STATE: "", OPENCLAW_URL: "" }, "/checkout")).toEqual(plain);
  expect(readInputs(["--with-openclaw", "--yes"], { PORT: "1", GATEHOUSE_STATE: "/s" }, "/checkout")).toEqual({
    ...plain,
    port: 1,
    state: "/s",
    withOpenclaw: true,
    yes: true,
  });
});

test.each([
  [["--port", "1"], {}, "--port"],
  [["openclaw"], {}, "openclaw"],
  [["--yes=true"], {}, "--yes=true"],
  [[], { PORT: "http" }, "PORT"],
  [[], { PORT: "0" }, "PORT"],
  [[], { PORT: "65536" }, "PORT"],
  [[], { PORT: "80.5" }, "PORT"],
  [[], { GATEHOUSE_STATE: import.meta.filename }, "GATEHOUSE_STATE is no folder"],
  [[], { GATEHOUSE_STATE: `/${"z".repeat(100)}` }, "too long"],
  [[], { OPENCLAW_URL: "://" }, "OPENCLAW_URL"],
  [[], { OPENCLAW_URL: "ws://192.0.2.1:18789" }, "loopback"],
  [["--with-openclaw"], { OPENCLAW_URL: "ws://127.0.0.1:18789" }, "--with-openclaw"],
  [[], { OPENCLAW_GATEWAY_TOKEN_FILE: "/nowhere/token" }, "OPENCLAW_GATEWAY_TOKEN_FILE"],
] as const)("%j with %j is refused with a sentence that names it", (args, env, named) => {
  expect(problem(args, env)).toContain(named);
});

test("OPENCLAW_URL is taken exactly where the connector takes it", () => {
  const HOME = folder();
  const urls = ["127.0.0.1:20520", "localhost", "ws://[::1]:1", "http://127.1.2.3", "[::1]:5", "wss://example.com", "ftp://127.0.0.1", "host:1", "ws://127.0.0.1.example", "ws://[::2]", "ws:///", "%", "ws://localhost.:1"]; // prettier-ignore
  for (const OPENCLAW_URL of urls) {
    let isTaken = true;
    try {
      discoverGateway({ HOME, OPENCLAW_URL });
    } catch (error) {
      if (!(error instanceof DiscoverError)) throw error;
      // Which certificate wss needs is said later.
      isTaken = false;
    }
    expect([OPENCLAW_URL, problem([], { OPENCLAW_URL }) === null]).toEqual([OPENCLAW_URL, isTaken]);
  }
});

test.each([
  ["a bad PORT", { PORT: "x" }, [], 2, 'PORT is no port number: "x"'],
  ["--help", { PORT: "8787" }, ["--help"], 0, HELP.split("\n", 1)[0] ?? ""],
])("a bare clone that cannot install answers %s, and has nothing new in it", (_name, env, args, code, said) => {
  const clone = folder();
  const names = readdirSync(path.join(root, "scripts")).filter((each) => each.endsWith(".mjs"));
  // Only the files of the first step, and no npm on the path.
  for (const name of names) cpSync(path.join(root, "scripts", name), path.join(clone, "scripts", name));
  writeFileSync(path.join(clone, "package-lock.json"), "{}");
  const state = path.join(clone, "state");
  const ran = spawnSync(process.execPath, [path.join(clone, "scripts/bootstrap.mjs"), "start", ...args], {
    env: { PATH: "/nowhere", GATEHOUSE_STATE: state, ...env },
    encoding: "utf8",
  });
  expect(`${ran.stdout}${ran.stderr}`).toContain(said);
  expect(ran.status).toBe(code);
  expect(readdirSync(clone).toSorted()).toEqual(["package-lock.json", "scripts"]);
});
