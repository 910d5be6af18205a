/** The hops as `gatehouse doctor` shows them: those that this machine can see. */
import { hopViews } from "../../core/measure/latency.ts";
import type { Hop } from "../../protocol/hop-names.ts";
import type { HopMedian, HopView } from "../../protocol/latency.ts";
import type { GatewayState } from "../../protocol/words.ts";
import type { OwnHops } from "./latency-meter.ts";
import type { HopsTold } from "./link-latency.ts";

export interface HopLine {
  readonly hop: Hop;
  readonly state: HopView["state"];
  readonly median: HopMedian | null;
  /** For people. */
  readonly text: string;
}

const MINUTE_MS = 60_000;

function medianText({ medianMs, samples }: HopMedian): string {
  return `${medianMs < 10 ? medianMs.toFixed(1) : Math.round(medianMs)} ms there and back (median of ${samples})`;
}

function toldText(told: HopsTold | null, nowMs: number): string {
  if (told === null) return "not told yet: the owner's Measure, on the gateway's page, measures it";
  const minutes = Math.max(0, Math.round((nowMs - told.atMs) / MINUTE_MS));
  const where = told.place === null ? "" : told.place === "local" ? ", room on the control plane's machine" : `, room in ${told.place}`;
  return `${medianText(told.edgeRoom)}, told by the room ${minutes} min ago${where}`;
}

/**
 * @param state of the gateway as the connector knows it; `no-link` while there is no link
 * @param own what the connector measured just now
 * @param told what the room said after the owner's last measuring
 */
export function hopLines(state: GatewayState, own: OwnHops, told: HopsTold | null, nowMs: number): readonly HopLine[] {
  const views = hopViews(null, { state, edgeRoom: told?.edgeRoom ?? null, probed: own });
  // A gateway beside a connector without a link can be measured all the same.
  return views
    .filter((view) => view.hop !== "device-edge")
    .map((view) => {
      if (view.hop === "edge-room") return { ...view, text: toldText(told, nowMs) };
      const isBehind = view.hop === "connector-gateway" && own.connectorGateway !== null;
      const seen: HopView = isBehind ? { hop: view.hop, state: "measured", median: own.connectorGateway } : view;
      const text = seen.median !== null ? medianText(seen.median) : seen.state === "broken" ? "broken: nothing gets through" : "not known";
      return { ...seen, text };
    });
}
