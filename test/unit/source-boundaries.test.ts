/** Walks every import: shells import downward, never each other; each tier uses only its packages. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
const source = path.join(root, "src");

/** Tier -> tiers and packages it may import, with the reason in one place: README, "Map". */
const ALLOWED: Readonly<Record<string, { readonly tiers: readonly string[]; readonly packages: readonly RegExp[] }>> = {
  protocol: { tiers: [], packages: [/^zod$/] },
  core: { tiers: ["protocol"], packages: [/^zod$/, /^@noble\/hashes\/sha2\.js$/] },
  worker: { tiers: ["protocol", "core"], packages: [/^(hono|zod|cloudflare:workers)$/, /^drizzle-orm/, /^@simplewebauthn\/server/] },
  connector: { tiers: ["protocol", "core"], packages: [/^node:/, /^(ws|zod)$/, /^json5\/lib\/parse\.js$/] },
  demo: { tiers: ["protocol", "core"], packages: [/^node:/, /^ws$/] },
  door: { tiers: ["protocol", "core"], packages: [] },
  approve: { tiers: ["protocol", "core"], packages: [/^@simplewebauthn\/browser$/] },
  dashboard: { tiers: ["protocol", "core"], packages: [/^preact/] },
};

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? files(full) : /\.tsx?$/.test(entry.name) ? [full] : [];
  });
}

function imports(file: string): { readonly target: string; readonly isType: boolean }[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|import\("([^"]+)"\)/g)].map(
    (match) => ({ target: match[2] ?? match[3] ?? "", isType: match[1] !== undefined }),
  );
}

const all = files(source);

test("there are sources to walk", () => {
  expect(all.length).toBeGreaterThan(60);
});

test.each(all.map((file) => path.relative(source, file)))("%s imports only what its tier may", (relative) => {
  const file = path.join(source, relative);
  const tier = relative.split(path.sep)[0] ?? "";
  const rule = ALLOWED[tier];
  if (rule === undefined) throw new Error(`unknown tier ${tier}`);
  const wrong: string[] = [];
  for (const { target, isType } of imports(file)) {
    // The type of a schema is no code.
    if (isType && target === "zod") continue;
    if (!target.startsWith(".")) {
      if (!rule.packages.some((pattern) => pattern.test(target))) wrong.push(`package ${target}`);
      continue;
    }
    const resolved = path.resolve(path.dirname(file), target);
    if (resolved === path.join(root, "package.json")) continue;
    const other = path.relative(source, resolved).split(path.sep)[0] ?? "";
    if (other !== tier && !rule.tiers.includes(other)) wrong.push(`tier ${other}`);
  }
  expect(wrong).toEqual([]);
});

/** Below a tier, from top to bottom: a folder is imported only from folders of lines above its own. */
const ORDER: Readonly<Record<string, readonly (readonly string[])[]>> = {
  core: [["trust", "link", "http", "measure", "words"]],
  connector: [["cli"], ["service", "link"], ["streams"], ["trust", "measure"], ["network", "openclaw", "state"]],
};

test.each(Object.entries(ORDER))("inside %s no folder imports one beside or above it", (tier, lines) => {
  const folderOf = (file: string): string => path.relative(path.join(source, tier), file).split(path.sep)[0] ?? "";
  const rank = (folder: string): number => lines.findIndex((line) => line.includes(folder));
  const wrong: string[] = [];
  for (const file of all) {
    const from = folderOf(file);
    if (rank(from) === -1) continue;
    for (const { target } of imports(file)) {
      const to = target.startsWith(".") ? folderOf(path.resolve(path.dirname(file), target)) : from;
      if (to !== from && rank(to) !== -1 && rank(to) <= rank(from)) wrong.push(`${path.relative(source, file)}: ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

/** Where files still import each other in a circle, type imports counted. */
const CIRCLES = ["worker/room"];

test("no circle of imports, but for the one that is left in the room", () => {
  const targets = new Map(
    all.map((file) => [
      file,
      imports(file)
        .filter(({ target }) => target.startsWith("."))
        .map(({ target }) => path.resolve(path.dirname(file), target)),
    ]),
  );
  const leadsTo = (from: string, seen = new Set<string>()): Set<string> => {
    for (const next of targets.get(from) ?? [])
      if (!seen.has(next)) {
        seen.add(next);
        leadsTo(next, seen);
      }
    return seen;
  };
  const inCircles = all.filter((file) => leadsTo(file).has(file)).map((file) => path.relative(source, file));
  expect(inCircles.filter((file) => !CIRCLES.some((folder) => file.startsWith(`${folder}/`)))).toEqual([]);
});

test("inside the Worker, drizzle stays in db, WebAuthn in auth, and only app.ts takes routes", () => {
  const wrong: string[] = [];
  for (const file of all) {
    const relative = path.relative(path.join(source, "worker"), file);
    if (relative.startsWith("..")) continue;
    for (const { target } of imports(file)) {
      if (target.startsWith("drizzle-orm") && !relative.startsWith("db/")) wrong.push(`${relative}: ${target}`);
      if (target.startsWith("@simplewebauthn") && !relative.startsWith("auth/")) wrong.push(`${relative}: ${target}`);
      if (target.includes("/routes/") && relative !== "app.ts") wrong.push(`${relative}: ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the door carries no schema library: its values come from files that do not import zod", () => {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { target, isType } of imports(file)) {
      if (isType) continue;
      expect(target, path.relative(source, file)).not.toBe("zod");
      if (target.startsWith(".")) visit(path.resolve(path.dirname(file), target));
    }
  };
  visit(path.join(source, "door/door.ts"));
});

test("zod is imported as a namespace: a named import brings the error texts of every language into the bundle", () => {
  const wrong = all.filter((file) => /import\s+(?:type\s+)?\{[^}]*\}\s+from "zod"/.test(readFileSync(file, "utf8")));
  expect(wrong.map((file) => path.relative(source, file))).toEqual([]);
});

test("every path that README and PROTOCOL name exists", () => {
  for (const [document, base] of [
    ["README.md", root],
    ["src/protocol/PROTOCOL.md", source],
  ] as const) {
    const text = readFileSync(path.join(root, document), "utf8");
    for (const match of text.matchAll(/`((?:src|test|scripts|migrations|core|protocol)\/[\w./-]*)`/g)) {
      const named = match[1] ?? "";
      const full = path.join(/^(core|protocol)\//.test(named) ? source : base === source ? root : base, named);
      expect(existsSync(full), named).toBe(true);
    }
  }
});

test("the lock file is complete: every entry has a hash and names no host, and every optional dependency is in it", () => {
  interface Entry {
    readonly integrity?: string;
    readonly resolved?: string;
    readonly link?: boolean;
    readonly optionalDependencies?: Record<string, string>;
  }
  const { packages } = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as { packages: Record<string, Entry> };
  const entries = Object.entries(packages).filter(([name]) => name !== "");
  expect(entries.filter(([, entry]) => entry.integrity === undefined || entry.resolved !== undefined).map(([name]) => name)).toEqual([]);
  const missing = entries.flatMap(([name, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter((wanted) => {
      // npm looks beside the dependent first, then in every folder above it.
      const folders = name.split("/node_modules/");
      return (
        !folders.some((_, depth) => packages[[...folders.slice(0, folders.length - depth), wanted].join("/node_modules/")] !== undefined) &&
        packages[`node_modules/${wanted}`] === undefined
      );
    }),
  );
  expect(missing).toEqual([]);
});
