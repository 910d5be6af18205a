/** Builds everything that is served or shipped: pages, connector, and the Worker bundle that local runs use. */
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { BuildOptions, Plugin } from "esbuild";
import { tarEntry } from "../src/core/http/tar-entry.ts";
import { buildOnce, contentHash } from "./build-cache.ts";
import { root, run } from "./children.ts";
import { quietEnv, wrangler } from "./control-plane.ts";

/** All that a build is made of. */
const INPUTS = ["src", "migrations", "scripts/build.ts", "package.json", "package-lock.json", "tsconfig.json", "wrangler.toml"];
/** In each build: the approval page's hashes. */
const APPROVAL_FILE = "approval.json";
const KIB = 1024;

/** What a page may ship, gzip (issue: dashboard ≤ 60 KB; the others are ours). */
const BUDGET_BYTES: Readonly<Record<string, number>> = { "door/door.js": 16 * KIB, "approve/index.html": 40 * KIB, "app/app.js": 60 * KIB };

/** What every connector and every cold isolate loads, bytes minified. */
const PROGRAM_BUDGET_BYTES: Readonly<Record<string, number>> = { "connector/connector.mjs": 400_000, "worker/index.js": 900_000 };

const common: BuildOptions = { bundle: true, minify: true, legalComments: "none", logLevel: "warning", absWorkingDir: root };
const page: BuildOptions = {
  ...common,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17"],
  jsx: "automatic",
  jsxImportSource: "preact",
};

/** The door's other pages, beside the first one. */
async function buildDoorPages(pages: string): Promise<void> {
  const folder = path.join(pages, "door");
  await mkdir(folder, { recursive: true });
  await build({ ...page, entryPoints: [path.join(root, "src/door/status.ts")], outfile: path.join(folder, "status.js") });
  for (const each of ["status.html", "used-up.html", "unknown.html"]) await cp(path.join(root, "src/door", each), path.join(folder, each));
}

async function buildPage(folder: string, source: string, entry: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await build({ ...page, entryPoints: [path.join(root, "src", source, entry)], outfile: path.join(folder, `${name}.js`) });
  await build({ ...common, entryPoints: [path.join(root, "src", source, `${source}.css`)], outfile: path.join(folder, `${name}.css`) });
  await cp(path.join(root, "src", source, "index.html"), path.join(folder, "index.html"));
}

function sha256(content: string | Buffer): string {
  return `sha256-${createHash("sha256").update(content).digest("base64")}`;
}

/** SHA-256 of the approval page as a whole and of its two parts, each as `sha256-<base64>` (CSP3 §2.3.1). */
export interface ApprovalPage {
  readonly page: string;
  readonly script: string;
  readonly style: string;
}

/**
 * The approval page as one document (PROTOCOL.md PG1): with script and style inside, one hash names all that asks for a passkey.
 *
 * @throws Error when a part could end its element early
 */
async function buildApprovalPage(pages: string): Promise<ApprovalPage> {
  const bundle = async (entry: string, options: BuildOptions): Promise<string> => {
    const { outputFiles } = await build({ ...options, entryPoints: [path.join(root, "src/approve", entry)], write: false });
    const text = (outputFiles?.[0]?.text ?? "").trim();
    if (text === "" || /<\/(?:script|style)|<!--/i.test(text)) throw new Error(`${entry} cannot stand inside a page`);
    return text;
  };
  const [script, style, html] = await Promise.all([
    bundle("main.ts", page),
    bundle("approve.css", common),
    readFile(path.join(root, "src/approve/index.html"), "utf8"),
  ]);
  const put = (text: string, from: string, to: string): string => {
    if (text.split(from).length !== 2) throw new Error(`src/approve/index.html needs ${from} exactly once`);
    return text.replace(from, () => to);
  };
  const whole = put(
    put(html, '<link rel="stylesheet" href="/approve.css" />', `<style>${style}</style>`),
    '<script type="module" src="/approve.js"></script>',
    `<script type="module">${script}</script>`,
  );
  const folder = path.join(pages, "approve");
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "index.html"), whole);
  return { page: sha256(whole), script: sha256(script), style: sha256(style) };
}

/** Parts of libraries that the connector never runs (a server, compression, JSON Schema, texts), and character tables that Node has itself. */
const leanLibraries: Plugin = {
  name: "lean-libraries",
  setup: (bundle) => {
    bundle.onLoad({ filter: /[\\/]ws[\\/]lib[\\/](?:websocket-server|stream)\.js$/ }, () => ({ contents: "module.exports = undefined;" }));
    // Every socket is opened with `perMessageDeflate: false`.
    bundle.onLoad({ filter: /[\\/]ws[\\/]lib[\\/](?:permessage-deflate|extension)\.js$/ }, () => ({
      contents: 'module.exports = { extensionName: "permessage-deflate" };',
    }));
    bundle.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]en\.js$/ }, () => ({ contents: "export default () => ({});" }));
    // Only its version is read.
    bundle.onLoad({ filter: /[\\/]package\.json$/ }, async (file) => {
      const { version } = JSON.parse(await readFile(file.path, "utf8")) as { version: string };
      return { contents: JSON.stringify({ version }), loader: "json" };
    });
    bundle.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]core[\\/](?:to-json-schema|json-schema-processors)\.js$/ }, async (file) => {
      const names = (await readFile(file.path, "utf8")).matchAll(/^export (?:const|function) (\w+)/gm);
      return { contents: [...names].map(([, name]) => `export const ${name} = () => undefined;`).join("\n") };
    });
    bundle.onLoad({ filter: /[\\/]json5[\\/]lib[\\/]unicode\.js$/ }, async () => ({
      contents: await readFile(path.join(root, "src/connector/openclaw/json5-unicode.ts"), "utf8"),
      loader: "ts",
    }));
  },
};

/** @param approval what `gatehouse doctor` compares with what is served */
async function buildConnector(dist: string, approval: ApprovalPage): Promise<void> {
  const manifest = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as { version: string; license: string };
  const outfile = path.join(dist, "connector/connector.mjs");
  const entry = path.join(dist, "connector/gatehouse.mjs");
  await build({
    ...common,
    entryPoints: [path.join(root, "src/connector/entry.ts")],
    outfile: entry,
    platform: "node",
    format: "esm",
    // Old enough for every Node that has modules: it says which Node is needed.
    target: "node12.22",
    banner: { js: "#!/usr/bin/env node" },
  });
  await build({
    ...common,
    entryPoints: [path.join(root, "src/connector/main.ts")],
    outfile,
    platform: "node",
    format: "esm",
    target: "node22",
    define: { APPROVAL_PAGE_HASH: JSON.stringify(approval.page) },
    // What `ws` asks for by this name is native and would have to be built on every machine.
    alias: { bufferutil: path.join(root, "src/connector/streams/websocket-mask.ts") },
    plugins: [leanLibraries],
    // CommonJS dependencies (ws) reach Node's own modules through `require`.
    banner: {
      js: 'import { createRequire as gatehouseRequire } from "node:module"; const require = gatehouseRequire(import.meta.url);',
    },
  });
  const shipped = {
    name: "gatehouse",
    version: manifest.version,
    license: manifest.license,
    type: "module",
    bin: { gatehouse: "gatehouse.mjs" },
    engines: { node: ">=22.19" },
  };
  const description = `${JSON.stringify(shipped, null, 2)}\n`;
  await writeFile(path.join(dist, "connector/package.json"), description);
  const served = path.join(dist, "pages/connector");
  await mkdir(served, { recursive: true });
  const files = [
    tarEntry("package.json", Buffer.from(description), "0000644"),
    tarEntry("gatehouse.mjs", await readFile(entry), "0000755"),
    tarEntry("connector.mjs", await readFile(outfile), "0000644"),
  ];
  const packed = gzipSync(Buffer.concat(files), { level: 9 });
  // Operating system (RFC 1952 §2.3.1): unknown, so that every machine builds the same bytes.
  packed[9] = 255;
  await writeFile(path.join(served, "program.tgz"), packed);
}

/** The API's description, from the very table of routes that answers. */
async function buildApiDescription(dist: string): Promise<void> {
  const outfile = path.join(dist, "openapi.mjs");
  const contents = `
    import { appRoutes } from "./src/worker/app.ts";
    import { openApi } from "./src/worker/routes/openapi.ts";
    import { VERSION } from "./src/worker/version.ts";
    export const text = JSON.stringify(openApi(appRoutes, { version: VERSION }));`;
  await build({ ...common, stdin: { contents, resolveDir: root, loader: "ts" }, platform: "node", format: "esm", outfile });
  const { text } = (await import(pathToFileURL(outfile).href)) as { text: string };
  await mkdir(path.join(dist, "pages/app"), { recursive: true });
  await writeFile(path.join(dist, "pages/app/openapi.json"), text);
  await rm(outfile);
}

async function checkBudgets(pages: string): Promise<void> {
  for (const [file, budget] of Object.entries(BUDGET_BYTES)) {
    const size = gzipSync(await readFile(path.join(pages, file))).byteLength;
    if (size > budget) throw new Error(`${file} is ${size} bytes gzip, more than its budget of ${budget}`);
    process.stdout.write(`  ${file} ${(size / KIB).toFixed(1)} KiB gzip\n`);
  }
}

async function checkProgramBudgets(dist: string): Promise<void> {
  for (const [file, budget] of Object.entries(PROGRAM_BUDGET_BYTES)) {
    const size = (await readFile(path.join(dist, file))).byteLength;
    if (size > budget) throw new Error(`${file} is ${size} bytes, more than its budget of ${budget}`);
    process.stdout.write(`  ${file} ${size} bytes\n`);
  }
}

/** What the Worker's bundle must be told: the approval page's hashes, and the newest migration that it needs. */
export async function workerDefines(approval: ApprovalPage): Promise<readonly string[]> {
  const migrations = (await readdir(path.join(root, "migrations"))).filter((name) => name.endsWith(".sql")).toSorted();
  const defines = {
    APPROVE_SCRIPT_HASH: approval.script,
    APPROVE_STYLE_HASH: approval.style,
    NEWEST_MIGRATION: migrations.at(-1) ?? "",
  };
  return Object.entries(defines).flatMap(([name, value]) => ["--define", `${name}:${JSON.stringify(value)}`]);
}

async function buildInto(dist: string): Promise<void> {
  const pages = path.join(dist, "pages");
  const approval = await buildApprovalPage(pages);
  await Promise.all([
    buildPage(path.join(pages, "door"), "door", "door.ts", "door"),
    buildDoorPages(pages),
    buildPage(path.join(pages, "app"), "dashboard", "main.tsx", "app"),
    buildConnector(dist, approval),
    buildApiDescription(dist),
  ]);
  await checkBudgets(pages);
  process.stdout.write(`  approval page ${approval.page}\n    its script ${approval.script}\n`);
  // The same bundle that a deployment uploads; running it prebuilt keeps a local run from restarting when a source file changes.
  const where = ["--outdir", path.join(dist, "worker"), "--assets", pages];
  const bundle = [...wrangler, "deploy", "--dry-run", ...where, ...(await workerDefines(approval))];
  await run("Bundling the Worker", { args: bundle, env: quietEnv() });
  await checkProgramBudgets(dist);
  await writeFile(path.join(dist, APPROVAL_FILE), `${JSON.stringify(approval)}\n`);
}

/**
 * Builds what `dist` then points to, unless nothing changed since it was built.
 *
 * @returns the approval page's hashes
 * @throws Error naming what failed, or a file over its budget; `dist` is then as before
 */
export async function buildAll(): Promise<ApprovalPage> {
  if (!(await buildOnce(root, await contentHash(root, INPUTS), buildInto)))
    process.stdout.write("  nothing changed since the last build\n");
  return JSON.parse(await readFile(path.join(root, "dist", APPROVAL_FILE), "utf8")) as ApprovalPage;
}

if (import.meta.main) await buildAll();
