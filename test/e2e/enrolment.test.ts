/** Enrolment by code, as on a machine elsewhere and without a terminal; settings refused; the tarball that the control plane serves. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { node24 } from "../../scripts/children.ts";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { signGenesis, signUp } from "../support/journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const TOKEN = canary();

let stack: Stack;
let gateway: DemoGateway;
let browser: Browser;
let owner: Page;

function connect(args: readonly string[], stateDir: string): RunningConnector {
  return startConnector({ args, stateDir, appOrigin: stack.control.appOrigin, gatewayPort: gateway.port, token: TOKEN });
}

/** Presses Add gateway. @returns the command that the page shows */
async function addGateway(name: string): Promise<string> {
  await owner.goto(`${stack.control.appOrigin}/gateways/new`);
  await owner.getByLabel("Name of the gateway").fill(name);
  await owner.getByRole("button", { name: "Continue" }).click();
  return (await owner.locator("pre").first().textContent()) ?? "";
}

beforeAll(async () => {
  [stack, browser, gateway] = await Promise.all([startStack(), launch(), startDemoGateway({ port: 0, token: TOKEN })]);
  owner = await (await profile(browser)).newPage();
  await withPasskeys(owner);
  await owner.goto(stack.control.appOrigin);
  await owner.getByRole("button", { name: "Sign in" }).click();
  await signUp(owner, "Ada");
  await owner.getByRole("link", { name: "Add gateway" }).waitFor();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  await stack?.stop();
});

test("without a terminal `up <code>` stops with 3; the page's words confirm; the same code never works again", async () => {
  const command = await addGateway("Cabin");
  expect(command).toMatch(new RegExp(`^npx -y ${stack.control.appOrigin}/connector-[\\d.]+\\.tgz up gthc_\\w{60}$`));
  const code = command.split(" ").at(-1) ?? "";
  const stateDir = await scratch();
  const first = connect(["up", code, "--yes"], stateDir);
  await owner.getByRole("link", { name: "Compare the words" }).click();
  expect(await first.child.ended()).toBe(3);
  const words = await signGenesis(owner);
  expect(words).toMatch(/^\w+ \w+ \w+ \w+$/);
  expect(first.events.find((event) => event.event === "check-words")).toMatchObject({
    words,
    gatewayName: "Cabin",
    accountName: "Ada",
    passkeys: 1,
    approvalHost: new URL(stack.control.approveOrigin).host,
  });
  const connector = connect(["up", "--yes", "--check-words", words], stateDir);
  await connector.until(isOnline, "online");
  await owner.getByRole("link", { name: "Go on" }).click();
  await owner.getByText("Online", { exact: true }).waitFor();
  const thief = connect(["up", code, "--yes"], await scratch());
  expect(await thief.child.ended()).toBe(1);
  expect(thief.events.at(-1)).toMatchObject({ event: "code-invalid" });
  await connector.stop();
});

test("wrong words burn the code and pin nothing", async () => {
  const code = (await addGateway("Attic")).split(" ").at(-1) ?? "";
  const stateDir = await scratch();
  const refused = connect(["up", code, "--yes", "--check-words", "anchor anchor anchor anchor"], stateDir);
  await owner.getByRole("link", { name: "Compare the words" }).click();
  expect(await refused.child.ended()).toBe(1);
  expect(refused.events.at(-1)).toMatchObject({ event: "words-differ" });
  expect(existsSync(path.join(stateDir, "gateway.json"))).toBe(false);
  await owner.getByText("The machine ended this. Nothing was pinned.").waitFor();
});

test("[case 43] without a yes to the settings nothing is served: the owner and the door say so", async () => {
  const code = (await addGateway("Barn")).split(" ").at(-1) ?? "";
  const stateDir = await scratch();
  const first = connect(["up", code], stateDir);
  await owner.getByRole("link", { name: "Compare the words" }).click();
  expect(await first.child.ended()).toBe(3);
  const words = await signGenesis(owner);
  const fresh = await startDemoGateway({ port: 0, token: TOKEN });
  const connector = startConnector({
    args: ["up", "--check-words", words],
    stateDir,
    appOrigin: stack.control.appOrigin,
    gatewayPort: fresh.port,
    token: TOKEN,
  });
  await connector.until(
    (event) => event.event === "openclaw" && (event["report"] as { state: string }).state === "needs-settings",
    "needs settings",
  );
  await owner.getByRole("link", { name: "Go on" }).click();
  await owner.getByText("Needs settings", { exact: true }).waitFor();
  const origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  const stranger = await (await profile(browser)).newPage();
  await stranger.goto(origin);
  await stranger.getByText("waits until its owner applies its settings").waitFor();
  await stranger.context().close();
  await connector.stop();
  await fresh.stop();
});

test("the served tarball installs in an empty folder and runs", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "gatehouse-tarball-"));
  const url = (await addGateway("Tent")).split(" ")[2] ?? "";
  const run = promisify(execFile);
  const env = { ...process.env, PATH: `${path.dirname(node24)}${path.delimiter}${process.env["PATH"] ?? ""}` };
  await run("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", url], { env });
  const { stdout } = await run(node24, [path.join(folder, "node_modules/gatehouse/gatehouse.mjs"), "--help"]);
  expect(stdout).toContain("Exit codes");
  const missing = await fetch(url.replace(/connector-[\d.]+/, "connector-0.0.0"));
  expect(missing.status).toBe(404);
});
