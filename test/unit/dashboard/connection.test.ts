/** What the pages say about hops and states: every one in words, the broken one named. */
import { expect, test } from "vitest";
import { HOPS } from "../../../src/protocol/hop-names.ts";
import type { HopView } from "../../../src/protocol/latency.ts";
import { GATEWAY_STATES } from "../../../src/protocol/words.ts";
import { HOP, hopText, msText, placesText, summary } from "../../../src/dashboard/connection-texts.ts";
import { STATUS, stateText, statusFacts, statusTitle } from "../../../src/door/texts.ts";

const views = (...medians: (number | "broken" | null)[]): HopView[] =>
  HOPS.map((hop, at) => {
    const each = medians[at] ?? null;
    if (each === "broken") return { hop, state: "broken", median: null };
    return each === null ? { hop, state: "unmeasured", median: null } : { hop, state: "measured", median: { medianMs: each, samples: 5 } };
  });

test("[OB2] the announcement names the broken hop, else the longest, and says when a part is missing", () => {
  expect(summary(views(12, 3, "broken", null))).toBe(`Measured. Broken: ${HOP["room-connector"]}.`);
  expect(summary(views(12, 3, 40.2, 0.4))).toBe("56 ms in all. The longest: Room – gateway's machine, 40 ms.");
  expect(summary(views(null, 3, 40, 0.4))).toBe("Measured in part. The longest: Room – gateway's machine, 40 ms.");
  expect(summary(views(null, null, null, null))).toBe("Nothing could be measured.");
});

test("[OB2] each hop says its time and how that feels, or that it is broken, or not known", () => {
  expect([msText(0), msText(0.02), msText(0.44), msText(9.96), msText(140.5)]).toEqual([
    "under 1 ms",
    "under 0.1 ms",
    "0.4 ms",
    "10.0 ms",
    "141 ms",
  ]);
  const [fast, slow, broken, unknown] = views(10, 800, "broken", null);
  const texts = [fast, slow, broken, unknown].map((each) => hopText(each ?? null));
  expect(texts).toEqual(["10 ms, very fast", "800 ms, very slow", "broken: nothing gets through", "not known now"]);
  expect(hopText(null)).toBe("not measured yet");
});

test("[OB1] where room and edge are is said as far as it is known", () => {
  expect(placesText({ room: "local", edge: "local" })).toBe("Edge and room are on this machine.");
  expect(placesText({ room: "AMS", edge: "FRA" })).toBe("The room lives in data centre AMS. You came in at data centre FRA.");
  expect(placesText({ room: null, edge: "FRA" })).toBe("You came in at data centre FRA.");
  expect(placesText({ room: null, edge: null })).toBe("");
});

test("[OB7] the status page has a word for every state, and says since when a gateway is offline", () => {
  const at = (ms: number): string => `T${ms}`;
  const titles = GATEWAY_STATES.map((state) => statusTitle(state));
  expect(new Set(titles).size).toBe(GATEWAY_STATES.length);
  for (const state of GATEWAY_STATES) expect(stateText(state, null) || STATUS.serving).not.toBe("");
  const facts = { linkSinceMs: null, lastSeenMs: 5, lastBreak: { leg: "room-connector", atMs: 6 } } as const;
  expect(statusFacts({ gatewayState: "no-link", ...facts }, at)).toEqual([
    ["State", "offline: its machine is away, since T5"],
    ["Machine connected since", "not connected"],
    ["Last break", "T6, between Gatehouse and the gateway's machine"],
  ]);
  expect(statusFacts({ gatewayState: "online", linkSinceMs: 7, lastSeenMs: 5, lastBreak: null }, at)).toEqual([
    ["State", "serving"],
    ["Machine connected since", "T7"],
    ["Last break", "none that is known"],
  ]);
});
