/** Whether node_modules holds what package-lock.json says: plain JavaScript for Node 20. */
import { readFileSync } from "node:fs";
import path from "node:path";

/** @typedef {{ version?: string, integrity?: string, optional?: boolean }} Package */

/**
 * @param {Readonly<Record<string, Package>>} wanted `packages` of package-lock.json
 * @param {Readonly<Record<string, Package>>} present `packages` of node_modules/.package-lock.json, which npm writes when it is done
 * @returns {boolean} whether nothing is missing, foreign or another version; packages for other systems may be missing
 */
export function isSame(wanted, present) {
  const isThere = Object.entries(wanted).every(([name, { optional }]) => name === "" || name in present || optional === true);
  return (
    isThere &&
    Object.entries(present).every(
      ([name, { version, integrity }]) => wanted[name]?.version === version && wanted[name]?.integrity === integrity,
    )
  );
}

/** @param {string} root of this checkout @returns {boolean} whether `npm ci` has nothing to do, whoever ran it */
export function isInstalled(root) {
  try {
    /** @param {string} file @returns {Record<string, Package>} */
    const packages = (file) => JSON.parse(readFileSync(path.join(root, file), "utf8")).packages;
    return isSame(packages("package-lock.json"), packages("node_modules/.package-lock.json"));
  } catch {
    return false;
  }
}
