/** How a hint names this program on the machine where it is read. */
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test, vi } from "vitest";
import { programText } from "../../../src/connector/cli/program.ts";
import { Terminal } from "../../../src/connector/cli/terminal.ts";

function machine() {
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-program-"));
  const bin = path.join(dir, "bin");
  mkdirSync(bin);
  const executable = (file: string): string => {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, "");
    chmodSync(file, 0o755);
    return file;
  };
  return { dir, bin, executable };
}

test("[CLI8] a program on the path is named alone, another with its Node", () => {
  const { dir, bin, executable } = machine();
  const node = executable(path.join(dir, "node-24/bin/node"));
  const script = executable(path.join(dir, "lib/gatehouse.mjs"));
  expect(programText({ script, node, path: bin })).toBe(`${node} ${script}`);
  symlinkSync(node, path.join(bin, "node"));
  expect(programText({ script, node, path: bin })).toBe(`node ${script}`);
  symlinkSync(script, path.join(bin, "gatehouse"));
  expect(programText({ script: path.join(bin, "gatehouse"), node, path: bin })).toBe("gatehouse");
  expect(programText({ script, node, path: "" })).toBe(`${node} ${script}`);
});

test("[CLI8] after npx the hint says npx and the package it was given", () => {
  const { dir, bin, executable } = machine();
  const script = executable(path.join(dir, "_npx/0123abcd/node_modules/gatehouse/gatehouse.mjs"));
  const packages = ["https://gatehouse.example/connector.tgz"];
  writeFileSync(path.join(dir, "_npx/0123abcd/package.json"), JSON.stringify({ _npx: { packages } }));
  expect(programText({ script, node: process.execPath, path: bin, state: "/my state" })).toBe(
    `npx -y ${packages[0] ?? ""} --state '/my state'`,
  );
  writeFileSync(path.join(dir, "_npx/0123abcd/package.json"), "{");
  expect(programText({ script, node: "/opt/node", path: bin })).toBe(`/opt/node ${script}`);
});

test("[CLI8] a command in a text is rewritten, other words stay", () => {
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const terminal = new Terminal({ json: false });
  terminal.program = "npx -y x";
  terminal.say("e", "Run: gatehouse up. `gatehouse access-list verify` checks. The gatehouse stays; /opt/gatehouse run-time too.");
  expect(printed).toHaveBeenCalledWith(
    "Run: npx -y x up. `npx -y x access-list verify` checks. The gatehouse stays; /opt/gatehouse run-time too.",
  );
  printed.mockRestore();
});
