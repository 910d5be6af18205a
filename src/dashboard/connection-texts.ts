/** Texts of the "Connection" part of a gateway's page: the hops, how long each takes, which one is broken. */
import { LEG_TEXT } from "../core/link/hop-name.ts";
import type { Gateway, Hops } from "../protocol/api.ts";
import type { Hop } from "../protocol/hop-names.ts";
import type { HopView } from "../protocol/latency.ts";

export const CONNECTION = {
  heading: "Connection",
  intro: "What is in the way between this device and OpenClaw, and how long each part takes there and back.",
  measure: "Measure",
  measuring: "Measuring …",
  hopsLabel: "Hops, from here to OpenClaw",
  notMeasured: "not measured yet",
  broken: "broken: nothing gets through",
  unknown: "not known now",
  linkSince: "Machine connected since",
  linkDown: "The machine is not connected",
  lastBreak: "Last break",
  noBreak: "none that is known",
  statusPage: "Status page",
  statusPageText: "For allowed devices, live:",
} as const;

export const HOP: Readonly<Record<Hop, string>> = {
  "device-edge": "This device – edge",
  "edge-room": "Edge – room",
  "room-connector": "Room – gateway's machine",
  "connector-gateway": "Gateway's machine – OpenClaw",
};

/** How a round trip feels to somebody who types; upper bounds in milliseconds. */
const PACE = [[20, "very fast"], [80, "fast"], [200, "fine"], [500, "slow"]] as const; // prettier-ignore

/** @returns milliseconds for people: tenths below ten; 0 is what a clock of whole milliseconds says */
export function msText(ms: number): string {
  if (ms === 0) return "under 1 ms";
  if (ms < 0.1) return "under 0.1 ms";
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** @returns one hop's state in words; null: nobody has measured yet */
export function hopText(view: HopView | null): string {
  if (view === null) return CONNECTION.notMeasured;
  if (view.median === null) return view.state === "broken" ? CONNECTION.broken : CONNECTION.unknown;
  const { medianMs } = view.median;
  return `${msText(medianMs)}, ${PACE.find(([below]) => medianMs < below)?.[1] ?? "very slow"}`;
}

/** What is announced once a measuring is over: the broken hop if there is one, else all together and the longest. */
export function summary(hops: readonly HopView[]): string {
  const broken = hops.find((each) => each.state === "broken");
  if (broken !== undefined) return `Measured. Broken: ${HOP[broken.hop]}.`;
  const measured = hops.flatMap((each) => (each.median === null ? [] : [{ hop: each.hop, ms: each.median.medianMs }]));
  const longest = measured.toSorted((a, b) => b.ms - a.ms)[0];
  if (longest === undefined) return "Nothing could be measured.";
  const total = measured.reduce((sum, each) => sum + each.ms, 0);
  const known = measured.length === hops.length ? `${msText(total)} in all` : "Measured in part";
  return `${known}. The longest: ${HOP[longest.hop]}, ${msText(longest.ms)}.`;
}

/** @returns where the room lives and where the caller came in, as far as it was told; "" for nothing */
export function placesText({ room, edge }: Pick<Hops, "room" | "edge">): string {
  if (room === "local") return "Edge and room are on this machine.";
  const entry = edge === null ? "" : `You came in at data centre ${edge}.`;
  return room === null ? entry : `The room lives in data centre ${room}. ${entry}`.trim();
}

/** @returns leg of the last break in words */
export function breakText(lastBreak: NonNullable<Gateway["lastBreak"]>): string {
  return LEG_TEXT[lastBreak.leg];
}
