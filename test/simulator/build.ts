/** Bundles the code under test with its stand-in platform: same sources, other globals. A planted bug is one line of them, replaced on the way. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import type { Plugin } from "esbuild";
import type { RunOptions, RunResult } from "./run.ts";

const here = import.meta.dirname;
const root = path.resolve(here, "../..");
const require = createRequire(import.meta.url);

/** One line of the sources that is wrong on purpose. */
export interface Plant {
  readonly name: string;
  readonly edits: readonly Edit[];
}

/** One text of a file below `src/`, and what stands there instead. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Simulator {
  run(options: RunOptions): Promise<RunResult>;
}

const SHIMS: Readonly<Record<string, string>> = {
  "@noble/hashes/sha2.js": "shims/noble-sha2.ts",
  "cloudflare:workers": "shims/cloudflare-workers.ts",
  "node:crypto": "shims/node-crypto.ts",
  "node:fs": "shims/node-fs.ts",
  "node:http": "shims/node-http.ts",
  ws: "shims/ws.ts",
};

function platform(plant: Plant | null): Plugin {
  return {
    name: "stand-in platform",
    setup: (context) => {
      context.onResolve({ filter: /^[^./]/ }, ({ path: name, importer }) => {
        const shim = SHIMS[name];
        if (shim !== undefined && importer.startsWith(path.join(root, "src"))) return { path: path.join(here, shim) };
        if (name.startsWith("node:")) return { path: name, external: true };
        return { path: pathToFileURL(require.resolve(name)).href, external: true };
      });
      if (plant === null) return;
      context.onLoad({ filter: /\.ts$/ }, ({ path: loaded }) => {
        const edits = plant.edits.filter(({ file }) => path.join(root, "src", file) === loaded);
        if (edits.length === 0) return null;
        let text = readFileSync(loaded, "utf8");
        for (const { file, find, replace } of edits) {
          if (text.split(find).length !== 2) throw new Error(`${file} has not exactly one "${find}"`);
          text = text.replace(find, () => replace);
        }
        return { contents: text, loader: "ts" };
      });
    },
  };
}

/**
 * Builds the simulator and loads it.
 *
 * @param plant a bug to put in; null for the sources as they are
 * @throws Error when the planted line is not in the sources any more
 */
export async function loadSimulator(plant: Plant | null = null): Promise<Simulator> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "gatehouse-simulator-"));
  const outfile = path.join(folder, "simulator.mjs");
  try {
    await build({
      stdin: {
        contents: `import { makeRoom, warmUp } from "./room-port.ts"; import { prepare } from "./run.ts"; export const load = () => prepare(makeRoom, warmUp);`,
        resolveDir: here,
        loader: "ts",
      },
      bundle: true,
      outfile,
      platform: "node",
      format: "esm",
      target: "node24",
      sourcemap: "inline",
      logLevel: "silent",
      inject: [path.join(here, "globals.ts")],
      define: { "Math.random": "simRandom" },
      plugins: [platform(plant)],
    });
    const { load } = (await import(pathToFileURL(outfile).href)) as { load: () => Promise<Simulator> };
    return await load();
  } finally {
    rmSync(folder, { recursive: true });
  }
}
