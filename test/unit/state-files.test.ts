import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { planRestore } from "../../src/connector/openclaw/settings.ts";
import { StateFiles } from "../../src/connector/state/state-files.ts";

test("a setting that was not set before is kept, read again, and taken away at uninstall", () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), "gatehouse-state-"));
  const change = { path: "gateway.trustedProxies", before: undefined, after: ["127.0.0.1"] };
  new StateFiles(dir).write("settings", [change]);
  const kept = new StateFiles(dir).read("settings") ?? [];
  expect(kept).toEqual([{ path: change.path, after: change.after }]);
  const applied = kept.map(({ path, before, after }) => ({ path, before, after }));
  expect(planRestore({ gateway: { trustedProxies: ["127.0.0.1"] } }, applied)).toEqual([
    { path: change.path, before: change.after, after: undefined },
  ]);
});
