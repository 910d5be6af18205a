/** The settings diff: only what comes and goes, bounded, with one hash. And which origins of ours go with it. */
import { expect, test } from "vitest";
import { formerOrigins, planSettings } from "../../../../src/connector/openclaw/settings.ts";
import { diffText, settingLines, settingsHash } from "../../../../src/core/trust/settings-diff.ts";
import { settingsQuestionSchema } from "../../../../src/protocol/link-local-acts.ts";
import { MAX_DROPPED_ORIGINS, MAX_SETTING_CHARS } from "../../../../src/protocol/limits.ts";

const ORIGIN = "https://new.gw.example";
const ORIGINS = "gateway.controlUi.allowedOrigins";

function config(allowedOrigins: readonly string[], more: object = {}): object {
  const gateway = { trustedProxies: ["127.0.0.1", "::1"], publicOrigin: ORIGIN, nodes: { pairing: { autoApproveLocal: false } } };
  return { gateway: { ...gateway, ...more, controlUi: { allowedOrigins } } };
}

test("[SA6] of a list only what comes and goes is shown", () => {
  const lines = settingLines([
    { path: "a.list", before: ["kept", "gone"], after: ["kept", "come"] },
    { path: "a.flag", before: true, after: false },
    { path: "a.new", before: undefined, after: "x" },
  ]);
  expect(diffText(lines)).toBe('- a.list: "gone"\n+ a.list: "come"\n- a.flag: true\n+ a.flag: false\n+ a.new: "x"');
});

test("[SA6] a diff travels bounded, however long the settings are", async () => {
  const former = Array.from({ length: 40 }, (_, i) => `https://old${i}.gw.example`);
  const long = ["x".repeat(4_000)];
  const lines = settingLines(planSettings(config(former, { trustedProxies: long, nodes: { pairing: { autoApproveLocal: long } } }), ORIGIN, former)); // prettier-ignore
  expect(settingsQuestionSchema.parse({ hash: await settingsHash(lines), lines }).lines).toEqual(lines);
  expect(Math.max(...lines.map(({ value }) => value.length))).toBe(MAX_SETTING_CHARS);
});

test("[SA3] another line, another order, another cut between members: another hash", async () => {
  const line = { path: "a", change: "add", value: "b" } as const;
  const hashes = await Promise.all(
    [
      [line],
      [line, line],
      [{ ...line, change: "remove" as const }],
      [{ ...line, path: "", value: "ab" }],
      [{ ...line, path: "ab", value: "" }],
    ].map(settingsHash),
  );
  expect(new Set(hashes).size).toBe(5);
  expect(await settingsHash([{ ...line }])).toBe(hashes[0]);
});

test("[SA8] origins that we added for gateways that are gone leave with the next change", () => {
  const applied = [
    { path: ORIGINS, before: ["https://own.example"], after: ["https://own.example", "https://old.gw.example"] },
    { path: "gateway.trustedProxies", before: undefined, after: ["127.0.0.1", "::1"] },
    { path: ORIGINS, before: ["https://own.example"], after: ["https://own.example", ORIGIN] },
  ];
  const former = formerOrigins(applied, ORIGIN);
  expect(former).toEqual(["https://old.gw.example"]);
  const now = ["https://own.example", "https://old.gw.example"];
  expect(diffText(settingLines(planSettings(config(now), ORIGIN, former)))).toBe(
    `- ${ORIGINS}: "https://old.gw.example"\n+ ${ORIGINS}: "${ORIGIN}"`,
  );
  // With another reason, when our own origin is there already.
  expect(diffText(settingLines(planSettings(config([...now, ORIGIN], { trustedProxies: ["127.0.0.1"] }), ORIGIN, former)))).toBe(
    `+ gateway.trustedProxies: "::1"\n- ${ORIGINS}: "https://old.gw.example"`,
  );
  // Never by itself: it would ask for nothing that is needed.
  expect(planSettings(config([...now, ORIGIN]), ORIGIN, former)).toEqual([]);
  const many = Array.from({ length: 20 }, (_, i) => `https://old${i}.gw.example`);
  const dropped = settingLines(planSettings(config(many), ORIGIN, many)).filter(({ change }) => change === "remove");
  expect(dropped.length).toBe(MAX_DROPPED_ORIGINS);
});
