/** Device tokens that the gateway takes no more: marked at each removal, kept over a restart. */
import { afterEach, expect, test } from "vitest";
import { Admitted } from "../../../src/connector/trust/admissions.ts";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import { StaleTokens } from "../../../src/connector/trust/stale-tokens.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway } from "../../../src/demo/gateway.ts";
import { ConnectorState, TEST_ORIGIN } from "../../support/connector-state.ts";

const TOKEN = "token-of-the-demo";
const ENTRY = "e".repeat(64);

let demo: DemoGateway | undefined;
let openclaw: LocalOpenclaw | undefined;

afterEach(async () => {
  await openclaw?.stop();
  await demo?.stop();
});

/** What the stock page sends when it was paired before. */
const PAIRED_PAGE = JSON.stringify({
  type: "req",
  id: "1",
  method: "connect",
  params: { client: { id: "openclaw-control-ui" }, device: { id: ENTRY, publicKey: "k" }, auth: { deviceToken: "old" } },
});

test("[R14] a cut marks the token, and after a restart the password still goes beside it", async () => {
  const state = await ConnectorState.create();
  const { device, session } = await state.allow();
  demo = await startDemoGateway({ port: 0, token: TOKEN });
  const connect = (bindings: Admitted): LocalOpenclaw =>
    new LocalOpenclaw({
      env: { OPENCLAW_URL: `ws://127.0.0.1:${demo?.port ?? 0}`, OPENCLAW_GATEWAY_TOKEN: TOKEN },
      origin: TEST_ORIGIN,
      bindings,
      now: () => state.nowMs,
      approveSettings: () => Promise.resolve(true),
      keepSettings: () => undefined,
    });
  const first = connect(state.admitted);
  openclaw = first;
  const online = new Promise<void>((resolve) => first.onReport((report) => report.state === "online" && resolve()));
  first.start();
  await online;
  const sent = (gateway: LocalOpenclaw): string => {
    const open = { device, session } as Parameters<LocalOpenclaw["watch"]>[0];
    const events = { paired: () => undefined, connected: () => undefined, refused: () => undefined };
    return gateway.watch(open, events, () => Promise.resolve(true)).firstFromBrowser(PAIRED_PAGE);
  };
  state.admitted.bind(device, ENTRY);
  expect(sent(first)).toBe(PAIRED_PAGE);
  await first.removeBound(device);
  state.admitted.bind(device, ENTRY);
  expect(sent(first)).toContain(TOKEN);
  const restarted = new Admitted(state.files, state.log, () => state.nowMs);
  expect(sent(connect(restarted))).toContain(TOKEN);
});

test("[R14] the newest 200 marks are kept, each until its device connects", async () => {
  const { files } = await ConnectorState.create();
  const marks = new StaleTokens(files);
  for (let i = 0; i < 201; i += 1) marks.add(String(i));
  marks.delete("200");
  const read = new StaleTokens(files);
  expect([read.has("0"), read.has("1"), read.has("199"), read.has("200")]).toEqual([false, true, true, false]);
  expect(files.read("staleTokens")).toHaveLength(199);
});

test("[R14] [case 47] a disk that refuses the mark does not stop the removal", async () => {
  const { files } = await ConnectorState.create();
  const marks = new StaleTokens(files);
  files.write = () => {
    throw new Error("ENOSPC");
  };
  marks.add(ENTRY);
  expect(marks.has(ENTRY)).toBe(true);
});
