/** What an owner has done on the gateway's machine from the dashboard, against the real OpenClaw: its settings, and a new secret. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readLocalAct } from "../../src/core/trust/statement.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import type { RunningOpenclaw } from "../../scripts/real-openclaw.ts";
import { freePort } from "../../scripts/control-plane.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { cli } from "../support/cli.ts";
import { gatewayRpc } from "../support/gateway-rpc.ts";
import { allow, ask, claim, nextHello, review } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { challengeOf, watchSigning } from "../support/signing.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

let stack: Stack;
let openclaw: RunningOpenclaw;
/** OpenClaw's config, where the connector finds the secret. */
let file: string;
let connector: RunningConnector;
let browser: Awaited<ReturnType<typeof launch>>;
let owner: Page;
let gatewayPath: string;
let signing: Awaited<ReturnType<typeof watchSigning>>;

beforeAll(async () => {
  const stateDir = await scratch();
  file = path.join(stateDir, "openclaw.json");
  const command = await installOpenclaw(() => undefined);
  const starting = runOpenclaw({ command, port: await freePort(), stateDir, token: canary() });
  [stack, browser, openclaw] = await Promise.all([startStack(), launch(), starting]);
  vi.stubEnv("OPENCLAW_CONFIG_PATH", file);
  const { appOrigin } = stack.control;
  connector = startConnector({ args: ["up"], stateDir: await scratch(), appOrigin, gatewayPort: openclaw.port, token: "" });
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
  const env = { OPENCLAW_URL: `ws://127.0.0.1:${openclaw.port}`, OPENCLAW_GATEWAY_TOKEN: "" };
  return cli([command, "--state", connector.stateDir], env);
}

test("[SA3] [SA5] [SA6] the page shows what the terminal shows; the passkey signs it, and it is applied", async () => {
  const needed = await connector.until((event) => event.event === "settings-needed", "settings needed");
  expect(needed).toMatchObject({ asked: true, page: stack.control.appOrigin + gatewayPath });
  const line = "+ gateway.nodes.pairing.autoApproveLocal: false";
  await owner.getByText("Needs settings", { exact: true }).waitFor();
  const diff = (await owner.getByLabel("Changes: + is added, - is removed").textContent()) ?? "";
  expect(diff.split("\n")).toContain(line);
  expect(await owner.getByRole("button", { name: "Open", exact: true }).isDisabled()).toBe(true);
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
  await owner.getByRole("link", { name: "Open", exact: true }).waitFor();
  expect((await host("doctor")).code).toBe(0);
});

/** The secret as OpenClaw's config holds it now. */
function secretNow(): string {
  return (JSON.parse(readFileSync(file, "utf8")) as { gateway: { auth: { token: string } } }).gateway.auth.token;
}

test("[SA9] the page and the machine change the secret; a device that was let in comes back by itself", async () => {
  const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  const laptop = await (await profile(browser)).newPage();
  const hello = nextHello(laptop);
  const digits = await ask(laptop, origin);
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await review(owner);
  await allow(owner, digits);
  await hello;
  await owner.goto(stack.control.appOrigin + gatewayPath);
  const secrets = [openclaw.token];
  for (const how of ["page", "machine"]) {
    const again = nextHello(laptop);
    if (how === "page") {
      await owner.getByRole("link", { name: "Change OpenClaw's password" }).click();
      await look(owner, "rotate-secret");
      await owner.getByRole("button", { name: "Change OpenClaw's password" }).click();
      await owner.getByRole("heading", { name: "Password changed" }).waitFor();
    } else
      expect(await host("rotate-secret")).toMatchObject({ code: 0, text: expect.stringContaining("OpenClaw has a new secret.") as string });
    await again;
    secrets.push(secretNow());
    await expect(gatewayRpc(openclaw.port, secrets.at(-2) ?? "", "config.get")).rejects.toThrow();
    await gatewayRpc(openclaw.port, secrets.at(-1) ?? "", "config.get");
  }
  expect(new Set(secrets).size).toBe(3);
  for (const secret of secrets) expect(JSON.stringify(connector.events)).not.toContain(secret);
});
