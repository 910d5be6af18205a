/** How what was measured is shown: medians with ranges, ratios pair by pair, as Markdown. */
import type { Figures, OwnScenario, Scenario } from "./scenarios/scenario.ts";

interface Conditions {
  readonly scenario: string;
  readonly about: string;
  /** Load average of one minute at its start, and cores that others kept busy, median over the scenario's measurements. */
  readonly loadAverage: number;
  readonly foreignCores: number;
  readonly notes: readonly string[];
}

export interface Measured extends Conditions {
  readonly peers: readonly {
    readonly peer: string;
    readonly kind: string;
    readonly rounds: readonly Figures[];
    readonly failed?: string;
  }[];
}

export interface MeasuredAlone extends Conditions {
  readonly figures: Figures;
  readonly failed?: string;
}

const COMPARED = ["mux object", "raw Node mux", "Gatehouse before"] as const;

export function number(value: number, digits: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function valuesOf(rounds: readonly Figures[], column: string): number[] {
  return rounds.flatMap((figures) => figures[column] ?? []);
}

/** Median of the rounds and their range. */
function cell(values: readonly number[], digits: number): string {
  const sorted = [...values].toSorted((a, b) => a - b);
  const [low, high] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined) return "-";
  const middle = ((sorted[(sorted.length - 1) >> 1] ?? low) + (sorted[sorted.length >> 1] ?? low)) / 2;
  return low === high ? number(middle, digits) : `${number(middle, digits)} [${number(low, digits)}-${number(high, digits)}]`;
}

/** A column of Gatehouse's against a peer's, round by round of the same run: the median of the ratios. */
function ratio(measured: Measured, peer: string, column: string): string {
  const own = measured.peers.find((each) => each.peer === "Gatehouse");
  const other = measured.peers.find((each) => each.peer === peer);
  if (own === undefined || other === undefined) return "";
  const pairs = own.rounds.flatMap((figures, round) => {
    const [a, b] = [figures[column], other.rounds[round]?.[column]];
    return a === null || a === undefined || b === null || b === undefined || b <= 0 ? [] : [a / b];
  });
  return pairs.length === 0 ? "" : `Gatehouse / ${peer}: ${cell(pairs, 2)}`;
}

function conditions({ loadAverage, foreignCores }: Conditions): string {
  return `Load average ${number(loadAverage, 1)}, others kept ${number(foreignCores, 2)} cores busy.`;
}

/** @returns a table of peers, the ratios, the notes */
export function table(scenario: Scenario, measured: Measured): string {
  const columns = Object.keys(scenario.columns);
  const rows = measured.peers.map(({ peer, kind, rounds }) => [
    `${peer} (${kind})`,
    ...columns.map((column) => cell(valuesOf(rounds, column), scenario.columns[column] ?? 0)),
  ]);
  const notes = [
    ...measured.notes,
    ...measured.peers.flatMap(({ peer, rounds, failed }) =>
      failed === undefined ? [] : [`${peer} FAILED after ${rounds.length} rounds: ${failed}`],
    ),
  ];
  // What has no ratio in the rounds is left out: codes, and memory that fell.
  const ratios = columns
    .map((column) => [column, COMPARED.map((peer) => ratio(measured, peer, column)).filter((text) => text !== "")] as const)
    .flatMap(([column, peers]) => (peers.length === 0 ? [] : [`- ${column}: ${peers.join("; ")}`]));
  return [
    `### ${scenario.name}`,
    `${scenario.about}. ${conditions(measured)}`,
    "",
    `| peer | ${columns.join(" | ")} |`,
    `|---|${columns.map(() => "---|").join("")}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`),
    ...(notes.length === 0 ? [] : ["", ...notes.map((note) => `- ${note}`)]),
    ...(ratios.length === 0 ? [] : ["", "Pair by pair:", "", ...ratios]),
    "",
  ].join("\n");
}

/** @returns a list of what only Gatehouse does */
export function list(scenario: OwnScenario, { figures, notes, failed, ...rest }: MeasuredAlone): string {
  const lines = Object.entries(figures).map(
    ([name, value]) => `- ${name}: ${value === null ? "-" : number(value, name.endsWith("ms") ? 1 : 0)}`,
  );
  return [
    `### ${scenario.name} (Gatehouse alone)`,
    `${scenario.about}. ${conditions({ ...rest, notes })}`,
    "",
    ...lines,
    ...notes.map((note) => `- ${note}`),
    ...(failed === undefined ? [] : [`- FAILED: ${failed}`]),
    "",
  ].join("\n");
}
