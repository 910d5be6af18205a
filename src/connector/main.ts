/** The `gatehouse` command. */
import { runCommandLine } from "./cli/run.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  script: process.argv[1] ?? "",
  folder: import.meta.dirname,
});
