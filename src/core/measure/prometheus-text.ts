/** Metrics as Prometheus reads them: its text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). */
import type { Histogram } from "./histogram.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** One metric with all its samples. A family without samples is left out. */
export type MetricFamily =
  | { readonly name: string; readonly help: string; readonly type: "gauge" | "counter"; readonly samples: readonly Sample[] }
  | {
      readonly name: string;
      readonly help: string;
      readonly type: "histogram";
      readonly samples: readonly { readonly labels?: Labels; readonly histogram: Histogram }[];
    };

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    if (!LABEL_NAME.test(name)) throw new Error(`${name} is no label name`);
    return `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
  });
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}

function line(name: string, labels: Labels, value: number): string {
  return `${name}${labelText(labels)} ${numberText(value)}`;
}

function histogramLines(name: string, labels: Labels, histogram: Histogram): string[] {
  return [
    ...histogram.cumulative.map(({ bound, count }) => line(`${name}_bucket`, { ...labels, le: numberText(bound) }, count)),
    line(`${name}_bucket`, { ...labels, le: "+Inf" }, histogram.count),
    line(`${name}_sum`, labels, histogram.sum),
    line(`${name}_count`, labels, histogram.count),
  ];
}

/** @returns the whole text, each line ended; throws Error for a name that is none */
export function prometheusText(families: readonly MetricFamily[]): string {
  const lines = families.flatMap((family) => {
    const { name, help, type, samples } = family;
    if (!NAME.test(name)) throw new Error(`${name} is no metric name`);
    if (samples.length === 0) return [];
    const about = [`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${type}`];
    const values =
      family.type === "histogram"
        ? family.samples.flatMap(({ labels = {}, histogram }) => histogramLines(name, labels, histogram))
        : family.samples.map(({ labels = {}, value }) => line(name, labels, value));
    return [...about, ...values];
  });
  return lines.map((each) => `${each}\n`).join("");
}
