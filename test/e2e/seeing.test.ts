/** What owner, device and host see of a connection: the hops, the status page, doctor, the connector's metrics. Real processes, real Chromium. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cli } from "../support/cli.ts";
import { claimedHome, demoGateway } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { allow, ask, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

let home: ClaimedHome;
let owner: Page;
let device: Page;

beforeAll(async () => {
  home = await claimedHome(demoGateway, { args: ["--metrics", "0"] });
  owner = home.owner;
  device = await home.newDevice();
});

afterAll(() => home?.stop());

/** Texts of the four hops on the gateway's page. */
function hops(): Promise<string[]> {
  return owner.getByRole("list", { name: "Hops, from here to OpenClaw" }).getByRole("listitem").allTextContents();
}

test("[OB1] [OB2] Measure shows the four hops with their medians and says so aloud", async () => {
  await owner.getByText("Online", { exact: true }).waitFor();
  expect((await hops()).every((each) => each.includes("not measured yet"))).toBe(true);
  await owner.getByRole("button", { name: "Measure" }).click();
  await owner.getByRole("status").filter({ hasText: "in all. The longest:" }).waitFor();
  const shown = await hops();
  const names = ["This device – edge", "Edge – room", "Room – gateway's machine", "Gateway's machine – OpenClaw"];
  expect(shown.map((each) => each.replace(/\d.*|under.*/, "").trim())).toEqual(names);
  for (const each of shown) expect(each).toMatch(/ ms, (very fast|fast|fine|slow|very slow)$/);
  await owner.getByText("Edge and room are on this machine.").waitFor();
  await look(owner, "gateway-hops");
});

test("[OB1] gatehouse doctor shows the hops that the machine sees, and what the room told of its side", async () => {
  const secret = { OPENCLAW_URL: `ws://127.0.0.1:${home.gateway.port}`, OPENCLAW_GATEWAY_TOKEN: home.gateway.token };
  const doctor = await cli(["doctor", "--json", "--state", home.connector.stateDir], secret);
  expect(doctor.code).toBe(0);
  const shown = doctor.json().filter((each) => each["event"] === "hop");
  expect(shown.map((each) => [each["hop"], each["state"]])).toEqual([
    ["edge-room", "measured"],
    ["room-connector", "measured"],
    ["connector-gateway", "measured"],
  ]);
  expect(shown[0]?.["text"]).toMatch(/told by the room \d+ min ago, room on the control plane's machine$/);
});

test("[OB4] the connector serves its metrics where it was told to", async () => {
  const { url } = await home.connector.until((event) => event.event === "metrics", "metrics");
  expect(String(url)).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  const text = await (await fetch(String(url))).text();
  expect(text).toContain("\ngatehouse_link_up 1\n");
  expect(text).toContain("\ngatehouse_gateway_ready 1\n");
});

test("[OB7] the status page of an allowed device follows the gateway by itself; a stranger finds nothing there", async () => {
  const digits = await ask(device, home.origin);
  await review(owner);
  await allow(owner, digits);
  await device.getByText("Connected. This device may").waitFor();
  await device.goto(`${home.origin}/.gatehouse/status`);
  await device.getByText("The gateway is serving").waitFor();
  await look(device, "status-serving");
  const stranger = await home.newDevice();
  expect((await stranger.goto(`${home.origin}/.gatehouse/status`))?.status()).toBe(404);
  await home.connector.stop();
  await device.getByText("The gateway's machine is off or without internet.").waitFor();
  await device.getByText("between Gatehouse and the gateway's machine").waitFor();
  await look(device, "status-away");
});

test("[OB2] with its machine away the page names the broken hop, and measures what is in front of it", async () => {
  await owner.goto(home.stack.control.appOrigin + home.gatewayPath);
  await owner.getByText("Machine offline").waitFor();
  await owner.getByRole("button", { name: "Measure" }).click();
  await owner.getByRole("status").filter({ hasText: "Broken: Room – gateway's machine." }).waitFor();
  const [first, second, third, fourth] = await hops();
  for (const each of [first, second]) expect(each).toMatch(/ ms, /);
  expect([third, fourth]).toEqual([expect.stringContaining("broken"), expect.stringContaining("not known now")]);
  await look(owner, "gateway-hops-broken");
});
