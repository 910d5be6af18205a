/** `npm run compat`: which releases are on the disk meanwhile, and what its table says. */
import { expect, test } from "vitest";
import { proveAll, table } from "../../../scripts/compat.ts";
import type { Proof } from "../../../scripts/compat.ts";
import { openclawVersion } from "../../../scripts/real-openclaw.ts";

const GOOD: Proof = { probes: true, journey: true, problem: null };

/** A disk that holds releases. @returns what happened on it, and what is there */
function disk(there: readonly string[], prove: (version: string, part: string) => string | null = () => null) {
  const installed = new Set(there);
  const most = { count: installed.size };
  const tools = {
    isInstalled: (version: string) => installed.has(version),
    install: (version: string) => {
      if (version.startsWith("2020")) return Promise.reject(new Error("no such release"));
      installed.add(version);
      most.count = Math.max(most.count, installed.size);
      return Promise.resolve();
    },
    remove: (version: string) => Promise.resolve(void installed.delete(version)),
    prove: (version: string, part: string) => Promise.resolve().then(() => prove(version, part)),
  };
  return { installed, most, tools };
}

test("[OC1] one release at a time is on the disk, and is gone afterwards", async () => {
  const { installed, most, tools } = disk(["2026.9.6"]);
  const rows = await proveAll(["2026.9.3", "2026.9.6", "2020.1.1", "2026.9.5"], tools);
  expect(rows.map(({ version, proof }) => [version, proof?.journey])).toEqual([
    ["2026.9.3", true],
    ["2026.9.6", true],
    ["2020.1.1", undefined],
    ["2026.9.5", true],
  ]);
  expect([most.count, [...installed]]).toEqual([2, ["2026.9.6"]]);
});

test("[OC1] a run that breaks off deletes what it installed", async () => {
  const { installed, tools } = disk([], () => {
    throw new Error("no browser");
  });
  await expect(proveAll(["2026.9.3"], tools)).rejects.toThrow("no browser");
  expect([...installed]).toEqual([]);
});

test("a release whose probes fail is not led through the journey", async () => {
  const { tools } = disk([], (_, part) => (part === "probes" ? "way-in-refused" : null));
  expect((await proveAll(["2026.9.2"], tools))[0]?.proof).toEqual({ probes: false, journey: null, problem: "way-in-refused" });
});

test("the table names the first problem of each release", () => {
  const bad: Proof = { probes: false, journey: null, problem: "both probes pass: way-in-refused" };
  expect(
    table([
      { version: "2026.9.3", proof: GOOD },
      { version: "2026.9.2", proof: bad },
      { version: "2026.1.1", proof: null },
    ]),
  ).toBe(
    [
      "release   probes  journey  first problem",
      "2026.9.3  pass    pass",
      "2026.9.2  FAIL    -        both probes pass: way-in-refused",
      "2026.1.1  -       -        could not be installed",
    ].join("\n"),
  );
});

test("[OC1] GATEHOUSE_OPENCLAW_VERSION names a release and nothing else", () => {
  expect(openclawVersion({})).toBe("2026.9.6");
  expect(openclawVersion({ GATEHOUSE_OPENCLAW_VERSION: "2026.9.3" })).toBe("2026.9.3");
  for (const wrong of ["latest", "../../x", "2026.9", "2026.9.3/x"]) expect(() => openclawVersion({ GATEHOUSE_OPENCLAW_VERSION: wrong })).toThrow("is no release"); // prettier-ignore
});
