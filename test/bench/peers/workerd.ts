/**
 * One workerd with one Worker, as a process: `workerd.ts gatehouse <port> <state folder> <checkout> <public port>` or `workerd.ts mux <port> <state folder>`.
 * SIGUSR2 takes every room out of memory and closes its sockets, SIGWINCH does so and leaves them open, as the platform does with an idle one. Without the second workerd that `wrangler dev` puts in front for its own purposes: on Cloudflare there is none either, and it would hide what relays cost.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";
import { root } from "../../../scripts/children.ts";

type V4Options = Parameters<typeof convertV4MiniflareOptions>[0];

const [kind, portText = "", stateDir = "", checkout = root, publicPort = portText] = process.argv.slice(2);
const port = Number(portText);
const WORKER = "gatehouse";
const EVICTION_TRIES = 5;
const common = {
  host: "127.0.0.1",
  port,
  resourcePersistencePath: path.join(stateDir, "workerd/v3"),
};

async function muxScript(): Promise<string> {
  const entryPoints = [path.join(import.meta.dirname, "mux-object.ts")];
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, format: "esm", external: ["cloudflare:workers"] });
  return outputFiles[0]?.text ?? "";
}

function gatehouseBindings(): Record<string, string> {
  return {
    APP_ORIGIN: `http://localhost:${publicPort}`,
    APPROVE_ORIGIN: `http://approve.localhost:${publicPort}`,
    GATEWAY_DOMAIN: `localhost:${publicPort}`,
    SIGN_UP: "first",
    GATEHOUSE_SECRET: process.env["GATEHOUSE_SECRET"] ?? "",
  };
}

const config = path.join(checkout, "wrangler.toml");
// Rules for finding modules: the built Worker is one, and this runtime takes none.
const { modulesRules: _rules, ...workerOptions } = workerOptionsOf(config).workerOptions;
const own =
  kind === "mux"
    ? {
        modules: true,
        script: await muxScript(),
        compatibilityDate: workerOptions.compatibilityDate,
        durableObjects: { MUX: { className: "Mux", useSQLite: true } },
      }
    : {
        ...workerOptions,
        name: WORKER,
        // One bundled module: the rules for further ones apply to none, and this version of Miniflare takes no such rules.
        modulesRules: undefined,
        modules: true,
        script: readFileSync(path.join(checkout, "dist/worker/index.js"), "utf8"),
        bindings: gatehouseBindings(),
      };
const runtime = new Miniflare(convertV4MiniflareOptions({ ...common, ...own } as V4Options));
await runtime.ready;
process.stdout.write("ready\n");
if (kind !== "mux") {
  const all = async (webSockets: "close" | "hibernate"): Promise<void> => {
    for (const id of await runtime.listDurableObjectIds("ROOM")) await evict(id, webSockets);
    process.stdout.write("evicted\n");
  };
  process.on("SIGUSR2", () => void all("close"));
  process.on("SIGWINCH", () => void all("hibernate"));
}

/** A room that is just answering somebody is not taken out at once: the runtime waits a moment for it, and gives up. */
async function evict(id: string, webSockets: "close" | "hibernate"): Promise<void> {
  for (let tries = 1; ; tries += 1)
    try {
      return await runtime.unsafeEvictDurableObject(WORKER, "Room", { id, webSockets });
    } catch (error) {
      if (tries === EVICTION_TRIES) throw error;
    }
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void runtime.dispose().then(() => process.exit(0)));
