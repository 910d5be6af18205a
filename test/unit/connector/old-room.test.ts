/** The connector of this version at a room of the version before: real sockets, and nothing that such a room would not take. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import * as z from "zod";
import { Link } from "../../../src/connector/link/link.ts";
import type { LinkStatus } from "../../../src/connector/link/link.ts";
import { inWordsOf } from "../../../src/core/link/link-versions.ts";
import { verifyTagged } from "../../../src/core/trust/public-key.ts";
import { FRAME_OPEN, FRAME_RESET, decodeFrame, encodeFrame } from "../../../src/protocol/frame.ts";
import { REFUSALS, gatewayReportSchema, resultSchema } from "../../../src/protocol/link-messages.ts";
import type { ToRoom } from "../../../src/protocol/link-messages.ts";
import { joined, utf8 } from "../../../src/protocol/statement-encoding.ts";
import { ROOM_PING, ROOM_PONG } from "../../../src/protocol/words.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { ConnectorState, TEST_GATEWAY, TEST_ORIGIN } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

const NONCE = "n".repeat(43);
const GENERATION = 1;

/** Closed sets of version 1, as they were. Unknown types are ignored there; a known type that does not parse ends the link with 1002. */
const reportV1 = z.object({
  state: z.enum(["offline", "starting", "restarting", "unsafe", "online"]),
  reason: z
    .enum(["not-running", "too-old", "auth-failed", "no-secret", "settings-missing", "stranger-admitted", "settings-refused"])
    .optional(),
});
const refusalV1 = z.enum([
  "bad-statement", "bad-signature", "wrong-gateway", "unknown-owner-key", "expired", "too-late", "unknown-grant", "revoked", "bad-nonce", "bad-activation", "not-serving", "internal",
]); // prettier-ignore
const SCHEMAS_V1: Readonly<Record<string, z.ZodType>> = {
  hello: z.object({ protocol: z.literal(1), generation: z.int(), signature: z.string().length(86), report: reportV1 }),
  ack: z.object({ generation: z.int() }),
  report: z.object({ report: reportV1 }),
  nonce: z.object({ id: z.string(), nonce: z.string(), connectorKey: z.string() }),
  result: z.object({ id: z.string(), ok: z.boolean(), refusal: refusalV1.optional() }),
  "cut-done": z.object({ device: z.string(), removed: z.int(), atMs: z.int(), by: z.enum(["owner", "host"]) }),
};

class OldRoom {
  readonly said = new Arrivals<{ readonly type: string } & Readonly<Record<string, unknown>>>();
  readonly frames = new Arrivals<Uint8Array>();
  readonly broken: string[] = [];
  readonly types: string[] = [];
  readonly #server: WebSocketServer;
  #socket: WebSocket | null = null;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#socket = socket;
      socket.on("message", (data: Buffer, isBinary) => {
        if (isBinary) return this.frames.put(new Uint8Array(data));
        // The runtime's own answer, in every version.
        if (data.toString("utf8") === ROOM_PING) return socket.send(ROOM_PONG);
        const message = JSON.parse(data.toString("utf8")) as { readonly type: string };
        this.types.push(message.type);
        const parsed = SCHEMAS_V1[message.type]?.safeParse(message);
        if (parsed !== undefined && !parsed.success) this.broken.push(data.toString("utf8"));
        if (parsed?.success === true) this.said.put({ ...message });
      });
      this.say({ type: "challenge", nonce: NONCE, minProtocol: 1, maxProtocol: 1 });
    });
  }

  static async listen(): Promise<OldRoom> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    return new OldRoom(server);
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  say(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }

  frame(bytes: Uint8Array): void {
    this.#socket?.send(bytes);
  }

  /** What it said of that type next. */
  async heard(type: string): Promise<Readonly<Record<string, unknown>>> {
    for (;;) {
      const message = await this.said.next();
      if (message.type === type) return message;
    }
  }

  async close(): Promise<void> {
    this.#socket?.terminate();
    this.#server.close();
    await once(this.#server, "close");
  }
}

let room: OldRoom;
let link: Link;

afterEach(async () => {
  link.stop();
  await room.close();
});

/** A connector that is linked to the room. */
async function linked(roomClockMs: (nowMs: number) => number) {
  room = await OldRoom.listen();
  const state = await ConnectorState.create(room.origin);
  const statuses: LinkStatus[] = [];
  const { files, identity, admitted, log } = state;
  const gateway = new StubOpenclaw(1);
  const now = (): number => state.nowMs;
  const onStatus = (status: LinkStatus): void => void statuses.push(status);
  link = new Link({ files, identity, admitted, log, gateway, version: "9.9.9", now, onStatus, onAlarm: () => undefined });
  link.start();
  const hello = await room.heard("hello");
  const origins = { origin: TEST_ORIGIN, approveOrigin: "http://approve.localhost:8787", rpId: "approve.localhost" };
  room.say({ type: "welcome", gateway: TEST_GATEWAY, ...origins, generation: GENERATION, serverTimeMs: roomClockMs(state.nowMs) });
  expect(await room.heard("ack")).toMatchObject({ generation: GENERATION });
  return { state, statuses, gateway, hello };
}

test("[LINK4] [case 11] a room of the version before: linked in its words, decides, cuts and streams; what it does not know it never gets", async () => {
  const { state, statuses, gateway, hello } = await linked((nowMs) => nowMs);
  expect(hello).not.toHaveProperty("head");
  const proof = joined([TEST_GATEWAY, NONCE, String(hello["connectorNonce"]), "0", "1"]);
  expect(await verifyTagged(state.identity.publicKey, "link", proof, String(hello["signature"]))).toBe(true);

  const allowed = await state.newGrant();
  room.say({ type: "grant", id: "1", grant: allowed.id, signed: allowed.signed });
  expect(await room.heard("result")).toMatchObject({ id: "1", ok: true });
  const device = await state.allow();
  room.say({ type: "cut", id: "2", device: device.device, cutAtMs: 5 });
  expect(await room.heard("result")).toMatchObject({ id: "2", ok: true, cut: { done: true } });
  // Signed before the cut: a refusal that version 1 has no word for.
  const held = await state.newGrant({ head: null });
  await state.log.append({ type: "revoke-all", by: "host" }, state.nowMs);
  room.say({ type: "grant", id: "3", grant: held.id, signed: held.signed });
  expect(await room.heard("result")).toMatchObject({ id: "3", ok: false, refusal: "bad-statement" });
  gateway.tell({ state: "unsafe", reason: "auth-mode" });
  expect((await room.heard("report"))["report"]).toEqual({ state: "unsafe", reason: "settings-missing" });
  room.frame(encodeFrame(FRAME_OPEN, 0, 7, utf8("{}")));
  expect(decodeFrame((await room.frames.next()) as Uint8Array<ArrayBuffer>)).toMatchObject({ type: FRAME_RESET, streamId: 7 });

  expect(room.broken).toEqual([]);
  for (const later of ["log", "alarm", "rotated", "audit-anchor"]) expect(room.types).not.toContain(later);
  expect(statuses.at(-1)).toEqual({ state: "up", clockAheadMs: null });
});

test.each([
  ["a day ahead", -24 * 3_600_000, 24 * 3_600_000],
  ["three minutes behind", 181_000, -180_000],
] as const)("[case 17] a machine whose clock is %s says so at the terminal and to the room", async (_words, roomAheadMs, expected) => {
  const { statuses } = await linked((nowMs) => nowMs + roomAheadMs);
  expect((await room.heard("report"))["report"]).toEqual({ state: "online", clockAheadMs: expected });
  expect(statuses.at(-1)).toEqual({ state: "up", clockAheadMs: expected });
});

test("[LINK4] [FR3] every refusal and reason of today has a word of version 1; a later one than ours reads as the general one", () => {
  for (const refusal of REFUSALS) {
    const said = inWordsOf(1, { type: "result", id: "1", ok: false, refusal });
    expect(SCHEMAS_V1["result"]?.safeParse(said).success, refusal).toBe(true);
    expect(inWordsOf(2, { type: "result", id: "1", ok: false, refusal })).toMatchObject({ refusal });
  }
  const [known] = gatewayReportSchema.shape.reason.unwrap().options;
  for (const reason of (known as z.ZodEnum).options) {
    const said = inWordsOf(1, { type: "report", report: { state: "unsafe", reason } } as ToRoom);
    expect(SCHEMAS_V1["report"]?.safeParse(said).success, String(reason)).toBe(true);
  }
  expect(resultSchema.parse({ type: "result", id: "1", ok: false, refusal: "from-the-future" }).refusal).toBe("bad-statement");
  expect(gatewayReportSchema.parse({ state: "unsafe", reason: "from-the-future" })).toEqual({ state: "unsafe" });
  expect(resultSchema.safeParse({ type: "result", id: "1", ok: false, refusal: "<b>" }).success).toBe(false);
});
