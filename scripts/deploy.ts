/** `npm run deploy`: builds, migrates the remote D1, uploads. The account is the one wrangler is signed in to. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { buildAll, workerDefines } from "./build.ts";
import { root, start } from "./children.ts";
import { wrangler } from "./control-plane.ts";

async function wranglerStep(args: readonly string[]): Promise<void> {
  const child = start({ args: [...wrangler, ...args], stdio: "inherit" });
  const code = await new Promise<number>((resolve) => child.process.once("close", (value) => resolve(value ?? 1)));
  if (code !== 0) process.exit(code);
}

const config = readFileSync(path.join(root, "wrangler.toml"), "utf8");
if (config.includes("00000000-0000-0000-0000-000000000000") || config.includes("http://localhost")) {
  process.stderr.write(
    "wrangler.toml still has its local values. Set the database id, the origins and the routes first (README, Deploy).\n",
  );
  process.exit(1);
}
const approval = await buildAll();
await wranglerStep(["d1", "migrations", "apply", "gatehouse", "--remote"]);
await wranglerStep(["deploy", ...(await workerDefines(approval))]);
