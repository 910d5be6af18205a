/** Many devices and a reader that stops, through the whole chain: workerd, the built connector, the demo gateway. Every device is admitted by a passkey's signature. */
import { WebSocket } from "ws";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DemoGateway } from "../../src/demo/gateway.ts";
import { MAX_STREAMS_PER_DEVICE } from "../../src/protocol/limits.ts";
import { ECHO_HELLO, ECHO_PATH, burst, startEchoGateway } from "../support/echo.ts";
import { newPerson, untilOnline } from "../support/person.ts";
import type { AdmittedDevice, Person } from "../support/person.ts";
import { scratch, startConnector, startStack } from "../support/stack.ts";
import type { RunningConnector, Stack } from "../support/stack.ts";

const TOKEN = "demo-token-of-the-load-tests";
const DEVICES = 200;

let stack: Stack;
let gateway: DemoGateway;
let connector: RunningConnector;
let owner: Person;
let gatewayId: string;
const devices: AdmittedDevice[] = [];
const endedAtGateway = new Map<string, () => void>();

type Message = string | Buffer;

/** A device's socket, read message by message. */
class Socket {
  readonly ws: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #arrived: Message[] = [];
  #onMessage: (() => void) | null = null;

  constructor(device: AdmittedDevice, query = "") {
    this.ws = new WebSocket(`ws://127.0.0.1:${stack.control.port}${ECHO_PATH}${query}`, {
      headers: { ...device.headers },
      perMessageDeflate: false,
    });
    this.ws.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      this.ws.on("close", (code, reason) => resolve({ code, reason: reason.toString("utf8") }));
    });
    this.ws.on("message", (data: Buffer, isBinary: boolean) => {
      this.#arrived.push(isBinary ? data : data.toString("utf8"));
      this.#onMessage?.();
    });
  }

  /**
   * Speaks as soon as it is open, as every client of a gateway does: a silent socket keeps its place among those that OpenClaw has not
   * authenticated, and there are only 24.
   *
   * @returns once the gateway's first message, which must be the first, and an echo are here
   */
  static async open(device: AdmittedDevice, query = ""): Promise<Socket> {
    const socket = new Socket(device, query);
    expect(await socket.next()).toBe(ECHO_HELLO);
    await socket.echo("first");
    return socket;
  }

  async next(): Promise<Message> {
    while (this.#arrived.length === 0) {
      const message = new Promise<void>((resolve) => {
        this.#onMessage = resolve;
      });
      const end = await Promise.race([message.then(() => null), this.closed]);
      if (end !== null && this.#arrived.length === 0) throw new Error(`closed ${end.code} ${end.reason}`);
    }
    return this.#arrived.shift() ?? "";
  }

  async echo(message: Message): Promise<void> {
    this.ws.send(message);
    expect(await this.next()).toEqual(message);
  }

  /** What has come and was not asked for. */
  rest(): readonly Message[] {
    return this.#arrived;
  }

  async close(): Promise<void> {
    this.ws.close(1000);
    await this.closed;
  }
}

/** Messages that tell every mix-up apart: whose they are, which kind, which length. */
function messagesOf(number: number): Message[] {
  return [
    `text of ${number} 🙂`,
    Buffer.from([number & 255, 0, 255]),
    "",
    Buffer.alloc(70_000, number),
    "x".repeat(1_000 + number),
    Buffer.alloc(0),
  ];
}

function device(number: number): AdmittedDevice {
  const found = devices[number];
  if (found === undefined) throw new Error(`device ${number} was not admitted`);
  return found;
}

beforeAll(async () => {
  gateway = await startEchoGateway({ port: 0, token: TOKEN, onClose: (query) => endedAtGateway.get(query)?.() });
  stack = await startStack();
  connector = startConnector({
    args: ["up", "--yes"],
    stateDir: await scratch(),
    appOrigin: stack.control.appOrigin,
    gatewayPort: gateway.port,
    token: TOKEN,
  });
  owner = await newPerson(stack.control);
  gatewayId = await owner.claim(connector, "Loaded");
  await untilOnline(owner, gatewayId);
  for (let number = 0; number < DEVICES; number += 1) devices.push(await owner.admit(gatewayId, number));
});

afterAll(async () => {
  await connector?.stop();
  await stack?.stop();
  await gateway?.stop();
});

test("[ST2] [CUT1] 200 devices at once: every message arrives whole, in order and at its own device; a cut ends one of them", async () => {
  const sockets = await Promise.all(devices.map((each) => Socket.open(each)));
  await Promise.all(
    sockets.map(async (socket, number) => {
      const messages = messagesOf(number);
      for (const message of messages) socket.ws.send(message);
      for (const message of messages) expect(await socket.next()).toEqual(message);
    }),
  );
  const cut = 77;
  const receipt = await owner.cut(gatewayId, device(cut).id);
  expect(receipt.edge.socketsClosed).toBe(1);
  expect((await sockets[cut]?.closed)?.code).toBe(4403);
  const others = sockets.filter((_, number) => number !== cut);
  await Promise.all(others.map((socket, i) => socket.echo(`still here ${i}`)));
  for (const socket of others) expect(socket.rest()).toEqual([]);
  const refused = new Socket(device(cut));
  expect((await refused.closed).code).toBe(1006);
  await Promise.all(others.map((socket) => socket.close()));
});

test("100 sockets of one device opened at once all echo, also the ones that wait for a place at the gateway", async () => {
  const sockets = await Promise.all(Array.from({ length: 100 }, () => Socket.open(device(0))));
  expect(sockets).toHaveLength(100);
  expect(100).toBeLessThan(MAX_STREAMS_PER_DEVICE);
  await Promise.all(sockets.map((socket, i) => socket.echo(`again ${i}`)));
  await Promise.all(sockets.map((socket) => socket.close()));
});

test("[CR4] [CR6] [case 19] a reader that stops during 25 MiB is reset with 4413 after an exact prefix; its neighbours lose nothing", async () => {
  const messages = 400;
  const neighbours = await Promise.all([1, 2, 3, 4, 5].map((number) => Socket.open(device(number))));
  const reader = await Socket.open(device(6), "?reader");
  const state = { isReset: false };
  const reset = new Promise<void>((resolve) => {
    endedAtGateway.set("reader", () => {
      state.isReset = true;
      resolve();
    });
  });
  reader.ws.pause();
  reader.ws.send(burst(messages, 65_536));
  // The neighbours talk all the time until the connector has given the reader up.
  let exchanged = 0;
  await Promise.all([
    reset,
    ...neighbours.map(async (socket, number) => {
      for (let i = 0; !state.isReset; i += 1) {
        await socket.echo(`${number}:${i}`);
        exchanged += 1;
      }
    }),
  ]);
  expect(exchanged).toBeGreaterThan(100);
  for (const socket of neighbours) expect(socket.rest()).toEqual([]);
  reader.ws.resume();
  expect(await reader.closed).toEqual({ code: 4413, reason: "device-room: too slow" });
  const read = reader.rest();
  expect(read.length).toBeLessThan(messages);
  for (const [i, message] of read.entries()) {
    const expected = Buffer.alloc(65_536, i & 255);
    expected.writeUInt32BE(i);
    expect(expected.equals(message as Buffer)).toBe(true);
  }
  await Promise.all(neighbours.map((socket) => socket.echo("after")));
  await Promise.all(neighbours.map((socket) => socket.close()));
});
