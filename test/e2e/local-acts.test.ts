/** What an owner has done on the gateway's machine from the dashboard, against the real OpenClaw: its settings. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readLocalAct } from "../../src/core/statement.ts";
import { realGateway } from "../support/claimed-home.ts";
import type { RunningGateway } from "../support/claimed-home.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { cli } from "../support/cli.ts";
import { gatewayRpc } from "../support/gateway-rpc.ts";
import { claim } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { challengeOf, watchSigning } from "../support/signing.ts";
import { isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

let stack: Stack;
let openclaw: RunningGateway;
let connector: RunningConnector;
let browser: Awaited<ReturnType<typeof launch>>;
let owner: Page;
let gatewayPath: string;
let signing: Awaited<ReturnType<typeof watchSigning>>;

beforeAll(async () => {
  [stack, browser, openclaw] = await Promise.all([startStack(), launch(), realGateway()]);
  const { token, port: gatewayPort } = openclaw;
  connector = startConnector({ args: ["up"], stateDir: await scratch(), appOrigin: stack.control.appOrigin, gatewayPort, token });
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  owner = await (await profile(browser)).newPage();
  await withPasskeys(owner);
  signing = await watchSigning(owner);
  gatewayPath = await claim(owner, String(link["url"]), "Home");
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

function host(command: string): ReturnType<typeof cli> {
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${openclaw.port}`, OPENCLAW_GATEWAY_TOKEN: openclaw.token };
  return cli([command, "--state", connector.stateDir], env);
}

test("[SA3] [SA5] [SA6] the page shows what the terminal shows; the passkey signs it, and it is applied", async () => {
  const needed = await connector.until((event) => event.event === "settings-needed", "settings needed");
  expect(needed).toMatchObject({ asked: true, page: stack.control.appOrigin + gatewayPath });
  const line = "+ gateway.nodes.pairing.autoApproveLocal: false";
  await owner.getByText("Needs settings", { exact: true }).waitFor();
  const diff = (await owner.getByLabel("Changes: + is added, - is removed").textContent()) ?? "";
  expect(diff.split("\n")).toContain(line);
  expect(await owner.getByRole("button", { name: "Open" }).isDisabled()).toBe(true);
  await look(owner, "gateway-needs-settings");
  for (const command of ["doctor", "status"]) expect((await host(command)).text).toContain(line);
  await owner.getByRole("link", { name: "Apply" }).click();
  const apply = owner.getByRole("button", { name: "Apply" });
  await apply.waitFor();
  expect(await owner.getByLabel("Changes: + is added, - is removed").textContent()).toBe(diff);
  await look(owner, "apply-settings");
  const sent = owner.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/local-acts"));
  await apply.click();
  const { signed } = (await sent).postDataJSON() as { signed: { statement: string } };
  await owner.getByRole("heading", { name: "Settings applied" }).waitFor();
  expect(readLocalAct(signed.statement)?.body).toMatchObject({ act: "apply-settings", subject: needed["hash"] });
  const asked = (await signing()).at(-1);
  expect(asked?.challenge).toBe(challengeOf("local-act", signed.statement));
  expect(asked?.text).toContain("Your passkey signs: change");
  expect(await connector.until((event) => event.event === "settings-over", "answered elsewhere")).toMatchObject({ why: "answered" });
  await connector.until(isOnline, "online");
  const { config } = await gatewayRpc<{ config: { gateway: object } }>(openclaw.port, openclaw.token, "config.get");
  expect(config.gateway).toMatchObject({ nodes: { pairing: { autoApproveLocal: false } } });
  await owner.getByRole("link", { name: "Back to Gatehouse" }).click();
  await owner.getByText("Online", { exact: true }).waitFor();
  await owner.getByRole("link", { name: "Open" }).waitFor();
  expect((await host("doctor")).code).toBe(0);
});
