/** What is kept of settings that we changed, and the words for machines where they cannot be changed. */
import { expect, test } from "vitest";
import { dropApplied, keepApplied } from "../../../src/connector/trust/applied-settings.ts";
import { notLocalCure } from "../../../src/connector/cli/not-local.ts";
import { ConnectorState } from "../../support/connector-state.ts";

const PROXIES = { path: "gateway.trustedProxies", before: undefined, after: ["127.0.0.1", "::1"] };
const ORIGINS = { path: "gateway.controlUi.allowedOrigins", before: [], after: ["https://abc.gw.example"] };

test("[R17] a change is recorded once, however often it is tried", async () => {
  const { files } = await ConnectorState.create();
  keepApplied(files, [PROXIES, ORIGINS]);
  keepApplied(files, [PROXIES, ORIGINS]);
  expect(files.read("settings")).toHaveLength(2);
  // Somebody took it away meanwhile, so it was applied anew: both are taken back at uninstall.
  keepApplied(files, [{ ...PROXIES, before: ["10.0.0.1"], after: ["10.0.0.1", "127.0.0.1", "::1"] }]);
  expect(files.read("settings")).toHaveLength(3);
});

test("[R17] what OpenClaw refused is forgotten, what it took before stays", async () => {
  const { files } = await ConnectorState.create();
  keepApplied(files, [PROXIES]);
  keepApplied(files, [ORIGINS]);
  dropApplied(files, [ORIGINS]);
  expect(files.read("settings")?.map(({ path }) => path)).toEqual([PROXIES.path]);
  dropApplied(files, [PROXIES]);
  expect(files.read("settings")).toBe(null);
});

test("[R16] the cure keeps this machine's key and joins OpenClaw's network", () => {
  const text = notLocalCure("/home/ada/.gatehouse", "https://app.example");
  expect(text).toContain("--network container:openclaw");
  expect(text).toContain("-v /home/ada/.gatehouse:/state");
  expect(text).toContain('network_mode: "service:openclaw"');
  expect(text).toContain("npx -y https://app.example/connector-");
});
