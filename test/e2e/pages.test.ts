/** Every page and state: no accessibility finding, no sideways scrolling at 320 px, and a screenshot of each (kept out of git). Then bulk through the whole chain. */
import { createHash } from "node:crypto";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { allow, ask, review, signGenesis } from "../support/journey.ts";
import { look } from "../support/look.ts";
import { canary, isOnline, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";
import { UPLOAD_PATH } from "../support/upload-path.ts";

const MIB = 1024 * 1024;
const TOKEN = canary();

let stack: Stack;
let gateway: DemoGateway;
let connector: RunningConnector;
let browser: Browser;
let owner: Page;
let device: Page;
let origin: string;
let gatewayPath: string;
/** Headers that the gateway saw on the last request of a test's own path. */
let seenHeaders: Readonly<Record<string, unknown>> = {};

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), launch()]);
  gateway = await startDemoGateway({
    port: 0,
    token: TOKEN,
    onRequest: (request, response) => {
      // Others ask meanwhile: the page for its parts, the connector for a sign of life.
      if (request.url?.startsWith("/bulk/") === true) seenHeaders = request.headers;
      if (request.url === UPLOAD_PATH) {
        const hash = createHash("sha256");
        let bytes = 0;
        request.on("data", (chunk: Buffer) => {
          bytes += chunk.byteLength;
          hash.update(chunk);
        });
        request.on("end", () => response.end(JSON.stringify({ bytes, sha256: hash.digest("hex") })));
        return true;
      }
      const size = /^\/bulk\/down\/(\d+)$/.exec(request.url ?? "")?.[1];
      if (size === undefined) return false;
      let left = Number(size) * MIB;
      const chunk = Buffer.alloc(MIB, 7);
      const write = (): void => {
        while (left > 0) {
          left -= MIB;
          if (!response.write(chunk)) return void response.once("drain", write);
        }
        response.end();
      };
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": left });
      write();
      return true;
    },
    onSocket: (ws, request) => {
      if (request.url !== "/bulk/echo") return false;
      ws.on("message", (data: Buffer, isBinary: boolean) => {
        if (!isBinary && data.toString() === "close") ws.close(4321, "as told");
        else ws.send(data, { binary: isBinary });
      });
      ws.send("ready");
      return true;
    },
  });
  connector = startConnector({
    args: ["up", "--yes"],
    stateDir: await scratch(),
    appOrigin: stack.control.appOrigin,
    gatewayPort: gateway.port,
    token: TOKEN,
  });
  owner = await (await profile(browser)).newPage();
  device = await (await profile(browser)).newPage();
  await withPasskeys(owner);
});

afterAll(async () => {
  await browser?.close();
  await connector?.stop();
  await gateway?.stop();
  await stack?.stop();
});

test("signing up and claiming", async () => {
  const link = await connector.until((event) => event.event === "claim-link", "claim link");
  await owner.goto(String(link["url"]));
  await owner.getByLabel("Your name").waitFor();
  await look(owner, "sign-up");
  await owner.getByLabel("Your name").fill("Ada");
  await owner.getByRole("button", { name: "Make account with a passkey" }).click();
  await owner.getByRole("heading", { name: "Keep these recovery codes" }).waitFor();
  await look(owner, "recovery-codes");
  await owner.getByLabel("I have kept them in a safe place").check();
  await owner.getByRole("button", { name: "Continue" }).click();
  await owner.getByRole("button", { name: "Add gateway" }).waitFor();
  await look(owner, "claim");
  await owner.getByRole("button", { name: "Add gateway" }).click();
  await owner.getByRole("heading", { name: "Compare with the terminal" }).waitFor();
  await look(owner, "compare");
  await signGenesis(owner);
  await owner.getByRole("link", { name: "Go on" }).waitFor();
  await look(owner, "claimed");
  await owner.getByRole("link", { name: "Go on" }).click();
  await connector.until(isOnline, "online");
  await owner.getByText("Online", { exact: true }).waitFor();
  gatewayPath = new URL(owner.url()).pathname;
  origin = String((await connector.until((event) => event.event === "enrolled", "enrolled"))["origin"]);
  await look(owner, "gateway-empty");
});

test("door, waiting, deciding, devices", async () => {
  await device.goto(origin);
  await device.getByRole("button", { name: "Ask the owner" }).waitFor();
  await look(device, "door-new");
  const digits = await ask(device, origin);
  await look(device, "door-waiting");
  await owner.getByRole("link", { name: "Review" }).waitFor();
  await look(owner, "gateway-waiting");
  await review(owner);
  await look(owner, "decide");
  await allow(owner, digits);
  await owner.getByRole("heading", { level: 1, name: "Allowed" }).waitFor();
  await look(owner, "allowed");
  await device.getByText("Connected. This device may").waitFor();
  await owner.goto(stack.control.appOrigin + gatewayPath);
  await owner.getByRole("button", { name: "Cut now" }).waitFor();
  await look(owner, "gateway-devices");
  await owner.getByRole("button", { name: "Cut now" }).click();
  await owner.getByRole("dialog").waitFor();
  await look(owner, "cut-dialog");
  await owner.getByRole("button", { name: "Keep it" }).click();
});

test("the other pages", async () => {
  const pages = [["/", "Gateways", "overview"], ["/gateways/new", "Add gateway", "add-gateway"], ["/activity", "Activity", "activity"], ["/account", "Ada", "account"]] as const; // prettier-ignore
  for (const [where, heading, name] of pages) {
    await owner.goto(stack.control.appOrigin + where);
    await owner.getByRole("heading", { level: 1, name: heading }).waitFor();
    await look(owner, name);
  }
  await owner.getByRole("link", { name: "Passkeys and recovery codes" }).click();
  await owner.getByRole("heading", { level: 2, name: "Passkeys" }).waitFor();
  await look(owner, "passkeys");
});

test("[ST2] [ST5] a 25 MiB message each way, text and binary kept apart, the close as sent", async () => {
  const result = await device.evaluate(async (size) => {
    const ws = new WebSocket(`${location.origin.replace("http", "ws")}/bulk/echo`);
    ws.binaryType = "arraybuffer";
    const next = (): Promise<string | ArrayBuffer> =>
      new Promise((resolve) =>
        ws.addEventListener("message", (event: MessageEvent<string | ArrayBuffer>) => resolve(event.data), { once: true }),
      );
    const closed = new Promise<string>((resolve) => ws.addEventListener("close", (event) => resolve(`${event.code} ${event.reason}`)));
    const ready = await next();
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i += 4096) bytes[i] = i / 4096;
    const echoed = next();
    ws.send(bytes);
    const back = new Uint8Array((await echoed) as ArrayBuffer);
    const text = next();
    ws.send("zwölf");
    const textBack = await text;
    ws.send("close");
    return { ready, isSame: back.byteLength === size && back.every((byte, i) => byte === bytes[i]), textBack, closed: await closed };
  }, 25 * MIB);
  expect(result).toEqual({ ready: "ready", isSame: true, textBack: "zwölf", closed: "4321 as told" });
});

test("[ST4] an HTTP body of 200 MiB each way, streamed", async () => {
  const up = await device.evaluate(
    async ([size, path]) => {
      const part = new Uint8Array(1024 * 1024).fill(9);
      const body = new Blob(Array.from({ length: size }, () => part));
      return (await (await fetch(path, { method: "POST", body })).json()) as { bytes: number; sha256: string };
    },
    [200, UPLOAD_PATH] as const,
  );
  const expected = createHash("sha256");
  for (let i = 0; i < 200; i += 1) expected.update(Buffer.alloc(MIB, 9));
  expect(up).toEqual({ bytes: 200 * MIB, sha256: expected.digest("hex") });
  const down = await device.evaluate(async () => {
    const reader = (await fetch("/bulk/down/200")).body?.getReader();
    let bytes = 0;
    let wrong = 0;
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      bytes += part.value.byteLength;
      if (part.value[0] !== 7) wrong += 1;
    }
    return { bytes, wrong };
  });
  expect(down).toEqual({ bytes: 200 * MIB, wrong: 0 });
});

test("[HD1] [HD2] [case 42] what a visitor forges never arrives; the connector's own headers do", async () => {
  const status = await device.evaluate(async () => {
    const forged = {
      "x-forwarded-for": "127.0.0.1",
      forwarded: "for=127.0.0.1",
      "x-real-ip": "127.0.0.1",
      "x-openclaw-scopes": "operator.root",
      "tailscale-user-login": "admin@x",
      "x-original-url": "/v1/models",
      "x-client-cert": "x",
    };
    return (await fetch("/bulk/down/1", { headers: forged })).status;
  });
  expect(status).toBe(200);
  expect(seenHeaders["x-forwarded-for"]).toMatch(/^203\.0\.113\.\d+$/);
  expect(seenHeaders["x-openclaw-scopes"]).toBe(
    "operator.admin,operator.read,operator.write,operator.approvals,operator.questions,operator.pairing",
  );
  for (const name of ["forwarded", "x-real-ip", "tailscale-user-login", "x-original-url", "x-client-cert"])
    expect(seenHeaders[name]).toBe(undefined);
  expect(JSON.stringify(seenHeaders["cookie"] ?? "")).not.toContain("__Host-gth");
  expect(seenHeaders["host"]).toBe(new URL(origin).host);
});

test("[GP1] [GP2] machine interfaces of the gateway are not reachable, whatever the session", async () => {
  const statuses = await device.evaluate(async () =>
    Promise.all(
      ["/tools/invoke", "/v1/models", "/hooks/x", "/api/v1/admin/rpc", "/__openclaw__/cap/x/v1/models", "/%2576%31/models"].map(
        async (where) => (await fetch(where)).status,
      ),
    ),
  );
  expect(statuses).toEqual([404, 404, 404, 404, 404, 404]);
});
