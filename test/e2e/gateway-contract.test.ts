/**
 * What Gatehouse relies on in a gateway, proved against the demo gateway and against OpenClaw 2026.9.6 with the same tests (openclaw.md 1–3, 6, 10).
 * A difference is the demo's fault. Facts that the demo rightly does not have are at the end, against OpenClaw alone, each with its reason.
 */
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../scripts/control-plane.ts";
import { OPENCLAW_VERSION, installOpenclaw, runOpenclaw } from "../../scripts/real-openclaw.ts";
import { ControlLeg } from "../../src/connector/openclaw/control-leg.ts";
import { discoverGateway } from "../../src/connector/openclaw/discover.ts";
import { applySettings, planRestore, planSettings, readConfig } from "../../src/connector/openclaw/settings.ts";
import { DEMO_VERSION, startDemoGateway } from "../../src/demo/gateway.ts";
import { ACCESS_LEVELS, ACCESS_SCOPES } from "../../src/protocol/words.ts";
import { GatewayClient, UpgradeRefused, exchange, newKey } from "../support/gateway-client.ts";
import type { Connecting, Frame, OpenclawKey } from "../support/gateway-client.ts";
import { canary, scratch } from "../support/stack.ts";

const SECRET = canary();
const ORIGIN = "https://abc.gw.example";
/** The settings of openclaw.md 1.3, as the gateway has them before each group of tests. */
const SETTINGS = {
  trustedProxies: ["127.0.0.1", "::1"],
  controlUi: { allowedOrigins: [ORIGIN] },
  nodes: { pairing: { autoApproveLocal: false } },
};
const CONTROL = {
  client: { id: "gateway-client", mode: "backend" },
  scopes: ["operator.pairing", "operator.admin", "operator.read"],
  auth: { token: SECRET },
};
const NOT_ATTRIBUTED = { error: { type: "proxy_attribution_required" } };

function requestIdOf(answer: Frame): string {
  const id = answer.error?.details?.["requestId"];
  return typeof id === "string" ? id : "";
}

/** Headers of one visitor as the connector sets them. */
function visitor(ip = "203.0.113.7", more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { origin: ORIGIN, "x-forwarded-for": ip, "x-forwarded-proto": "https", "x-forwarded-host": "abc.gw.example", ...more };
}

interface Gateway {
  readonly port: number;
  stop(): Promise<void>;
}

interface Config {
  readonly hash: string;
  readonly config: { readonly gateway: Readonly<Record<string, unknown>> };
}

interface Device {
  readonly deviceId: string;
  readonly publicKey: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly approvedVia: string;
  readonly connected?: boolean;
  readonly operatorLabel?: string;
}

interface Pending {
  readonly requestId: string;
  readonly deviceId: string;
  readonly publicKey: string;
  readonly remoteIp?: string;
}

const startReal = async (): Promise<Gateway> =>
  runOpenclaw({
    command: await installOpenclaw(() => undefined),
    port: await freePort(),
    stateDir: await scratch(),
    token: SECRET,
    gateway: SETTINGS,
  });

const GATEWAYS: readonly { readonly name: string; readonly version: string; readonly start: () => Promise<Gateway> }[] = [
  { name: "the demo gateway", version: DEMO_VERSION, start: () => startDemoGateway({ port: 0, token: SECRET, gateway: SETTINGS }) },
  { name: `OpenClaw ${OPENCLAW_VERSION}`, version: OPENCLAW_VERSION, start: startReal },
];

describe.each(GATEWAYS)("$name", ({ version, start }) => {
  let gateway: Gateway;
  let control: GatewayClient;

  beforeAll(async () => {
    gateway = await start();
    control = await connectControl();
  });

  afterAll(async () => {
    await gateway?.stop();
  });

  async function connectControl(connecting: Connecting = CONTROL, headers: Readonly<Record<string, string>> = {}): Promise<GatewayClient> {
    const client = await GatewayClient.dial(gateway.port, headers);
    const answer = await client.connect(connecting);
    expect(answer.error).toBe(undefined);
    return client;
  }

  /** One connect as a visitor, with the password that the connector adds. */
  async function attempt(connecting: Connecting, headers = visitor()): Promise<{ client: GatewayClient; answer: Frame }> {
    const client = await GatewayClient.dial(gateway.port, headers);
    return { client, answer: await client.connect({ auth: { password: SECRET }, ...connecting }) };
  }

  /** A connect that is refused. @returns the two codes, the close, and the request's id when there is one */
  async function refused(connecting: Connecting, headers = visitor()) {
    const { client, answer } = await attempt(connecting, headers);
    expect(answer.ok).toBe(false);
    const { code, reason } = await client.closed;
    return {
      code: answer.error?.code,
      details: answer.error?.details?.["code"],
      why: answer.error?.details?.["reason"],
      requestId: requestIdOf(answer),
      close: code,
      reason,
    };
  }

  async function admitted(connecting: Connecting, headers = visitor()) {
    const { client, answer } = await attempt(connecting, headers);
    expect(answer.error).toBe(undefined);
    const { auth } = answer.payload as { auth: { method: string; role: string; scopes: string[]; deviceToken: string } };
    return { client, ...auth };
  }

  async function list(): Promise<{ pending: Pending[]; paired: Device[] }> {
    return control.call("device.pair.list");
  }

  async function pairedKey(scopes: readonly string[] = ["operator.read"]): Promise<OpenclawKey> {
    const key = newKey();
    const { requestId } = await refused({ key, scopes });
    await control.call("device.pair.approve", { requestId });
    return key;
  }

  /** Writes settings; a change of trusted proxies also ends the control socket, so it is made anew. */
  async function patch(change: object, replacePaths: readonly string[] = []): Promise<void> {
    control.frames.length = 0;
    const { hash } = await control.call<Config>("config.get");
    await control.call("config.patch", { raw: JSON.stringify({ gateway: change }), baseHash: hash, replacePaths });
    if (!("trustedProxies" in change)) return void (await control.event("config.changed"));
    expect(await control.closed).toEqual({ code: 4001, reason: "gateway policy changed" });
    control = await connectControl();
  }

  async function refusedUpgrade(headers: Readonly<Record<string, string>>): Promise<{ status: number; body: unknown }> {
    const error: unknown = await GatewayClient.dial(gateway.port, headers).then(() => null, (reason: unknown) => reason); // prettier-ignore
    if (!(error instanceof UpgradeRefused)) throw new Error("the upgrade was not refused");
    return { status: error.status, body: error.body.startsWith("{") ? JSON.parse(error.body) : error.body };
  }

  describe("handshake", () => {
    test("[R9] the challenge is the first frame", async () => {
      const client = await GatewayClient.dial(gateway.port, visitor());
      const challenge = await client.event("connect.challenge");
      expect(client.frames[0]).toMatchObject({ type: "event", event: "connect.challenge" });
      expect(challenge).toEqual({
        nonce: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        ts: expect.any(Number) as number,
        capabilities: expect.any(Array) as unknown[],
      });
      client.close();
    });

    test("hello-ok tells version, scopes, limits; the device-less control client gets no device token", async () => {
      const client = await GatewayClient.dial(gateway.port);
      const { payload } = await client.connect(CONTROL);
      expect(payload).toMatchObject({
        type: "hello-ok",
        protocol: 4,
        server: { version, bootId: expect.any(String) as string, connId: expect.any(String) as string },
        features: {
          methods: expect.arrayContaining([
            "config.get",
            "config.patch",
            "device.pair.list",
            "device.pair.approve",
            "device.pair.reject",
            "device.pair.remove",
            "device.pair.rename",
            "device.token.rotate",
            "device.token.revoke",
          ]) as string[],
          events: expect.arrayContaining([
            "connect.challenge",
            "tick",
            "shutdown",
            "device.pair.requested",
            "device.pair.resolved",
            "device.pair.changed",
          ]) as string[],
        },
        snapshot: expect.any(Object) as object,
        auth: { method: "token", role: "operator", scopes: CONTROL.scopes },
        policy: { maxPayload: 26_214_400, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000 },
      });
      expect(payload?.["auth"]).not.toHaveProperty("deviceToken");
      client.close();
    });

    test.each([
      ["the secret is missing", { auth: {} }, "AUTH_TOKEN_MISSING", /^unauthorized: /],
      ["the token is wrong", { auth: { token: "wrong" } }, "AUTH_TOKEN_MISMATCH", /^unauthorized: /],
      ["the device token is not its own", { auth: { deviceToken: "x".repeat(43) } }, "AUTH_DEVICE_TOKEN_MISMATCH", /^unauthorized: /],
      ["the signature is 121 s old", { signedAtOffsetMs: -121_000 }, "DEVICE_AUTH_SIGNATURE_EXPIRED", /^device signature expired$/],
      ["the nonce is another", { nonce: crypto.randomUUID() }, "DEVICE_AUTH_NONCE_MISMATCH", /^device nonce mismatch$/],
    ])("refused when %s", async (_what, connecting: Connecting, details, reason) => {
      const answer = await refused({ key: newKey(), ...connecting });
      expect(answer).toMatchObject({ code: "INVALID_REQUEST", details, close: 1008, reason: expect.stringMatching(reason) as string });
    });

    test("refused: a signature by another key, and an id that is not the key's", async () => {
      const key = newKey();
      const stolen = await refused({ key: { ...newKey(), publicKey: key.publicKey, id: key.id } });
      expect(stolen).toMatchObject({ code: "INVALID_REQUEST", details: "DEVICE_AUTH_SIGNATURE_INVALID", close: 1008 });
      const renamed = await refused({ key: { ...key, id: newKey().id } });
      expect(renamed).toMatchObject({ code: "INVALID_REQUEST", details: "DEVICE_AUTH_DEVICE_ID_MISMATCH", close: 1008 });
    });

    test("refused: the page without a device key, or from an origin that is foreign or missing", async () => {
      const details = "CONTROL_UI_ORIGIN_NOT_ALLOWED";
      expect(await refused({})).toMatchObject({ code: "INVALID_REQUEST", details: "CONTROL_UI_DEVICE_IDENTITY_REQUIRED", close: 1008 });
      const foreign = visitor("203.0.113.7", { origin: "https://evil.example" });
      const { origin: _origin, ...none } = visitor();
      for (const headers of [foreign, none]) expect(await refused({ key: newKey() }, headers)).toMatchObject({ code: "INVALID_REQUEST", details, close: 1008, reason: expect.stringMatching(/^origin not allowed /) as string }); // prettier-ignore
    });

    test("an older protocol is refused with 1002", async () => {
      const answer = await refused({ key: newKey(), protocol: 3 });
      expect(answer).toMatchObject({ details: "PROTOCOL_MISMATCH", close: 1002, reason: "protocol mismatch" });
    });

    test("bytes that are no handshake: closed with 1000, 1008, 1009", async () => {
      const closeAfter = async (text: string) => {
        const client = await GatewayClient.dial(gateway.port, visitor());
        client.send(text);
        return client.closed;
      };
      expect(await closeAfter("no JSON")).toEqual({ code: 1000, reason: "" });
      expect(await closeAfter('{"type":"req","id":"1","method":"device.pair.list"}')).toEqual({
        code: 1008,
        reason: "invalid handshake: first request must be connect",
      });
      expect(await closeAfter('{"type":"event","event":"x"}')).toEqual({ code: 1008, reason: "invalid request frame" });
    });

    test("64 KiB before the handshake is done, 25 MiB afterwards; more closes with 1009 and no reason", async () => {
      const before = await GatewayClient.dial(gateway.port, visitor());
      before.send("x".repeat(65_537));
      expect(await before.closed).toEqual({ code: 1009, reason: "" });
      const after = await connectControl();
      const answer = after.frame((frame) => frame.id === "large", "large");
      after.send(JSON.stringify({ type: "req", id: "large", method: "no.such", params: { text: "x".repeat(26_000_000) } }));
      expect((await answer).error?.message).toBe("unknown method: no.such");
      after.send("x".repeat(26_214_401));
      expect(await after.closed).toEqual({ code: 1009, reason: "" });
    });

    test("a second connect and an unknown method are answered with errors and the socket stays", async () => {
      expect((await control.request("connect", {})).error?.code).toBe("INVALID_REQUEST");
      expect((await control.request("no.such")).error).toEqual({ code: "INVALID_REQUEST", message: "unknown method: no.such" });
      await list();
    });

    test("the 33rd unauthenticated socket of one address gets 503; other addresses do not; a closed one makes room", async () => {
      const many = visitor("203.0.113.33");
      const open = await Promise.all(Array.from({ length: 32 }, () => GatewayClient.dial(gateway.port, many)));
      expect(await refusedUpgrade(many)).toEqual({ status: 503, body: "Too many unauthenticated sockets" });
      const other = await GatewayClient.dial(gateway.port, visitor("203.0.113.34"));
      await other.event("connect.challenge");
      for (const client of [...open, other]) client.close();
      await Promise.all([...open, other].map((client) => client.closed));
      const again = await GatewayClient.dial(gateway.port, many);
      await again.event("connect.challenge");
      again.close();
    });
  });

  describe("who counts as local", () => {
    test("[R1] a new key with X-Forwarded-For must be paired, whatever the address", async () => {
      for (const ip of ["203.0.113.7", "1.2.3.4, 203.0.113.210", "203.0.113.7, 127.0.0.1", "2001:db8::1", "192.168.1.4"]) {
        const key = newKey();
        const { client, answer } = await attempt({ key }, visitor(ip));
        expect(answer.error).toMatchObject({
          code: "NOT_PAIRED",
          message: "pairing required: device is not approved yet",
          details: {
            code: "PAIRING_REQUIRED",
            reason: "not-paired",
            requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
            deviceId: key.id,
            requestedRole: "operator",
            requestedScopes: ["operator.read"],
            recommendedNextStep: "wait_then_retry",
            retryable: true,
            pauseReconnect: false,
          },
        });
        const requestId = requestIdOf(answer);
        expect(await client.closed).toEqual({
          code: 1008,
          reason: `pairing required: device is not approved yet (requestId: ${requestId})`,
        });
        const pending = (await list()).pending.find((each) => each.requestId === requestId);
        expect(pending?.remoteIp).toBe(ip.includes("203.0.113.210") ? "203.0.113.210" : ip.split(",")[0]);
        await control.call("device.pair.reject", { requestId });
      }
    });

    test.each([
      ["loopback", { "x-forwarded-for": "127.0.0.1" }],
      ["IPv6 loopback", { "x-forwarded-for": "::1" }],
      ["garbage", { "x-forwarded-for": "garbage" }],
      ["empty", { "x-forwarded-for": "" }],
      ["only X-Real-IP", { "x-real-ip": "203.0.113.7" }],
      ["only Forwarded", { forwarded: "for=203.0.113.7" }],
      ["only X-Forwarded-Proto", { "x-forwarded-proto": "https" }],
      ["only Tailscale's", { "tailscale-user-login": "ada" }],
    ])("[R1] forwarding headers that name nobody get 403, upgrade and HTTP: %s", async (_what, headers) => {
      const answer = await refusedUpgrade({ origin: ORIGIN, ...headers });
      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject(NOT_ATTRIBUTED);
      const page = await exchange(gateway.port, "/", headers);
      expect(page.status).toBe(403);
      expect(JSON.parse(page.body)).toMatchObject(NOT_ATTRIBUTED);
    });

    test("CF-Connecting-IP alone is no forwarding header", async () => {
      expect((await exchange(gateway.port, "/", { "cf-connecting-ip": "203.0.113.7" })).status).toBe(200);
    });

    test("the control client's rights end at the first forwarding header or Origin", async () => {
      const { origin: _origin, ...forwarded } = visitor();
      for (const headers of [forwarded, { origin: ORIGIN }]) {
        const client = await GatewayClient.dial(gateway.port, headers);
        const { payload } = await client.connect(CONTROL);
        expect(payload).toMatchObject({ auth: { scopes: [] } });
        client.close();
      }
    });

    test("[R4] with autoApproveLocal:false even a clean loopback upgrade must be paired, without it anybody is let in silently", async () => {
      const bare = { origin: ORIGIN };
      const key = newKey();
      const { requestId } = await refused({ key }, bare);
      await control.call("device.pair.reject", { requestId });
      await patch({ nodes: { pairing: { autoApproveLocal: null } } });
      const trapped = await admitted({ key, scopes: ["operator.admin"] }, bare);
      expect(trapped).toMatchObject({ scopes: ["operator.admin"], deviceToken: expect.stringMatching(/^[\w-]{43}$/) as string });
      expect((await list()).paired.find((each) => each.deviceId === key.id)?.approvedVia).toBe("silent");
      await control.call("device.pair.remove", { deviceId: key.id });
      // With forwarding headers nobody is let in, whatever that setting says.
      expect((await refused({ key })).details).toBe("PAIRING_REQUIRED");
      await patch({ nodes: SETTINGS.nodes });
      expect((await refused({ key: newKey() }, bare)).details).toBe("PAIRING_REQUIRED");
    });

    test("[R4] without trustedProxies every forwarding header gets 403; the control client still works", async () => {
      await patch({ trustedProxies: null }, ["gateway.trustedProxies"]);
      const answer = await refusedUpgrade(visitor());
      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject(NOT_ATTRIBUTED);
      expect((await exchange(gateway.port, "/", visitor())).status).toBe(403);
      await list();
      await patch({ trustedProxies: SETTINGS.trustedProxies });
      expect((await refused({ key: newKey() })).details).toBe("PAIRING_REQUIRED");
    });
  });

  describe("pairing", () => {
    test("[R5] requested, approved, resolved: the events and the record name the key", async () => {
      const key = newKey();
      const { requestId } = await refused({ key });
      const asked = {
        requestId,
        deviceId: key.id,
        publicKey: key.publicKey,
        platform: "Linux x86_64",
        clientId: "openclaw-control-ui",
        clientMode: "webchat",
        role: "operator",
        roles: ["operator"],
        scopes: ["operator.read"],
        remoteIp: "203.0.113.7",
        silent: false,
        isRepair: false,
        ts: expect.any(Number) as number,
      };
      expect(await control.event("device.pair.requested", (payload) => payload["requestId"] === requestId)).toEqual(asked);
      expect((await list()).pending.filter((each) => each.deviceId === key.id)).toEqual([asked]);
      const approved = await control.call<{ requestId: string; device: Device }>("device.pair.approve", { requestId });
      expect(approved).toMatchObject({ requestId, device: { deviceId: key.id, approvedVia: "owner" } });
      expect(await control.event("device.pair.resolved", (payload) => payload["requestId"] === requestId)).toMatchObject({
        deviceId: key.id,
        decision: "approved",
      });
      const { client, deviceToken } = await admitted({ key });
      const { pending, paired } = await list();
      expect(pending.some((each) => each.deviceId === key.id)).toBe(false);
      const record = paired.find((each) => each.deviceId === key.id);
      expect(record).toMatchObject({
        publicKey: key.publicKey,
        approvedVia: "owner",
        approvedAtMs: expect.any(Number) as number,
        roles: ["operator"],
        scopes: ["operator.read"],
        connected: true,
        tokens: [{ role: "operator", scopes: ["operator.read"] }],
      });
      // A list shows that there is a token, never the token.
      expect(JSON.stringify({ ...record, publicKey: "" })).not.toContain(deviceToken);
      client.close();
    });

    test("[R5] a retry keeps the id; a wider request supersedes it, with the union of the scopes", async () => {
      const key = newKey();
      const first = await refused({ key });
      expect((await refused({ key })).requestId).toBe(first.requestId);
      const wider = await refused({ key, scopes: ["operator.write"] });
      expect(wider.requestId).not.toBe(first.requestId);
      expect(await control.event("device.pair.resolved", (payload) => payload["requestId"] === first.requestId)).toMatchObject({
        decision: "rejected",
      });
      const live = (await list()).pending.filter((each) => each.deviceId === key.id);
      expect(live).toMatchObject([{ requestId: wider.requestId, scopes: ["operator.read", "operator.write"] }]);
      expect((await refused({ key })).requestId).toBe(wider.requestId);
      for (const method of ["device.pair.approve", "device.pair.reject"]) expect((await control.request(method, { requestId: first.requestId })).error).toMatchObject({ code: "INVALID_REQUEST", message: "unknown requestId" }); // prettier-ignore
    });

    test("[R6] a reject does not stick: the next retry files a new request", async () => {
      const key = newKey();
      const { requestId } = await refused({ key });
      expect(await control.call("device.pair.reject", { requestId })).toEqual({ requestId, deviceId: key.id });
      expect(await control.event("device.pair.resolved", (payload) => payload["requestId"] === requestId)).toMatchObject({
        decision: "rejected",
      });
      expect((await control.request("device.pair.reject", { requestId })).error?.message).toBe("unknown requestId");
      const again = await refused({ key });
      expect(again).toMatchObject({ details: "PAIRING_REQUIRED", why: "not-paired" });
      expect(again.requestId).not.toBe(requestId);
    });

    test("a paired key that asks for more, or from another platform, must be approved again; the narrower session still works", async () => {
      const key = await pairedKey();
      const wider = await refused({ key, scopes: ["operator.read", "operator.write"] });
      expect(wider).toMatchObject({ details: "PAIRING_REQUIRED", why: "scope-upgrade", close: 1008 });
      expect((await list()).pending.find((each) => each.deviceId === key.id)).toMatchObject({ isRepair: true });
      (await admitted({ key })).client.close();
      expect(await refused({ key, platform: "MacIntel" })).toMatchObject({ details: "PAIRING_REQUIRED", why: "metadata-upgrade" });
      await control.call("device.pair.reject", { requestId: wider.requestId });
    });

    test("the approver's own scopes must cover the request", async () => {
      const key = newKey();
      const { requestId } = await refused({ key, scopes: ["operator.admin"] });
      const clerk = await connectControl({ ...CONTROL, scopes: ["operator.pairing"] });
      expect((await clerk.request("device.pair.approve", { requestId })).error?.message).toBe("missing scope: operator.admin");
      const reader = await connectControl({ ...CONTROL, scopes: ["operator.read"] });
      expect((await reader.request("device.pair.list")).error).toMatchObject({
        code: "FORBIDDEN",
        details: { code: "MISSING_SCOPE", missingScope: "operator.pairing" },
      });
      await control.call("device.pair.reject", { requestId });
      for (const client of [clerk, reader]) client.close();
    });

    test("the device token is the same at every connect and admits the key alone, and only that key", async () => {
      const key = await pairedKey();
      const first = await admitted({ key });
      expect(first.deviceToken).toMatch(/^[\w-]{43}$/);
      const second = await admitted({ key, auth: { deviceToken: first.deviceToken } });
      expect(second).toMatchObject({ method: "device-token", scopes: ["operator.read"], deviceToken: first.deviceToken });
      const inTokenField = await admitted({ key, auth: { token: first.deviceToken } });
      expect(inTokenField.method).toBe("device-token");
      const thief = await refused({ key: newKey(), auth: { deviceToken: first.deviceToken } });
      expect(thief).toMatchObject({ details: "AUTH_DEVICE_TOKEN_MISMATCH", close: 1008 });
      for (const { client } of [first, second, inTokenField]) client.close();
    });

    test("device.token.revoke ends the sockets and makes the next connect a role-upgrade", async () => {
      const key = await pairedKey();
      const { client, deviceToken } = await admitted({ key });
      const revoked = await control.call("device.token.revoke", { deviceId: key.id, role: "operator" });
      expect(revoked).toEqual({ deviceId: key.id, role: "operator", revokedAtMs: expect.any(Number) as number });
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      const next = await refused({ key });
      expect(next).toMatchObject({ details: "PAIRING_REQUIRED", why: "role-upgrade" });
      await control.call("device.pair.approve", { requestId: next.requestId });
      const again = await admitted({ key });
      expect(again.deviceToken).not.toBe(deviceToken);
      again.client.close();
      expect((await control.request("device.token.revoke", { deviceId: newKey().id, role: "operator" })).error?.code).toBe(
        "INVALID_REQUEST",
      );
    });

    test("[R8] device.token.rotate ends the sockets and the old token, and limits nobody who has the secret", async () => {
      const key = await pairedKey(["operator.read", "operator.write"]);
      const { client, deviceToken } = await admitted({ key });
      const rotated = await control.call("device.token.rotate", { deviceId: key.id, role: "operator", scopes: ["operator.read"] });
      expect(rotated).toMatchObject({ deviceId: key.id, role: "operator", tokenDelivery: "withheld-cross-device" });
      expect(rotated).not.toHaveProperty("token");
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      const wide = await admitted({ key, scopes: ["operator.read", "operator.write"] });
      expect(wide.scopes).toEqual(["operator.read", "operator.write"]);
      wide.client.close();
    });

    test("[CUT3] device.pair.remove ends the sockets, the record and the token; the key is not-paired again", async () => {
      const key = await pairedKey();
      const { client, deviceToken } = await admitted({ key });
      expect(await control.call("device.pair.remove", { deviceId: key.id })).toEqual({ deviceId: key.id });
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await list()).paired.some((each) => each.deviceId === key.id)).toBe(false);
      expect((await refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      expect(await refused({ key })).toMatchObject({ details: "PAIRING_REQUIRED", why: "not-paired" });
      expect((await control.request("device.pair.remove", { deviceId: key.id })).error).toMatchObject({
        code: "INVALID_REQUEST",
        message: "unknown deviceId",
      });
    });

    test("device.pair.rename keeps a label of 1 to 64 characters and says that something changed", async () => {
      const key = await pairedKey();
      const renamed = await control.call("device.pair.rename", { deviceId: key.id, label: "Phone" });
      expect(renamed).toEqual({ deviceId: key.id, label: "Phone" });
      await control.event("device.pair.changed");
      for (const label of ["", "x".repeat(65)]) expect((await control.request("device.pair.rename", { deviceId: key.id, label })).error?.code).toBe("INVALID_REQUEST"); // prettier-ignore
      expect((await control.request("device.pair.rename", { deviceId: newKey().id, label: "x" })).error?.message).toBe("unknown deviceId");
      expect((await list()).paired.find((each) => each.deviceId === key.id)?.operatorLabel).toBe("Phone");
    });

    test("[R8] J4 in token mode: a password counts exactly when there is no token", async () => {
      const key = await pairedKey();
      const { client, method, deviceToken } = await admitted({ key, auth: { password: SECRET } });
      expect(method).toBe("token");
      const counted: Record<string, string>[] = [{ token: "", password: SECRET }, { deviceToken, password: SECRET }, { deviceToken: "x".repeat(43), password: SECRET }]; // prettier-ignore
      for (const auth of counted) {
        const each = await admitted({ key, auth });
        expect(each.method).toBe("token");
        each.client.close();
      }
      expect(await refused({ key, auth: { token: "wrong", password: SECRET } })).toMatchObject({
        details: "AUTH_TOKEN_MISMATCH",
        close: 1008,
      });
      expect((await refused({ key, auth: { password: "wrong" } })).details).toBe("AUTH_TOKEN_MISMATCH");
      client.close();
    });

    test("[ST3] x-openclaw-scopes narrows one session to exactly look, chat or full; record and token stay wide", async () => {
      const key = newKey();
      const { requestId } = await refused(
        { key, scopes: ACCESS_SCOPES.full },
        visitor("203.0.113.7", { "x-openclaw-scopes": "operator.read" }),
      );
      await control.call("device.pair.approve", { requestId });
      let token = "";
      for (const access of ACCESS_LEVELS) {
        const cap = visitor("203.0.113.7", { "x-openclaw-scopes": ACCESS_SCOPES[access].join(",") });
        const { client, scopes, deviceToken } = await admitted({ key, scopes: ACCESS_SCOPES.full }, cap);
        expect(scopes).toEqual(ACCESS_SCOPES[access]);
        token = deviceToken;
        const answer = await client.request("device.pair.list");
        if (access === "full") expect(answer.ok).toBe(true);
        else
          expect(answer.error).toMatchObject({ code: "FORBIDDEN", details: { code: "MISSING_SCOPE", missingScope: "operator.pairing" } });
        client.close();
      }
      const literal = await admitted({ key, scopes: ACCESS_SCOPES.full }, visitor("203.0.113.7", { "x-openclaw-scopes": "" }));
      expect(literal.scopes).toEqual([]);
      const uncapped = await admitted({ key, scopes: ACCESS_SCOPES.full, auth: { deviceToken: token } });
      expect(uncapped.scopes).toEqual(ACCESS_SCOPES.full);
      for (const { client } of [literal, uncapped]) client.close();
    });
  });

  describe("settings", () => {
    test("config.get shows the settings and a hash, and never the secret", async () => {
      const { config, hash } = await control.call<Config>("config.get");
      expect(config.gateway).toMatchObject({ ...SETTINGS, auth: { mode: "token" } });
      expect(hash.length).toBeGreaterThan(0);
      expect(control.frames.some((frame) => JSON.stringify(frame).includes(SECRET))).toBe(false);
    });

    test("config.patch merges objects, replaces arrays, is in force without a restart, and says config.changed", async () => {
      control.frames.length = 0;
      const other = "https://other.example";
      const { hash } = await control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { controlUi: { allowedOrigins: [ORIGIN, other] } } });
      const answer = await control.call<Config>("config.patch", { raw, baseHash: hash });
      expect(answer).toMatchObject({ ok: true, config: { gateway: { ...SETTINGS, controlUi: { allowedOrigins: [ORIGIN, other] } } } });
      expect(answer.hash).not.toBe(hash);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      await control.event("config.changed");
      expect((await control.call<Config>("config.get")).hash).toBe(answer.hash);
      expect((await refused({ key: newKey() }, visitor("203.0.113.7", { origin: other }))).details).toBe("PAIRING_REQUIRED");
      await patch({ controlUi: { allowedOrigins: [ORIGIN] } }, ["gateway.controlUi.allowedOrigins"]);
      expect((await refused({ key: newKey() }, visitor("203.0.113.7", { origin: other }))).details).toBe("CONTROL_UI_ORIGIN_NOT_ALLOWED");
    });

    test("config.patch refuses a stale or missing hash, and dropping array entries that replacePaths does not name", async () => {
      const { hash, config } = await control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { trustedProxies: [...SETTINGS.trustedProxies, "10.0.0.1"] } });
      for (const baseHash of [{ baseHash: "stale" }, {}])
        expect((await control.request("config.patch", { raw, ...baseHash })).error?.code).toBe("INVALID_REQUEST");
      for (const trustedProxies of [null, [], ["127.0.0.1"]]) {
        const drop = JSON.stringify({ gateway: { trustedProxies } });
        expect((await control.request("config.patch", { raw: drop, baseHash: hash })).error?.message).toContain("replacePaths");
      }
      expect((await control.request("config.patch", { raw: "{", baseHash: hash })).error?.code).toBe("INVALID_REQUEST");
      expect(await control.call("config.get")).toMatchObject({ hash, config });
    });

    test("the connector applies the settings it needs, keeps what others wrote, and puts everything back", async () => {
      const env = { OPENCLAW_URL: `ws://127.0.0.1:${gateway.port}`, OPENCLAW_GATEWAY_TOKEN: SECRET };
      await patch({ trustedProxies: ["10.0.0.1"] }, ["gateway.trustedProxies"]);
      await patch({ controlUi: null, nodes: null }, ["gateway.controlUi.allowedOrigins"]);
      const before = (await control.call<Config>("config.get")).config;
      const origin = "http://abc.localhost:8787";
      // Each change of the trusted proxies ends the control leg once; it dials again by itself.
      const withLeg = async <T>(use: (leg: ControlLeg) => Promise<T>): Promise<T> => {
        let leg: ControlLeg | null = null;
        await new Promise<void>((resolve) => {
          leg = new ControlLeg(() => discoverGateway(env), { onState: ({ state }) => state === "ready" && resolve(), onEvent: () => undefined }); // prettier-ignore
          leg.start();
        });
        if (leg === null) throw new Error("no control leg");
        return use(leg).finally(() => leg?.stop());
      };
      const applied = await withLeg((leg) => applySettings(leg, (config) => planSettings(config, origin)));
      expect(await withLeg(async (leg) => planSettings((await readConfig(leg)).config, origin))).toEqual([]);
      await withLeg((leg) => applySettings(leg, (config) => planRestore(config, applied)));
      await control.closed;
      control = await connectControl();
      const { config } = await control.call<Config>("config.get");
      expect(config.gateway["trustedProxies"]).toEqual(["10.0.0.1"]);
      expect(planSettings(config, origin)).toEqual(planSettings(before, origin));
      await patch({ trustedProxies: SETTINGS.trustedProxies }, ["gateway.trustedProxies"]);
      await patch({ controlUi: SETTINGS.controlUi, nodes: SETTINGS.nodes });
    });

    test("a patch that changes nothing is ok and says noop", async () => {
      const { hash } = await control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { trustedProxies: SETTINGS.trustedProxies } });
      expect(await control.call("config.patch", { raw, baseHash: hash })).toMatchObject({ ok: true, noop: true });
      expect((await control.call<Config>("config.get")).hash).toBe(hash);
    });
  });

  describe("HTTP", () => {
    test("/healthz is open to everybody, /readyz and /health to whoever is attributed; none takes POST", async () => {
      for (const path of ["/healthz", "/health"]) expect(JSON.parse((await exchange(gateway.port, path)).body)).toEqual({ ok: true, status: "live" }); // prettier-ignore
      expect(JSON.parse((await exchange(gateway.port, "/readyz")).body)).toMatchObject({ ready: true });
      const unattributed = { "x-forwarded-for": "garbage" };
      expect((await exchange(gateway.port, "/healthz", unattributed)).status).toBe(200);
      expect((await exchange(gateway.port, "/readyz", unattributed)).status).toBe(403);
      for (const path of ["/healthz", "/readyz"]) expect((await exchange(gateway.port, path, {}, "POST")).status).toBe(405);
    });

    test("the page answers every path that is nobody else's, and is framed by nobody", async () => {
      for (const path of ["/", "/chat", "/any/where?x=1", "/approve/x", "/.well-known/openclaw/browser-bootstrap"]) {
        const page = await exchange(gateway.port, path, visitor());
        expect([page.status, page.type]).toEqual([200, "text/html; charset=utf-8"]);
        expect(page.headers["content-security-policy"]).toContain("frame-ancestors 'none'");
        expect(page.headers["x-frame-options"]).toBe("DENY");
      }
      expect((await exchange(gateway.port, "/", visitor(), "POST")).status).toBe(404);
    });

    test("what is no page: missing assets, API, plugin and share paths are 404", async () => {
      for (const path of ["/assets/none.js", "/api/none", "/api/v1/admin/rpc", "/v1/models", "/plugins/none", "/share/none", "/j/none", "/__openclaw__/worker"]) expect([path, (await exchange(gateway.port, path, visitor())).status]).toEqual([path, 404]); // prettier-ignore
    });
  });

  describe("restart (last: it ends every socket)", () => {
    test("[ST6] shutdown event, 1012; 1013 or no answer meanwhile; then everything paired and set is still there", async () => {
      const key = await pairedKey();
      const before = await admitted({ key });
      const { config } = await control.call<Config>("config.get");
      await control.call("gateway.restart.request", { reason: "test" });
      for (const client of [control, before.client]) {
        expect(await client.event("shutdown")).toMatchObject({ restartExpectedMs: expect.any(Number) as number });
        expect(await client.closed).toEqual({ code: 1012, reason: "service restart" });
      }
      const meanwhile = new Set<string>();
      for (;;) {
        const seen = await GatewayClient.dial(gateway.port).then(
          async (client) => {
            const answer = await client.connect(CONTROL);
            if (answer.ok === true) {
              control = client;
              return "up";
            }
            expect(answer.error).toMatchObject({ code: "UNAVAILABLE", retryAfterMs: expect.any(Number) as number });
            return String((await client.closed).code);
          },
          (error: unknown) => {
            if (error instanceof UpgradeRefused) return String(error.status);
            return (error as NodeJS.ErrnoException).code ?? "gone";
          },
        );
        if (seen === "up") break;
        meanwhile.add(seen);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect([...meanwhile].filter((each) => !["503", "1013", "1012", "ECONNREFUSED", "ECONNRESET"].includes(each))).toEqual([]);
      expect(meanwhile).toContain("1013");
      expect((await control.call<Config>("config.get")).config.gateway).toEqual(config.gateway);
      const after = await admitted({ key, auth: { deviceToken: before.deviceToken } });
      expect(after.method).toBe("device-token");
      after.client.close();
    });
  });
});

/**
 * OpenClaw alone. The demo stands in for the stock page's pairing; it has no nodes, no plugins, no bundle of a build to compare, and nobody
 * guesses its secret, so these would be code that nothing but this file ever runs.
 */
describe(`OpenClaw ${OPENCLAW_VERSION} alone`, () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startReal();
  });

  afterAll(async () => {
    await gateway?.stop();
  });

  async function refusal(connecting: Connecting, headers = visitor()): Promise<Frame["error"]> {
    const client = await GatewayClient.dial(gateway.port, headers);
    const answer = await client.connect({ key: newKey(), auth: { password: SECRET }, ...connecting });
    if (answer.ok === true) throw new Error("the connect was not refused");
    await client.closed;
    return answer.error;
  }

  test("no nodes in the demo: a node's request is PAIRING_REQUIRED with role node, and a pairing-only clerk cannot approve it", async () => {
    const node = { client: { id: "node-host", mode: "node" }, role: "node", scopes: [] };
    const error = await refusal(node);
    expect(error).toMatchObject({ code: "NOT_PAIRED", details: { code: "PAIRING_REQUIRED", requestedRole: "node" } });
    const clerk = await GatewayClient.dial(gateway.port);
    await clerk.connect({ ...CONTROL, scopes: ["operator.pairing"] });
    const answer = await clerk.request("device.pair.approve", { requestId: error?.details?.["requestId"] });
    expect(answer.error?.message).toBe("device pairing approval denied");
    clerk.close();
  });

  test("nobody to lock out in the demo: the 11th wrong secret of one address is rate-limited, another address is not", async () => {
    const wrong = { auth: { token: "wrong" } };
    for (let i = 0; i < 10; i += 1) expect((await refusal(wrong, visitor("203.0.113.50")))?.details?.["code"]).toBe("AUTH_TOKEN_MISMATCH");
    expect(await refusal(wrong, visitor("203.0.113.50"))).toMatchObject({
      details: { code: "AUTH_RATE_LIMITED" },
      retryAfterMs: expect.any(Number) as number,
    });
    expect((await refusal(wrong, visitor("203.0.113.51")))?.details?.["code"]).toBe("AUTH_TOKEN_MISMATCH");
  });

  test("no build in the demo: another build's page is told to reload when Host is the page's own", async () => {
    const control = await GatewayClient.dial(gateway.port);
    await control.connect(CONTROL);
    const key = newKey();
    const asked = await refusal({ key, buildId: "other" }, visitor("203.0.113.7", { host: "abc.gw.example" }));
    await control.call("device.pair.approve", { requestId: asked?.details?.["requestId"] });
    const error = await refusal({ key, buildId: "other" }, visitor("203.0.113.7", { host: "abc.gw.example" }));
    expect(error).toMatchObject({ code: "UNAVAILABLE", details: { code: "PROTOCOL_MISMATCH", reloadRequired: true } });
    control.close();
  });

  test("no machine interfaces in the demo: these want the secret, and an unknown client id is refused by the schema", async () => {
    expect((await exchange(gateway.port, "/tools/invoke", visitor(), "POST")).status).toBe(401);
    expect((await exchange(gateway.port, "/sessions/x/kill", visitor(), "POST")).status).toBe(401);
    expect((await exchange(gateway.port, "/control-ui-config.json", visitor())).status).toBe(401);
    expect((await refusal({ client: { id: "nobody", mode: "webchat" } }))?.message).toMatch(/^invalid connect params: at \/client\/id/);
  });

  test("frames are uncompressed and there is no subprotocol, even for a client that offers both", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { perMessageDeflate: true, headers: visitor() });
    await new Promise((resolve, reject) => {
      ws.once("open", resolve);
      ws.once("error", reject);
    });
    expect([ws.extensions, ws.protocol]).toEqual(["", ""]);
    ws.close();
  });
});
