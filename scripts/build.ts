/** Builds everything that is served or shipped: pages, connector, and the Worker bundle that local runs use. */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { BuildOptions } from "esbuild";
import { root, run } from "./children.ts";
import { quietEnv, wrangler } from "./control-plane.ts";

const dist = path.join(root, "dist");
const pages = path.join(dist, "pages");
const KIB = 1024;

/** What a page may ship, gzip (issue: dashboard ≤ 60 KB; the others are ours). */
const BUDGET_BYTES: Readonly<Record<string, number>> = { "door/door.js": 16 * KIB, "approve/approve.js": 40 * KIB, "app/app.js": 60 * KIB };

const common: BuildOptions = { bundle: true, minify: true, legalComments: "none", logLevel: "warning", absWorkingDir: root };
const page: BuildOptions = {
  ...common,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17"],
  jsx: "automatic",
  jsxImportSource: "preact",
};

async function buildPage(source: string, entry: string, out: string, name: string): Promise<void> {
  const folder = path.join(pages, out);
  await mkdir(folder, { recursive: true });
  await build({ ...page, entryPoints: [path.join(root, "src", source, entry)], outfile: path.join(folder, `${name}.js`) });
  await build({ ...common, entryPoints: [path.join(root, "src", source, `${source}.css`)], outfile: path.join(folder, `${name}.css`) });
  await cp(path.join(root, "src", source, "index.html"), path.join(folder, "index.html"));
}

async function buildConnector(): Promise<void> {
  const manifest = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as { version: string; license: string };
  const outfile = path.join(dist, "connector/gatehouse.mjs");
  await build({
    ...common,
    entryPoints: [path.join(root, "src/connector/main.ts")],
    outfile,
    platform: "node",
    format: "esm",
    target: "node22",
    // CommonJS dependencies (ws) reach Node's own modules through `require`.
    banner: {
      js: '#!/usr/bin/env node\nimport { createRequire as gatehouseRequire } from "node:module"; const require = gatehouseRequire(import.meta.url);',
    },
  });
  const served = path.join(pages, "connector");
  await mkdir(served, { recursive: true });
  await cp(outfile, path.join(served, "gatehouse.mjs"));
  const shipped = {
    name: "gatehouse",
    version: manifest.version,
    license: manifest.license,
    type: "module",
    bin: { gatehouse: "gatehouse.mjs" },
    engines: { node: ">=22.19" },
  };
  await writeFile(path.join(served, "package.json"), `${JSON.stringify(shipped, null, 2)}\n`);
  await writeFile(path.join(dist, "connector/package.json"), `${JSON.stringify(shipped, null, 2)}\n`);
}

async function checkBudgets(): Promise<void> {
  for (const [file, budget] of Object.entries(BUDGET_BYTES)) {
    const size = gzipSync(await readFile(path.join(pages, file))).byteLength;
    if (size > budget) throw new Error(`${file} is ${size} bytes gzip, more than its budget of ${budget}`);
    process.stdout.write(`  ${file} ${(size / KIB).toFixed(1)} KiB gzip\n`);
  }
}

/** Builds into dist/. @throws Error naming what failed, or a page over its budget */
export async function buildAll(): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  await Promise.all([
    buildPage("door", "door.ts", "door", "door"),
    buildPage("approve", "main.ts", "approve", "approve"),
    buildPage("dashboard", "main.tsx", "app", "app"),
    buildConnector(),
  ]);
  await checkBudgets();
  // The same bundle that a deployment uploads; running it prebuilt keeps a local run from restarting when a source file changes.
  await run("Bundling the Worker", { args: [...wrangler, "deploy", "--dry-run", "--outdir", path.join(dist, "worker")], env: quietEnv() });
}

if (import.meta.main) await buildAll();
