// Entry of `npm start`, `npm test`, `npm run deploy`, `npm run bench` and the like on a bare clone: plain JavaScript for Node 20. Checks the inputs of
// `npm start`, installs what is missing, then hands over to the project's own Node 24, which runs the TypeScript sources directly.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled } from "./installed.mjs";
import { isTaken, takenSentence } from "./running-instance.mjs";
import { HELP, InputError, readInputs } from "./start-inputs.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** @type {Readonly<Record<string, string>>} */
const scripts = {
  start: "scripts/start.ts",
  test: "scripts/test.ts",
  deploy: "scripts/deploy.ts",
  bench: "test/bench/main.ts",
  simulate: "test/simulator/main.ts",
  soak: "test/soak/main.ts",
  compat: "scripts/compat.ts",
};
const [command = "", ...rest] = process.argv.slice(2);
const script = scripts[command];
if (script === undefined) {
  console.error(`Unknown command "${command}". One of: ${Object.keys(scripts).join(", ")}`);
  process.exit(2);
}

if (command === "start")
  try {
    const { state, help } = readInputs(rest, process.env, root);
    if (help) {
      console.log(HELP);
      process.exit(0);
    }
    // Before the install as well: it would replace the packages under the one that runs.
    if (await isTaken(state)) {
      console.error(takenSentence(state));
      process.exit(1);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.error(error.message);
    process.exit(2);
  }

const node = path.join(root, "node_modules/node/bin/node");
if (!existsSync(node) || !isInstalled(root)) {
  console.error("Installing what Gatehouse needs (about a minute, once) …");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (npm.status !== 0 || !existsSync(node)) {
    console.error("npm ci did not finish. Check the network and the disk, then run the same command again.");
    process.exit(1);
  }
}

const env = { ...process.env, PATH: `${path.join(root, "node_modules/.bin")}${path.delimiter}${process.env["PATH"] ?? ""}` };
const child = spawn(node, [path.join(root, script), ...rest], { cwd: root, env, stdio: "inherit" });
// The terminal sends Ctrl-C to the whole group; a script that signals only us must reach the child as well.
for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
process.on("SIGINT", () => {
  if (!process.stdin.isTTY) child.kill("SIGINT");
});
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 143)));
