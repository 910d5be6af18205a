/** The exposition format, read back by a reader that knows only the format's own description. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Histogram } from "../../../src/core/measure/histogram.ts";
import { prometheusText } from "../../../src/core/measure/prometheus-text.ts";

test("[OB4] each metric is announced with help and type, then its samples, each on its own line", () => {
  const histogram = new Histogram();
  histogram.add(0.002);
  histogram.add(7);
  const text = prometheusText([
    { name: "a_total", help: "Back\\slash and\nline.", type: "counter", samples: [{ value: 3 }] },
    { name: "b", help: "B.", type: "gauge", samples: [{ labels: { x: "1", y: "2" }, value: 0.5 }, { value: Number.POSITIVE_INFINITY }] },
    { name: "none", help: "Without samples.", type: "gauge", samples: [] },
    { name: "c_seconds", help: "C.", type: "histogram", samples: [{ labels: { hop: "h" }, histogram }] },
  ]);
  const lines = text.split("\n");
  expect(lines.slice(0, 6)).toEqual(["# HELP a_total Back\\\\slash and\\nline.", "# TYPE a_total counter", "a_total 3", "# HELP b B.", "# TYPE b gauge", 'b{x="1",y="2"} 0.5']); // prettier-ignore
  expect(lines[6]).toBe("b +Inf");
  expect(text).not.toContain("none");
  expect(lines.filter((each) => each.startsWith("c_seconds"))).toEqual([
    'c_seconds_bucket{hop="h",le="0.0005"} 0',
    'c_seconds_bucket{hop="h",le="0.001"} 0',
    'c_seconds_bucket{hop="h",le="0.0025"} 1',
    'c_seconds_bucket{hop="h",le="0.005"} 1',
    'c_seconds_bucket{hop="h",le="0.01"} 1',
    'c_seconds_bucket{hop="h",le="0.025"} 1',
    'c_seconds_bucket{hop="h",le="0.05"} 1',
    'c_seconds_bucket{hop="h",le="0.1"} 1',
    'c_seconds_bucket{hop="h",le="0.25"} 1',
    'c_seconds_bucket{hop="h",le="0.5"} 1',
    'c_seconds_bucket{hop="h",le="1"} 1',
    'c_seconds_bucket{hop="h",le="2.5"} 1',
    'c_seconds_bucket{hop="h",le="+Inf"} 2',
    'c_seconds_sum{hop="h"} 7.002',
    'c_seconds_count{hop="h"} 2',
  ]);
  expect(lines.at(-1)).toBe("");
});

/** A label's value as a scraper reads it. */
function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_all, char: string) => (char === "n" ? "\n" : char));
}

test("[OB4] whatever a label holds, it stays inside its quotes and comes back as it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', "\\", "\n", "n", "{", "}", "é") }), (value) => {
      const text = prometheusText([{ name: "a", help: "", type: "gauge", samples: [{ labels: { x: value }, value: 1 }] }]);
      const [, , sample, end, ...rest] = text.split("\n");
      expect([end, rest]).toEqual(["", []]);
      const [, quoted] = /^a\{x="((?:[^"\\]|\\[\\"n])*)"\} 1$/s.exec(sample ?? "") ?? [];
      expect(unescaped(quoted ?? "missing")).toBe(value);
    }),
  );
});

test("[OB4] a name that is none is refused, not written", () => {
  const named = (name: string, label: string) => () =>
    prometheusText([{ name, help: "", type: "gauge", samples: [{ labels: { [label]: "" }, value: 1 }] }]);
  for (const name of ["", "a b", "1a", "a\n"]) expect(named(name, "x")).toThrow("metric name");
  for (const label of ["a-b", "1a", 'a"']) expect(named("a", label)).toThrow("label name");
});
