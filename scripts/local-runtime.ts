/**
 * The control plane's runtime on this machine, as a process: `local-runtime.ts <port> <folder of its state> <variables, JSON>`, the secret in the
 * environment. One workerd with the built Worker, as on Cloudflare; `wrangler dev` would put a second one before it, through which every request and
 * every message of every stream passes, and restart it whenever a file changes.
 */
import { cpSync, readFileSync, realpathSync, rmSync } from "node:fs";
import path from "node:path";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";
import { root } from "./children.ts";

const [port = "", stateDir = "", variables = "{}"] = process.argv.slice(2);
// A copy of its own: the next build exchanges what `dist` points to, and pages are read when somebody asks for them.
const built = path.join(stateDir, "build");
rmSync(built, { recursive: true, force: true });
cpSync(realpathSync(path.join(root, "dist")), built, { recursive: true, filter: (file) => !file.endsWith(".map") });
// Rules for finding modules are left out: the built Worker is one, and this runtime takes none.
const { modulesRules: _rules, ...workerOptions } = workerOptionsOf(path.join(root, "wrangler.toml")).workerOptions;
const runtime = new Miniflare(
  convertV4MiniflareOptions({
    ...workerOptions,
    assets: { ...(workerOptions.assets as object | undefined), directory: path.join(built, "pages") },
    host: "127.0.0.1",
    port: Number(port),
    resourcePersistencePath: path.join(stateDir, "v3"),
    // Where visitors come from is asked of nobody: they come from here.
    cf: false,
    log: new Log(LogLevel.WARN),
    modules: true,
    script: readFileSync(path.join(built, "worker/index.js"), "utf8"),
    bindings: {
      ...(workerOptions.bindings as Record<string, string> | undefined),
      ...(JSON.parse(variables) as Record<string, string>),
      GATEHOUSE_SECRET: process.env["GATEHOUSE_SECRET"] ?? "",
    },
  }),
);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void runtime.dispose().then(() => process.exit(0)));
await runtime.ready;
