/** Builds once when somebody runs the end-to-end tests by themselves; `npm test` has built already. */
import { existsSync } from "node:fs";
import path from "node:path";
import { buildAll } from "../../scripts/build.ts";
import { root } from "../../scripts/children.ts";

export async function setup(): Promise<void> {
  if (!existsSync(path.join(root, "dist/worker/index.js"))) await buildAll();
}
