/** OpenClaw's settings wait for a yes: from the terminal or from elsewhere, and nothing is served or written before. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { LocalOpenclaw } from "../../../src/connector/openclaw/openclaw-gateway.ts";
import type { SettingValues } from "../../../src/core/trust/settings-diff.ts";
import { settingsHash } from "../../../src/core/trust/settings-diff.ts";
import { startDemoGateway } from "../../../src/demo/gateway.ts";
import type { DemoGateway } from "../../../src/demo/gateway.ts";
import type { GatewayReport } from "../../../src/protocol/link-messages.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { gatewayRpc } from "../../support/gateway-rpc.ts";

const TOKEN = "token-of-the-demo";
const ORIGIN = "https://abc.gw.example";
const OWN = "https://own.example";
const SET = { trustedProxies: ["127.0.0.1", "::1"], controlUi: { allowedOrigins: [OWN, ORIGIN] }, publicOrigin: ORIGIN, nodes: { pairing: { autoApproveLocal: false } } }; // prettier-ignore

/** One question as the terminal was asked it. */
interface Asked {
  readonly hash: string;
  readonly paths: readonly string[];
  readonly say: (yes: boolean) => void;
  readonly signal: AbortSignal;
}

let demo: DemoGateway;
let openclaw: LocalOpenclaw;
let asked: Arrivals<Asked>;
let reports: Arrivals<GatewayReport>;
let kept: SettingValues[];
let refusesKeeping: boolean;
let former: readonly string[];

beforeEach(async () => {
  demo = await startDemoGateway({ port: 0, token: TOKEN, gateway: { controlUi: { allowedOrigins: [OWN] } } });
  [asked, reports, kept, refusesKeeping, former] = [new Arrivals(), new Arrivals(), [], false, []];
  openclaw = new LocalOpenclaw({
    env: { OPENCLAW_URL: `ws://127.0.0.1:${demo.port}`, OPENCLAW_GATEWAY_TOKEN: TOKEN },
    origin: ORIGIN,
    bindings: {
      bound: () => [],
      bind: () => undefined,
      unbind: () => undefined,
      mayHandOver: () => true,
      takeHandover: () => false,
      staleTokens: new Set(),
    },
    now: () => Date.now(),
    approveSettings: ({ hash, lines }, signal) =>
      new Promise((say) => asked.put({ hash, paths: lines.map(({ path }) => path), say, signal })),
    keepSettings: (changes) => {
      if (refusesKeeping) throw new Error("ENOSPC");
      kept.push(...changes);
    },
    formerOrigins: () => former,
    watchSettingsMs: 2 ** 30,
  });
  openclaw.onReport((report) => reports.put(report));
  openclaw.start();
});

afterEach(async () => {
  await openclaw.stop();
  await demo.stop();
});

async function until(state: string): Promise<GatewayReport> {
  for (;;) {
    const report = await reports.next();
    if (report.state === state) return report;
  }
}

async function config(): Promise<{ readonly gateway: object; readonly hash: string }> {
  const { config: now, hash } = await gatewayRpc<{ config: { gateway: object }; hash: string }>(demo.port, TOKEN, "config.get");
  return { gateway: now.gateway, hash };
}

async function patch(gateway: object): Promise<void> {
  await gatewayRpc(demo.port, TOKEN, "config.patch", { raw: JSON.stringify({ gateway }), baseHash: (await config()).hash });
}

test("[SA6] while the question is open the report says so, with the diff and its hash", async () => {
  const report = await until("needs-settings");
  const question = await asked.next();
  expect(openclaw.settings).toEqual(report.settings);
  expect(report.settings?.hash).toBe(await settingsHash(report.settings?.lines ?? []));
  expect(question.hash).toBe(report.settings?.hash);
  expect([openclaw.isServing, openclaw.report.state]).toEqual([false, "needs-settings"]);
  expect((await config()).gateway).not.toMatchObject(SET);
});

test("[SA5] a yes from elsewhere ends the terminal's question and applies", async () => {
  const question = await asked.next();
  expect(await openclaw.answerSettings(question.hash, true)).toBe("done");
  expect([question.signal.aborted, question.signal.reason]).toEqual([true, "answered"]);
  await until("online");
  expect((await config()).gateway).toMatchObject(SET);
  expect(kept.map(({ path }) => path)).toEqual(question.paths.filter((path, i, all) => all.indexOf(path) === i));
  expect(openclaw.settings).toBe(null);
  expect(await openclaw.answerSettings(question.hash, true)).toBe("over");
});

test("[SA5] a yes in the terminal ends the question elsewhere", async () => {
  const question = await asked.next();
  question.say(true);
  await until("online");
  expect(await openclaw.answerSettings(question.hash, true)).toBe("over");
});

test("[SA5] a no in the terminal ends it for everybody; nothing is written", async () => {
  const question = await asked.next();
  question.say(false);
  expect(await until("unsafe")).toMatchObject({ reason: "settings-refused" });
  expect(await openclaw.answerSettings(question.hash, true)).toBe("over");
  expect((await config()).gateway).not.toMatchObject(SET);
});

test("[SA5] settings that change meanwhile end the question; what is still missing is asked anew", async () => {
  const first = await asked.next();
  await patch({ trustedProxies: SET.trustedProxies });
  const second = await asked.next();
  expect([first.signal.aborted, first.signal.reason]).toEqual([true, "over"]);
  expect(second.paths).not.toContain("gateway.trustedProxies");
  expect(await openclaw.answerSettings(first.hash, true)).toBe("over");
  await patch({ ...SET });
  expect(second.signal.aborted || (await new Promise((resolve) => second.signal.addEventListener("abort", () => resolve(true))))).toBe(
    true,
  );
  await until("online");
});

test("[SA5] OpenClaw that goes away ends the question", async () => {
  const question = await asked.next();
  await demo.stop();
  await until("offline");
  expect([question.signal.aborted, openclaw.settings]).toEqual([true, null]);
});

test("[SA3] what OpenClaw needs by now is not what was answered: nothing is written", async () => {
  const first = await asked.next();
  former = [OWN];
  expect(await openclaw.answerSettings(first.hash, true)).toBe("over");
  expect([kept, (await config()).gateway]).toEqual([[], expect.not.objectContaining({ trustedProxies: SET.trustedProxies })]);
  const second = await asked.next();
  expect(second.hash).not.toBe(first.hash);
  expect(await openclaw.answerSettings(second.hash, true)).toBe("done");
  expect(JSON.stringify((await config()).gateway)).not.toContain(OWN);
});

test("[SA3] a disk that cannot note the changes: nothing is written, and the owner hears it", async () => {
  const question = await asked.next();
  refusesKeeping = true;
  expect(await openclaw.answerSettings(question.hash, true)).toBe("internal");
  expect((await config()).gateway).not.toMatchObject(SET);
});
