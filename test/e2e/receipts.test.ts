/** On the real OpenClaw: the receipt of a cut, saved by its owner and verified offline; a device paired on the gateway itself, named and removed. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run as runProgram, root } from "../../scripts/children.ts";
import { freePort } from "../../scripts/control-plane.ts";
import { installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import path from "node:path";
import { GatewayClient, newKey } from "../support/gateway-client.ts";
import type { OpenclawKey } from "../support/gateway-client.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, claim, nextHello, review } from "../support/journey.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const SECRET = canary();

let stack: Stack;
let openclaw: Awaited<ReturnType<typeof runOpenclaw>>;
let connector: RunningConnector;
let browser: Browser;
let owner: Page;
let gatewayUrl: string;
let origin: string;

beforeAll(async () => {
  const command = await installOpenclaw(() => undefined);
  [stack, browser, openclaw] = await Promise.all([
    startStack(),
    launch(),
    runOpenclaw({ command, port: await freePort(), stateDir: await scratch(), token: SECRET }),
  ]);
  connector = startConnector({
    args: ["up", "--yes"],
    stateDir: await scratch(),
    appOrigin: stack.control.appOrigin,
    gatewayPort: openclaw.port,
    token: SECRET,
  });
  owner = await (await profile(browser)).newPage();
  await withPasskeys(owner);
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  gatewayUrl = stack.control.appOrigin + (await claim(owner, String(link["url"]), "Home"));
  await connector.until(isOnline, "self-test passed");
  origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await openclaw?.stop();
  await stack?.stop();
});

async function control(): Promise<GatewayClient> {
  const client = await GatewayClient.dial(openclaw.port);
  const answer = await client.connect({
    client: { id: "gateway-client", mode: "backend" },
    scopes: ["operator.pairing", "operator.admin", "operator.read"],
    auth: { token: SECRET },
  });
  expect(answer.error).toBe(undefined);
  return client;
}

async function pairedIds(client: GatewayClient): Promise<string[]> {
  const { paired } = await client.call<{ paired: { deviceId: string }[] }>("device.pair.list");
  return paired.map((each) => each.deviceId);
}

/** What a person at the machine does who pairs a device without Gatehouse: another way in, approved by hand. */
async function pairLocally(client: GatewayClient): Promise<OpenclawKey> {
  const key = newKey();
  const headers = { origin, "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "x-forwarded-host": new URL(origin).host };
  const visitor = await GatewayClient.dial(openclaw.port, headers);
  const refused = await visitor.connect({ key, scopes: ["operator.read"], auth: { password: SECRET } });
  const requestId = refused.error?.details?.["requestId"];
  if (typeof requestId !== "string") throw new Error(`no pairing request: ${JSON.stringify(refused.error)}`);
  await client.call("device.pair.approve", { requestId });
  return key;
}

test("[CUT3] [CUT5] [case 26] a cut of a connected Control UI: both ticks, the saved receipt verifies offline and names the removed entry", async () => {
  const client = await control();
  const before = await pairedIds(client);
  const device = await (await profile(browser)).newPage();
  const hello = nextHello(device);
  const digits = await ask(device, origin);
  await owner.goto(gatewayUrl);
  await review(owner);
  await allow(owner, digits);
  await hello;
  const added = (await pairedIds(client)).filter((id) => !before.includes(id));
  expect(added).toHaveLength(1);
  await owner.goto(gatewayUrl);
  await owner.getByText("agrees with what is allowed here").waitFor();
  await owner.getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Cut now" }).click();
  await owner.getByText("✓ Removed on the gateway: 1 entry").waitFor();
  expect(await pairedIds(client)).toEqual(before);
  const saving = owner.waitForEvent("download");
  await owner.getByRole("link", { name: "Save the receipt" }).click();
  const file = path.join(await scratch(), "receipt.json");
  await (await saving).saveAs(file);
  const verify = async (state: string, more: readonly string[] = []): Promise<string> => {
    const lines: string[] = [];
    const args = [path.join(root, "dist/connector/gatehouse.mjs"), "receipt", "verify", file, ...more, "--json", "--state", state];
    await runProgram("gatehouse receipt verify", { args, onLine: (line) => lines.push(line) });
    return lines.join("\n");
  };
  const verified = JSON.parse(await verify(connector.stateDir)) as { event: string; receipt: { entries: string[]; by: string } };
  expect([verified.event, verified.receipt.entries, verified.receipt.by]).toEqual(["verified", added, "owner"]);
  expect(JSON.parse(await verify(await scratch(), ["--log", path.join(connector.stateDir, "key-log.jsonl")]))).toMatchObject({ event: "verified" }); // prettier-ignore
  await device.context().close();
  client.close();
});

test("[DR1] [DR2] a device that was paired on the gateway itself is named on the dashboard, and one press removes it there", async () => {
  const client = await control();
  const before = await pairedIds(client);
  await owner.goto(gatewayUrl);
  const key = await pairLocally(client);
  const named = owner.getByRole("listitem").filter({ hasText: "paired on the gateway itself" });
  await named.waitFor();
  expect(await pairedIds(client)).toContain(key.id);
  await named.getByRole("button", { name: "Remove on the gateway" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Remove on the gateway" }).click();
  await owner.getByText("agrees with what is allowed here").waitFor();
  expect(await pairedIds(client)).toEqual(before);
  client.close();
});
