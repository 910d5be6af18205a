/** The hops between this device and OpenClaw: measured when the owner presses a button, and what the room knows anyway. */
import { useEffect, useState } from "preact/hooks";
import { medianOf, timed } from "../core/measure/latency.ts";
import type { Gateway, Hops } from "../protocol/api.ts";
import { HOPS } from "../protocol/hop-names.ts";
import type { HopView } from "../protocol/latency.ts";
import { HOP_ROUNDS } from "../protocol/limits.ts";
import { call } from "./api.ts";
import { CONNECTION, HOP, breakText, hopText, placesText, summary } from "./connection-texts.ts";
import { Act } from "./parts.tsx";
import { Ago } from "./shared.tsx";

/** The cheapest answer of the edge: no sign-in, no database, no room. */
function askEdge(): Promise<unknown> {
  return fetch("/healthz", { cache: "no-store" }).then((response) => response.text());
}

/** @returns this device's own round trips; "unmeasured" when the network goes meanwhile */
async function deviceEdge(): Promise<HopView> {
  try {
    // The first opens the connection, which later ones use.
    await askEdge();
    const median = medianOf(await timed(HOP_ROUNDS, askEdge, () => performance.now()));
    return { hop: "device-edge", state: "measured", median };
  } catch {
    return { hop: "device-edge", state: "unmeasured", median: null };
  }
}

/** One after the other: side by side they would slow each other down. @throws ApiFailure */
async function measure(gateway: string): Promise<Hops> {
  const own = await deviceEdge();
  const found = await call<Hops>("POST", `/api/gateways/${gateway}/hops`);
  return { ...found, hops: found.hops.map((each) => (each.hop === own.hop ? own : each)) };
}

const TONE: Readonly<Record<HopView["state"], string>> = { measured: "", broken: "bad", unmeasured: "small" };

export function Connection({ gateway }: { readonly gateway: Gateway }) {
  const [found, setFound] = useState<Hops | null>(null);
  const [said, say] = useState("");
  const { linkSinceMs, lastBreak } = gateway;
  // What was measured on a link that is gone says nothing about the one that is there.
  useEffect(() => {
    setFound(null);
    say("");
  }, [gateway.state, linkSinceMs]);
  const run = async (): Promise<void> => {
    say(CONNECTION.measuring);
    try {
      const now = await measure(gateway.id);
      setFound(now);
      say(summary(now.hops));
    } catch (reason) {
      say("");
      throw reason;
    }
  };
  const places = found === null ? "" : placesText(found);
  return (
    <div class="card">
      <p>{CONNECTION.intro}</p>
      <ol class="hops" aria-label={CONNECTION.hopsLabel}>
        {HOPS.map((hop) => {
          const view = found?.hops.find((each) => each.hop === hop) ?? null;
          return (
            <li key={hop}>
              <span>{HOP[hop]}</span> <span class={view === null ? "small" : TONE[view.state]}>{hopText(view)}</span>
            </li>
          );
        })}
      </ol>
      <div class="row">
        <Act label={CONNECTION.measure} run={run} />
        <span role="status">{said}</span>
      </div>
      {places !== "" && <p class="small">{places}</p>}
      <p class="small">
        {linkSinceMs === null ? (
          CONNECTION.linkDown
        ) : (
          <>
            {CONNECTION.linkSince} {new Date(linkSinceMs).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}
          </>
        )}
        {" · "}
        {CONNECTION.lastBreak}:{" "}
        {lastBreak === null ? (
          CONNECTION.noBreak
        ) : (
          <>
            {breakText(lastBreak)}, <Ago ms={lastBreak.atMs} />
          </>
        )}
      </p>
      <p class="small">
        {CONNECTION.statusPageText} <a href={`${gateway.origin}/.gatehouse/status`}>{CONNECTION.statusPage}</a>
      </p>
    </div>
  );
}
