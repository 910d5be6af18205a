/** What one device may take, through the whole chain: workerd, the built connector, the demo gateway. */
import { once } from "node:events";
import http from "node:http";
import type { Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startDemoGateway } from "../../src/demo/gateway.ts";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { MAX_EXCHANGES_PER_DEVICE } from "../../src/protocol/limits.ts";
import { Arrivals } from "../support/arrivals.ts";
import { newPerson, untilOnline } from "../support/person.ts";
import type { AdmittedDevice } from "../support/person.ts";
import { canary, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

let stack: Stack;
let gateway: DemoGateway;
let connector: RunningConnector;
let guest: AdmittedDevice;
let owner: AdmittedDevice;
/** Requests of /quiet, which the test answers. */
const quiet = new Arrivals<http.ServerResponse>();

beforeAll(async () => {
  const token = canary();
  gateway = await startDemoGateway({
    port: 0,
    token,
    onRequest: (request, response) => {
      const path = request.url ?? "";
      if (path === "/echo-cookie") {
        response.setHeader("content-disposition", Buffer.from('attachment; filename="résumé.txt"').toString("latin1"));
        response.end(Buffer.from(request.headers.cookie ?? "", "latin1"));
        return true;
      }
      if (!path.startsWith("/quiet")) return false;
      quiet.put(response);
      return true;
    },
  });
  stack = await startStack();
  const { appOrigin } = stack.control;
  connector = startConnector({ args: ["up", "--yes"], stateDir: await scratch(), appOrigin, gatewayPort: gateway.port, token });
  const person = await newPerson(stack.control);
  const id = await person.claim(connector, "Shared");
  await untilOnline(person, id);
  owner = await person.admit(id, 1);
  guest = await person.admit(id, 2);
});

afterAll(async () => {
  await connector?.stop();
  await stack?.stop();
  await gateway?.stop();
});

function send(device: AdmittedDevice, path: string, headers: Readonly<Record<string, string>> = {}): http.ClientRequest {
  const request = http.request({
    host: "127.0.0.1",
    port: stack.control.port,
    path,
    agent: false,
    headers: { ...device.headers, ...headers },
  });
  request.on("error", () => undefined);
  request.end();
  return request;
}

async function get(device: AdmittedDevice, path: string, headers?: Readonly<Record<string, string>>) {
  const [response] = (await once(send(device, path, headers), "response")) as [http.IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) };
}

test("[IS2] [IS1] a device with all its requests open keeps another from nothing", async () => {
  const open = Array.from({ length: MAX_EXCHANGES_PER_DEVICE }, (_, index) => get(guest, `/quiet?${index}`));
  const waiting = [];
  while (waiting.length < open.length) waiting.push(await quiet.next());
  expect((await get(guest, "/echo-cookie")).status).toBe(429);
  expect((await get(owner, "/echo-cookie")).status).toBe(200);
  for (const response of waiting) response.end();
  for (const { status } of await Promise.all(open)) expect(status).toBe(200);
  expect((await get(guest, "/echo-cookie")).status).toBe(200);
});

test.each([false, true])(
  "[IS6] a visitor whose connection is reset ends its silent exchange at the gateway; answered: %s",
  async (isAnswered) => {
    const request = send(guest, "/quiet?reset");
    const response = await quiet.next();
    const ended = once(response, "close");
    if (isAnswered) {
      response.flushHeaders();
      await once(request, "response");
    }
    (request.socket as Socket).resetAndDestroy();
    await ended;
  },
);

test("[IS8] a cookie and a file's name beyond ASCII cross as their bytes", async () => {
  const cookie = `${owner.headers["cookie"] ?? ""}; name=${Buffer.from("☃ é").toString("latin1")}`;
  const { status, headers, body } = await get(owner, "/echo-cookie", { cookie });
  expect([status, body.toString()]).toEqual([200, "name=☃ é"]);
  expect(Buffer.from(headers["content-disposition"] ?? "", "latin1").toString()).toBe('attachment; filename="résumé.txt"');
});
