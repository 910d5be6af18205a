/** Looks at a page as every visitor would: light and dark, three widths, with axe. `npm run screenshots` also keeps a picture of each (not in git). */
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { root } from "../../scripts/children.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = path.join(root, "screenshots");
/** Nobody looks at those of a test run, and they take as long as everything else here. */
const areKept = process.env["GATEHOUSE_SCREENSHOTS"] !== undefined;

interface AxeResult {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
}

/** No accessibility finding, one h1 before every other heading, no sideways scrolling. @param name of the state, for the screenshots and for what is found */
export async function look(page: Page, name: string): Promise<void> {
  if (areKept) mkdirSync(shots, { recursive: true });
  const before = page.viewportSize();
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const width of [320, 360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect(
        await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
        `${name} scrolls sideways at ${width}`,
      ).toBeLessThanOrEqual(0);
      if (areKept && width !== 320) await page.screenshot({ path: path.join(shots, `${name}-${width}-${scheme}.png`), fullPage: true });
    }
    const headings = await page.evaluate(() => [...document.querySelectorAll("h1, h2, h3")].map((each) => each.tagName));
    expect([headings[0], headings.filter((each) => each === "H1").length], `${name} begins with its only h1`).toEqual(["H1", 1]);
    if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
    const result = await page.evaluate(
      () => (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run() as Promise<AxeResult>,
    );
    expect(result.violations.map((each) => `${each.id}: ${each.nodes[0]?.html ?? ""}`), `${name} ${scheme}`).toEqual([]); // prettier-ignore
  }
  await page.emulateMedia({ colorScheme: "light" });
  if (before !== null) await page.setViewportSize(before);
}
