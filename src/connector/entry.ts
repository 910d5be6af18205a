/** What is started: looks at Node and system first, then loads the program. Static imports of the program would fail before any word. */
import { startProblem } from "./cli/start-check.ts";

const PROGRAM = "./connector.mjs";
const problem = startProblem(process.versions.node, process.platform);

if (problem === null) void import(PROGRAM);
else {
  process.exitCode = 1;
  if (process.argv.indexOf("--json") === -1) process.stderr.write(`${problem}\n`);
  else process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), event: "system", error: problem })}\n`);
}
