/** A cut browser that answers no close and goes on sending, against the real platform: only a restart of the room ends its connection. */
import { once } from "node:events";
import net from "node:net";
import { WebSocket } from "ws";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { MAX_FRAMES_AFTER_CUT } from "../../src/protocol/limits.ts";
import { ECHO_HELLO, ECHO_PATH, startEchoGateway } from "../support/echo.ts";
import { newPerson, untilOnline } from "../support/person.ts";
import type { AdmittedDevice, Person } from "../support/person.ts";
import { canary, isLinkUp, scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const TOKEN = canary();

let stack: Stack;
let gateway: DemoGateway;
let connector: RunningConnector;
let owner: Person;
let gatewayId: string;

/** A WebSocket client that never answers a Close frame (RFC 6455 §5.5.1 asks for it; nothing can force it). */
class Stubborn {
  readonly tcp: net.Socket;
  readonly ended: Promise<unknown>;
  #bytes = Buffer.alloc(0);

  private constructor(tcp: net.Socket) {
    this.tcp = tcp;
    tcp.on("error", () => undefined);
    tcp.on("data", (part: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, part]);
    });
    this.ended = once(tcp, "close");
  }

  static async open(device: AdmittedDevice): Promise<Stubborn> {
    const tcp = net.connect(stack.control.port, "127.0.0.1");
    const socket = new Stubborn(tcp);
    await once(tcp, "connect");
    const fields = { ...device.headers, upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" }; // prettier-ignore
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    tcp.write(`GET ${ECHO_PATH} HTTP/1.1\r\n${lines.join("")}\r\n`);
    await socket.until((text) => text.startsWith("HTTP/1.1 101") && text.includes(ECHO_HELLO));
    return socket;
  }

  async until(isThere: (text: string) => boolean): Promise<void> {
    while (!isThere(this.#bytes.toString("latin1"))) await once(this.tcp, "data");
  }

  /** One masked text frame of less than 126 bytes; the mask of zeros leaves the text as it is. */
  say(text: string): void {
    this.tcp.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]));
  }

  read(): string {
    return this.#bytes.toString("latin1");
  }
}

/** A client of good manners. @returns once an echo came back, or the end that it met instead */
async function echoOn(device: AdmittedDevice): Promise<{ readonly ws: WebSocket; readonly closed: Promise<number> } | null> {
  const ws = new WebSocket(`ws://127.0.0.1:${stack.control.port}${ECHO_PATH}`, { headers: { ...device.headers } });
  ws.on("error", () => undefined);
  const closed = new Promise<number>((resolve) => {
    ws.on("close", resolve);
  });
  const echoed = new Promise<void>((resolve) => {
    ws.on("message", (data: Buffer) => {
      if (data.toString() === ECHO_HELLO) ws.send("mine");
      else if (data.toString() === "mine") resolve();
    });
  });
  return Promise.race([echoed.then(() => ({ ws, closed })), closed.then(() => null)]);
}

beforeAll(async () => {
  [gateway, stack] = await Promise.all([startEchoGateway({ port: 0, token: TOKEN }), startStack()]);
  const up = { args: ["up", "--yes"], stateDir: await scratch(), appOrigin: stack.control.appOrigin };
  connector = startConnector({ ...up, gatewayPort: gateway.port, token: TOKEN });
  owner = await newPerson(stack.control);
  gatewayId = await owner.claim(connector, "Home");
  await untilOnline(owner, gatewayId);
});

afterAll(async () => {
  await connector?.stop();
  await stack?.stop();
  await gateway?.stop();
});

test("[CUT6] [case 27] a cut client that keeps sending loses its connection with the room's restart; the others are back, it is not", async () => {
  const [cutDevice, other] = [await owner.admit(gatewayId, 1), await owner.admit(gatewayId, 2)];
  const [stubborn, neighbour] = [await Stubborn.open(cutDevice), await echoOn(other)];
  stubborn.say("before");
  await stubborn.until((text) => text.includes("before"));
  const receipt = await owner.cut(gatewayId, cutDevice.id);
  expect(receipt.edge.socketsClosed).toBe(1);
  // The close has reached it, and it stays.
  await stubborn.until((text) => text.includes("cut by the owner"));
  expect(stubborn.tcp.readyState).toBe("open");
  const linkUps = (): number => connector.events.filter(isLinkUp).length;
  const before = linkUps();
  for (let i = 0; i <= MAX_FRAMES_AFTER_CUT; i += 1) stubborn.say(`after ${i}`);
  await stubborn.ended;
  expect(stubborn.read()).not.toContain("after");
  expect(await neighbour?.closed).toBe(1006);
  await expect.poll(linkUps).toBeGreaterThan(before);
  await untilOnline(owner, gatewayId);
  expect(await echoOn(other)).not.toBe(null);
  expect(await echoOn(cutDevice)).toBe(null);
});
