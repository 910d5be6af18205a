/** Builds are kept by the content that they are made of, each in a folder that is never written again; `dist` is a link to one of them. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import path from "node:path";

const BUILDS = ".builds";
const LINK = "dist";
/** A process that has just followed the link reads its build within seconds; no build takes so long. */
const KEPT_MS = 3_600_000;

async function filesBelow(root: string, name: string): Promise<string[]> {
  if ((await stat(path.join(root, name))).isFile()) return [name];
  const entries = await readdir(path.join(root, name), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}

/**
 * @param root of the checkout
 * @param inputs files and folders below it
 * @returns a name for their content, in 32 hexadecimal digits; texts for people (`.md`) do not count
 */
export async function contentHash(root: string, inputs: readonly string[]): Promise<string> {
  const files = (await Promise.all(inputs.map((name) => filesBelow(root, name)))).flat();
  const hash = createHash("sha256");
  for (const file of files.filter((name) => !name.endsWith(".md")).toSorted()) {
    const content = await readFile(path.join(root, file));
    hash.update(`${file}\0${content.byteLength}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 32);
}

/**
 * Makes a build unless it is there, and lets `dist` point to it. The one before stays as it is for whoever reads it.
 *
 * @param root of the checkout
 * @param hash names the build's content
 * @param make fills an empty folder; what it throws is thrown, and nothing is changed
 * @returns whether it was made now
 */
export async function buildOnce(root: string, hash: string, make: (folder: string) => Promise<void>): Promise<boolean> {
  const builds = path.join(root, BUILDS);
  const folder = path.join(builds, hash);
  await mkdir(builds, { recursive: true });
  const isNew = !existsSync(folder);
  if (isNew) {
    await removeOld(root);
    const unfinished = await mkdtemp(path.join(builds, "unfinished-"));
    try {
      await make(unfinished);
      await chmod(unfinished, 0o755);
      await rename(unfinished, folder);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      // Another process made the same build meanwhile.
      if (!existsSync(folder)) throw error;
    }
  }
  await pointTo(root, path.join(BUILDS, hash));
  return isNew;
}

/** Exchanges the link in one step. */
async function pointTo(root: string, target: string): Promise<void> {
  const link = path.join(root, LINK);
  const stats = await lstat(link).catch(() => null);
  if (stats !== null && !stats.isSymbolicLink()) await rm(link, { recursive: true, force: true });
  const next = await mkdtemp(path.join(root, BUILDS, "unfinished-"));
  await symlink(target, path.join(next, LINK));
  await rename(path.join(next, LINK), link);
  await rm(next, { recursive: true, force: true });
}

async function removeOld(root: string): Promise<void> {
  const builds = path.join(root, BUILDS);
  const current = await stat(path.join(root, LINK)).catch(() => null);
  for (const name of await readdir(builds)) {
    const stats = await stat(path.join(builds, name)).catch(() => null);
    if (stats === null || stats.ino === current?.ino || Date.now() - stats.mtimeMs < KEPT_MS) continue;
    await rm(path.join(builds, name), { recursive: true, force: true });
  }
}
