/** Type-checks every folder with its own tsconfig: what a runtime does not have does not exist there. */
import { readdirSync, existsSync } from "node:fs";
import path from "node:path";
import { root, run } from "./children.ts";

const projects = ["src", "test"]
  .flatMap((folder) => readdirSync(path.join(root, folder)).map((name) => path.join(folder, name)))
  .concat("scripts")
  .filter((folder) => existsSync(path.join(root, folder, "tsconfig.json")));

let failed = 0;
for (const project of projects) {
  try {
    await run(`tsc -p ${project}`, { args: [path.join(root, "node_modules/typescript/bin/tsc"), "-p", project] });
    console.log(`  ${project} ok`);
  } catch (error) {
    failed += 1;
    console.error(error instanceof Error ? error.message : String(error));
  }
}
if (failed > 0) process.exit(1);
