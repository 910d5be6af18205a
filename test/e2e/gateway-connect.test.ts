/**
 * How a gateway takes a connect, proved against the demo gateway and against OpenClaw with the same tests (openclaw.md 1–3): the handshake, who
 * counts as local, plain HTTP. A difference is the demo's fault. Facts that the demo rightly does not have are at the end, against OpenClaw alone,
 * each with its reason.
 */
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OPENCLAW_VERSION } from "../../scripts/real-openclaw.ts";
import { GatewayClient, exchange, newKey } from "../support/gateway-client.ts";
import type { Connecting, Frame } from "../support/gateway-client.ts";
import {
  CONTROL,
  ContractWorld,
  GATEWAYS,
  NOT_ATTRIBUTED,
  ORIGIN,
  SECRET,
  SETTINGS,
  requestIdOf,
  startReal,
  visitor,
} from "../support/gateway-contract.ts";
import type { Gateway } from "../support/gateway-contract.ts";

describe.each(GATEWAYS)("$name", ({ version, start }) => {
  let world: ContractWorld;

  beforeAll(async () => {
    world = await ContractWorld.start(start);
  });

  afterAll(async () => {
    await world?.stop();
  });

  describe("handshake", () => {
    test("[R9] the challenge is the first frame", async () => {
      const client = await GatewayClient.dial(world.port, visitor());
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
      const client = await GatewayClient.dial(world.port);
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
      const answer = await world.refused({ key: newKey(), ...connecting });
      expect(answer).toMatchObject({ code: "INVALID_REQUEST", details, close: 1008, reason: expect.stringMatching(reason) as string });
    });

    test("refused: a signature by another key, and an id that is not the key's", async () => {
      const key = newKey();
      const stolen = await world.refused({ key: { ...newKey(), publicKey: key.publicKey, id: key.id } });
      expect(stolen).toMatchObject({ code: "INVALID_REQUEST", details: "DEVICE_AUTH_SIGNATURE_INVALID", close: 1008 });
      const renamed = await world.refused({ key: { ...key, id: newKey().id } });
      expect(renamed).toMatchObject({ code: "INVALID_REQUEST", details: "DEVICE_AUTH_DEVICE_ID_MISMATCH", close: 1008 });
    });

    test("refused: the page without a device key, or from an origin that is foreign or missing", async () => {
      const details = "CONTROL_UI_ORIGIN_NOT_ALLOWED";
      expect(await world.refused({})).toMatchObject({
        code: "INVALID_REQUEST",
        details: "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        close: 1008,
      });
      const foreign = visitor("203.0.113.7", { origin: "https://evil.example" });
      const { origin: _origin, ...none } = visitor();
      for (const headers of [foreign, none]) expect(await world.refused({ key: newKey() }, headers)).toMatchObject({ code: "INVALID_REQUEST", details, close: 1008, reason: expect.stringMatching(/^origin not allowed /) as string }); // prettier-ignore
    });

    test("an older protocol is refused with 1002", async () => {
      const answer = await world.refused({ key: newKey(), protocol: 3 });
      expect(answer).toMatchObject({ details: "PROTOCOL_MISMATCH", close: 1002, reason: "protocol mismatch" });
    });

    test("bytes that are no handshake: closed with 1000, 1008, 1009", async () => {
      const closeAfter = async (text: string) => {
        const client = await GatewayClient.dial(world.port, visitor());
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
      const before = await GatewayClient.dial(world.port, visitor());
      before.send("x".repeat(65_537));
      expect(await before.closed).toEqual({ code: 1009, reason: "" });
      const after = await world.connectControl();
      const answer = after.frame((frame) => frame.id === "large", "large");
      after.send(JSON.stringify({ type: "req", id: "large", method: "no.such", params: { text: "x".repeat(26_000_000) } }));
      expect((await answer).error?.message).toBe("unknown method: no.such");
      after.send("x".repeat(26_214_401));
      expect(await after.closed).toEqual({ code: 1009, reason: "" });
    });

    test("a second connect and an unknown method are answered with errors and the socket stays", async () => {
      expect((await world.control.request("connect", {})).error?.code).toBe("INVALID_REQUEST");
      expect((await world.control.request("no.such")).error).toEqual({ code: "INVALID_REQUEST", message: "unknown method: no.such" });
      await world.list();
    });

    test("the 33rd unauthenticated socket of one address gets 503; other addresses do not; a closed one makes room", async () => {
      const many = visitor("203.0.113.33");
      const open = await Promise.all(Array.from({ length: 32 }, () => GatewayClient.dial(world.port, many)));
      expect(await world.refusedUpgrade(many)).toEqual({ status: 503, body: "Too many unauthenticated sockets" });
      const other = await GatewayClient.dial(world.port, visitor("203.0.113.34"));
      await other.event("connect.challenge");
      for (const client of [...open, other]) client.close();
      await Promise.all([...open, other].map((client) => client.closed));
      const again = await GatewayClient.dial(world.port, many);
      await again.event("connect.challenge");
      again.close();
    });
  });

  describe("who counts as local", () => {
    test("[R1] a new key with X-Forwarded-For must be paired, whatever the address", async () => {
      for (const ip of ["203.0.113.7", "1.2.3.4, 203.0.113.210", "203.0.113.7, 127.0.0.1", "2001:db8::1", "192.168.1.4"]) {
        const key = newKey();
        const { client, answer } = await world.attempt({ key }, visitor(ip));
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
        const pending = (await world.list()).pending.find((each) => each.requestId === requestId);
        expect(pending?.remoteIp).toBe(ip.includes("203.0.113.210") ? "203.0.113.210" : ip.split(",")[0]);
        await world.control.call("device.pair.reject", { requestId });
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
      const answer = await world.refusedUpgrade({ origin: ORIGIN, ...headers });
      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject(NOT_ATTRIBUTED);
      const page = await exchange(world.port, "/", headers);
      expect(page.status).toBe(403);
      expect(JSON.parse(page.body)).toMatchObject(NOT_ATTRIBUTED);
    });

    test("CF-Connecting-IP alone is no forwarding header", async () => {
      expect((await exchange(world.port, "/", { "cf-connecting-ip": "203.0.113.7" })).status).toBe(200);
    });

    test("the control client's rights end at the first forwarding header or Origin", async () => {
      const { origin: _origin, ...forwarded } = visitor();
      for (const headers of [forwarded, { origin: ORIGIN }]) {
        const client = await GatewayClient.dial(world.port, headers);
        const { payload } = await client.connect(CONTROL);
        expect(payload).toMatchObject({ auth: { scopes: [] } });
        client.close();
      }
    });

    test("[R4] with autoApproveLocal:false even a clean loopback upgrade must be paired, without it anybody is let in silently", async () => {
      const bare = { origin: ORIGIN };
      const key = newKey();
      const { requestId } = await world.refused({ key }, bare);
      await world.control.call("device.pair.reject", { requestId });
      await world.patch({ nodes: { pairing: { autoApproveLocal: null } } });
      const trapped = await world.admitted({ key, scopes: ["operator.admin"] }, bare);
      expect(trapped).toMatchObject({ scopes: ["operator.admin"], deviceToken: expect.stringMatching(/^[\w-]{43}$/) as string });
      expect((await world.list()).paired.find((each) => each.deviceId === key.id)?.approvedVia).toBe("silent");
      await world.control.call("device.pair.remove", { deviceId: key.id });
      // With forwarding headers nobody is let in, whatever that setting says.
      expect((await world.refused({ key })).details).toBe("PAIRING_REQUIRED");
      await world.patch({ nodes: SETTINGS.nodes });
      expect((await world.refused({ key: newKey() }, bare)).details).toBe("PAIRING_REQUIRED");
    });

    test("[R4] without trustedProxies every forwarding header gets 403; the control client still works", async () => {
      await world.patch({ trustedProxies: null }, ["gateway.trustedProxies"]);
      const answer = await world.refusedUpgrade(visitor());
      expect(answer.status).toBe(403);
      expect(answer.body).toMatchObject(NOT_ATTRIBUTED);
      expect((await exchange(world.port, "/", visitor())).status).toBe(403);
      await world.list();
      await world.patch({ trustedProxies: SETTINGS.trustedProxies });
      expect((await world.refused({ key: newKey() })).details).toBe("PAIRING_REQUIRED");
    });
  });

  describe("HTTP", () => {
    test("/healthz is open to everybody, /readyz and /health to whoever is attributed; none takes POST", async () => {
      for (const path of ["/healthz", "/health"]) expect(JSON.parse((await exchange(world.port, path)).body)).toEqual({ ok: true, status: "live" }); // prettier-ignore
      expect(JSON.parse((await exchange(world.port, "/readyz")).body)).toMatchObject({ ready: true });
      const unattributed = { "x-forwarded-for": "garbage" };
      expect((await exchange(world.port, "/healthz", unattributed)).status).toBe(200);
      expect((await exchange(world.port, "/readyz", unattributed)).status).toBe(403);
      for (const path of ["/healthz", "/readyz"]) expect((await exchange(world.port, path, {}, "POST")).status).toBe(405);
    });

    test("the page answers every path that is nobody else's, and is framed by nobody", async () => {
      for (const path of ["/", "/chat", "/any/where?x=1", "/approve/x", "/.well-known/openclaw/browser-bootstrap"]) {
        const page = await exchange(world.port, path, visitor());
        expect([page.status, page.type]).toEqual([200, "text/html; charset=utf-8"]);
        expect(page.headers["content-security-policy"]).toContain("frame-ancestors 'none'");
        expect(page.headers["x-frame-options"]).toBe("DENY");
      }
      expect((await exchange(world.port, "/", visitor(), "POST")).status).toBe(404);
    });

    test("what is no page: missing assets, API, plugin and share paths are 404", async () => {
      for (const path of ["/assets/none.js", "/api/none", "/api/v1/admin/rpc", "/v1/models", "/plugins/none", "/share/none", "/j/none", "/__openclaw__/worker"]) expect([path, (await exchange(world.port, path, visitor())).status]).toEqual([path, 404]); // prettier-ignore
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
