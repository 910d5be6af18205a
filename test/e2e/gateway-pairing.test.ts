/**
 * What a gateway keeps, proved against the demo gateway and against OpenClaw with the same tests (openclaw.md 1–3, 6, 10): paired keys and their
 * tokens, its settings, and all of it over a restart. A difference is the demo's fault.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ControlLeg } from "../../src/connector/openclaw/rpc-client.ts";
import { discoverGateway } from "../../src/connector/openclaw/discover.ts";
import { applySettings, planRestore, planSettings, readConfig } from "../../src/connector/openclaw/settings.ts";
import { ACCESS_LEVELS, ACCESS_SCOPES } from "../../src/protocol/words.ts";
import { GatewayClient, UpgradeRefused, newKey } from "../support/gateway-client.ts";
import { CONTROL, ContractWorld, GATEWAYS, ORIGIN, SECRET, SETTINGS, visitor } from "../support/gateway-contract.ts";
import type { Config, Device } from "../support/gateway-contract.ts";

describe.each(GATEWAYS)("$name", ({ start }) => {
  let world: ContractWorld;

  beforeAll(async () => {
    world = await ContractWorld.start(start);
  });

  afterAll(async () => {
    await world?.stop();
  });

  describe("pairing", () => {
    test("[R5] requested, approved, resolved: the events and the record name the key", async () => {
      const key = newKey();
      const { requestId } = await world.refused({ key });
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
      expect(await world.control.event("device.pair.requested", (payload) => payload["requestId"] === requestId)).toEqual(asked);
      expect((await world.list()).pending.filter((each) => each.deviceId === key.id)).toEqual([asked]);
      const approved = await world.control.call<{ requestId: string; device: Device }>("device.pair.approve", { requestId });
      expect(approved).toMatchObject({ requestId, device: { deviceId: key.id, approvedVia: "owner" } });
      expect(await world.control.event("device.pair.resolved", (payload) => payload["requestId"] === requestId)).toMatchObject({
        deviceId: key.id,
        decision: "approved",
      });
      const { client, deviceToken } = await world.admitted({ key });
      const { pending, paired } = await world.list();
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
      const first = await world.refused({ key });
      expect((await world.refused({ key })).requestId).toBe(first.requestId);
      const wider = await world.refused({ key, scopes: ["operator.write"] });
      expect(wider.requestId).not.toBe(first.requestId);
      expect(await world.control.event("device.pair.resolved", (payload) => payload["requestId"] === first.requestId)).toMatchObject({
        decision: "rejected",
      });
      const live = (await world.list()).pending.filter((each) => each.deviceId === key.id);
      expect(live).toMatchObject([{ requestId: wider.requestId, scopes: ["operator.read", "operator.write"] }]);
      expect((await world.refused({ key })).requestId).toBe(wider.requestId);
      for (const method of ["device.pair.approve", "device.pair.reject"]) expect((await world.control.request(method, { requestId: first.requestId })).error).toMatchObject({ code: "INVALID_REQUEST", message: "unknown requestId" }); // prettier-ignore
    });

    test("[R6] a reject does not stick: the next retry files a new request", async () => {
      const key = newKey();
      const { requestId } = await world.refused({ key });
      expect(await world.control.call("device.pair.reject", { requestId })).toEqual({ requestId, deviceId: key.id });
      expect(await world.control.event("device.pair.resolved", (payload) => payload["requestId"] === requestId)).toMatchObject({
        decision: "rejected",
      });
      expect((await world.control.request("device.pair.reject", { requestId })).error?.message).toBe("unknown requestId");
      const again = await world.refused({ key });
      expect(again).toMatchObject({ details: "PAIRING_REQUIRED", why: "not-paired" });
      expect(again.requestId).not.toBe(requestId);
    });

    test("a paired key that asks for more, or from another platform, must be approved again; the narrower session still works", async () => {
      const key = await world.pairedKey();
      const wider = await world.refused({ key, scopes: ["operator.read", "operator.write"] });
      expect(wider).toMatchObject({ details: "PAIRING_REQUIRED", why: "scope-upgrade", close: 1008 });
      expect((await world.list()).pending.find((each) => each.deviceId === key.id)).toMatchObject({ isRepair: true });
      (await world.admitted({ key })).client.close();
      expect(await world.refused({ key, platform: "MacIntel" })).toMatchObject({ details: "PAIRING_REQUIRED", why: "metadata-upgrade" });
      await world.control.call("device.pair.reject", { requestId: wider.requestId });
    });

    test("the approver's own scopes must cover the request", async () => {
      const key = newKey();
      const { requestId } = await world.refused({ key, scopes: ["operator.admin"] });
      const clerk = await world.connectControl({ ...CONTROL, scopes: ["operator.pairing"] });
      expect((await clerk.request("device.pair.approve", { requestId })).error?.message).toBe("missing scope: operator.admin");
      const reader = await world.connectControl({ ...CONTROL, scopes: ["operator.read"] });
      expect((await reader.request("device.pair.list")).error).toMatchObject({
        code: "FORBIDDEN",
        details: { code: "MISSING_SCOPE", missingScope: "operator.pairing" },
      });
      await world.control.call("device.pair.reject", { requestId });
      for (const client of [clerk, reader]) client.close();
    });

    test("the device token is the same at every connect and admits the key alone, and only that key", async () => {
      const key = await world.pairedKey();
      const first = await world.admitted({ key });
      expect(first.deviceToken).toMatch(/^[\w-]{43}$/);
      const second = await world.admitted({ key, auth: { deviceToken: first.deviceToken } });
      expect(second).toMatchObject({ method: "device-token", scopes: ["operator.read"], deviceToken: first.deviceToken });
      const inTokenField = await world.admitted({ key, auth: { token: first.deviceToken } });
      expect(inTokenField.method).toBe("device-token");
      const thief = await world.refused({ key: newKey(), auth: { deviceToken: first.deviceToken } });
      expect(thief).toMatchObject({ details: "AUTH_DEVICE_TOKEN_MISMATCH", close: 1008 });
      for (const { client } of [first, second, inTokenField]) client.close();
    });

    test("device.token.revoke ends the sockets and makes the next connect a role-upgrade", async () => {
      const key = await world.pairedKey();
      const { client, deviceToken } = await world.admitted({ key });
      const revoked = await world.control.call("device.token.revoke", { deviceId: key.id, role: "operator" });
      expect(revoked).toEqual({ deviceId: key.id, role: "operator", revokedAtMs: expect.any(Number) as number });
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await world.refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      const next = await world.refused({ key });
      expect(next).toMatchObject({ details: "PAIRING_REQUIRED", why: "role-upgrade" });
      await world.control.call("device.pair.approve", { requestId: next.requestId });
      const again = await world.admitted({ key });
      expect(again.deviceToken).not.toBe(deviceToken);
      again.client.close();
      expect((await world.control.request("device.token.revoke", { deviceId: newKey().id, role: "operator" })).error?.code).toBe(
        "INVALID_REQUEST",
      );
    });

    test("[R8] device.token.rotate ends the sockets and the old token, and limits nobody who has the secret", async () => {
      const key = await world.pairedKey(["operator.read", "operator.write"]);
      const { client, deviceToken } = await world.admitted({ key });
      const rotated = await world.control.call("device.token.rotate", { deviceId: key.id, role: "operator", scopes: ["operator.read"] });
      expect(rotated).toMatchObject({ deviceId: key.id, role: "operator", tokenDelivery: "withheld-cross-device" });
      expect(rotated).not.toHaveProperty("token");
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await world.refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      const wide = await world.admitted({ key, scopes: ["operator.read", "operator.write"] });
      expect(wide.scopes).toEqual(["operator.read", "operator.write"]);
      wide.client.close();
    });

    test("[CUT3] device.pair.remove ends the sockets, the record and the token; the key is not-paired again", async () => {
      const key = await world.pairedKey();
      const { client, deviceToken } = await world.admitted({ key });
      expect(await world.control.call("device.pair.remove", { deviceId: key.id })).toEqual({ deviceId: key.id });
      expect(await client.closed).toEqual({ code: 4001, reason: "device removed" });
      expect((await world.list()).paired.some((each) => each.deviceId === key.id)).toBe(false);
      expect((await world.refused({ key, auth: { deviceToken } })).details).toBe("AUTH_DEVICE_TOKEN_MISMATCH");
      expect(await world.refused({ key })).toMatchObject({ details: "PAIRING_REQUIRED", why: "not-paired" });
      expect((await world.control.request("device.pair.remove", { deviceId: key.id })).error).toMatchObject({
        code: "INVALID_REQUEST",
        message: "unknown deviceId",
      });
    });

    test("device.pair.rename keeps a label of 1 to 64 characters and says that something changed", async () => {
      const key = await world.pairedKey();
      const renamed = await world.control.call("device.pair.rename", { deviceId: key.id, label: "Phone" });
      expect(renamed).toEqual({ deviceId: key.id, label: "Phone" });
      await world.control.event("device.pair.changed");
      for (const label of ["", "x".repeat(65)]) expect((await world.control.request("device.pair.rename", { deviceId: key.id, label })).error?.code).toBe("INVALID_REQUEST"); // prettier-ignore
      expect((await world.control.request("device.pair.rename", { deviceId: newKey().id, label: "x" })).error?.message).toBe(
        "unknown deviceId",
      );
      expect((await world.list()).paired.find((each) => each.deviceId === key.id)?.operatorLabel).toBe("Phone");
    });

    test("[R8] J4 in token mode: a password counts exactly when there is no token", async () => {
      const key = await world.pairedKey();
      const { client, method, deviceToken } = await world.admitted({ key, auth: { password: SECRET } });
      expect(method).toBe("token");
      const counted: Record<string, string>[] = [{ token: "", password: SECRET }, { deviceToken, password: SECRET }, { deviceToken: "x".repeat(43), password: SECRET }]; // prettier-ignore
      for (const auth of counted) {
        const each = await world.admitted({ key, auth });
        expect(each.method).toBe("token");
        each.client.close();
      }
      expect(await world.refused({ key, auth: { token: "wrong", password: SECRET } })).toMatchObject({
        details: "AUTH_TOKEN_MISMATCH",
        close: 1008,
      });
      expect((await world.refused({ key, auth: { password: "wrong" } })).details).toBe("AUTH_TOKEN_MISMATCH");
      client.close();
    });

    test("[ST3] x-openclaw-scopes narrows one session to exactly look, chat or full; record and token stay wide", async () => {
      const key = newKey();
      const { requestId } = await world.refused(
        { key, scopes: ACCESS_SCOPES.full },
        visitor("203.0.113.7", { "x-openclaw-scopes": "operator.read" }),
      );
      await world.control.call("device.pair.approve", { requestId });
      let token = "";
      for (const access of ACCESS_LEVELS) {
        const cap = visitor("203.0.113.7", { "x-openclaw-scopes": ACCESS_SCOPES[access].join(",") });
        const { client, scopes, deviceToken } = await world.admitted({ key, scopes: ACCESS_SCOPES.full }, cap);
        expect(scopes).toEqual(ACCESS_SCOPES[access]);
        token = deviceToken;
        const answer = await client.request("device.pair.list");
        if (access === "full") expect(answer.ok).toBe(true);
        else
          expect(answer.error).toMatchObject({ code: "FORBIDDEN", details: { code: "MISSING_SCOPE", missingScope: "operator.pairing" } });
        client.close();
      }
      const literal = await world.admitted({ key, scopes: ACCESS_SCOPES.full }, visitor("203.0.113.7", { "x-openclaw-scopes": "" }));
      expect(literal.scopes).toEqual([]);
      const uncapped = await world.admitted({ key, scopes: ACCESS_SCOPES.full, auth: { deviceToken: token } });
      expect(uncapped.scopes).toEqual(ACCESS_SCOPES.full);
      for (const { client } of [literal, uncapped]) client.close();
    });
  });

  describe("settings", () => {
    test("config.get shows the settings and a hash, and never the secret", async () => {
      const { config, hash } = await world.control.call<Config>("config.get");
      expect(config.gateway).toMatchObject({ ...SETTINGS, auth: { mode: "token" } });
      expect(hash.length).toBeGreaterThan(0);
      expect(world.control.frames.some((frame) => JSON.stringify(frame).includes(SECRET))).toBe(false);
    });

    test("config.patch merges objects, replaces arrays, is in force without a restart, and says config.changed", async () => {
      world.control.frames.length = 0;
      const other = "https://other.example";
      const { hash } = await world.control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { controlUi: { allowedOrigins: [ORIGIN, other] } } });
      const answer = await world.control.call<Config>("config.patch", { raw, baseHash: hash });
      expect(answer).toMatchObject({ ok: true, config: { gateway: { ...SETTINGS, controlUi: { allowedOrigins: [ORIGIN, other] } } } });
      expect(answer.hash).not.toBe(hash);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      await world.control.event("config.changed");
      expect((await world.control.call<Config>("config.get")).hash).toBe(answer.hash);
      expect((await world.refused({ key: newKey() }, visitor("203.0.113.7", { origin: other }))).details).toBe("PAIRING_REQUIRED");
      await world.patch({ controlUi: { allowedOrigins: [ORIGIN] } }, ["gateway.controlUi.allowedOrigins"]);
      expect((await world.refused({ key: newKey() }, visitor("203.0.113.7", { origin: other }))).details).toBe(
        "CONTROL_UI_ORIGIN_NOT_ALLOWED",
      );
    });

    test("config.patch refuses a stale or missing hash, and dropping array entries that replacePaths does not name", async () => {
      const { hash, config } = await world.control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { trustedProxies: [...SETTINGS.trustedProxies, "10.0.0.1"] } });
      for (const baseHash of [{ baseHash: "stale" }, {}])
        expect((await world.control.request("config.patch", { raw, ...baseHash })).error?.code).toBe("INVALID_REQUEST");
      for (const trustedProxies of [null, [], ["127.0.0.1"]]) {
        const drop = JSON.stringify({ gateway: { trustedProxies } });
        expect((await world.control.request("config.patch", { raw: drop, baseHash: hash })).error?.message).toContain("replacePaths");
      }
      expect((await world.control.request("config.patch", { raw: "{", baseHash: hash })).error?.code).toBe("INVALID_REQUEST");
      expect(await world.control.call("config.get")).toMatchObject({ hash, config });
    });

    test("the connector applies the settings it needs, keeps what others wrote, and puts everything back", async () => {
      const env = { OPENCLAW_URL: `ws://127.0.0.1:${world.port}`, OPENCLAW_GATEWAY_TOKEN: SECRET };
      await world.patch({ trustedProxies: ["10.0.0.1"] }, ["gateway.trustedProxies"]);
      await world.patch({ controlUi: null, nodes: null }, ["gateway.controlUi.allowedOrigins"]);
      const before = (await world.control.call<Config>("config.get")).config;
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
      await world.control.closed;
      world.control = await world.connectControl();
      const { config } = await world.control.call<Config>("config.get");
      expect(config.gateway["trustedProxies"]).toEqual(["10.0.0.1"]);
      expect(planSettings(config, origin)).toEqual(planSettings(before, origin));
      await world.patch({ trustedProxies: SETTINGS.trustedProxies }, ["gateway.trustedProxies"]);
      await world.patch({ controlUi: SETTINGS.controlUi, nodes: SETTINGS.nodes });
    });

    test("a patch that changes nothing is ok and says noop", async () => {
      const { hash } = await world.control.call<Config>("config.get");
      const raw = JSON.stringify({ gateway: { trustedProxies: SETTINGS.trustedProxies } });
      expect(await world.control.call("config.patch", { raw, baseHash: hash })).toMatchObject({ ok: true, noop: true });
      expect((await world.control.call<Config>("config.get")).hash).toBe(hash);
    });
  });

  describe("restart (last: it ends every socket)", () => {
    test("[ST6] shutdown event, 1012; 1013 or no answer meanwhile; then everything paired and set is still there", async () => {
      const key = await world.pairedKey();
      const before = await world.admitted({ key });
      const { config } = await world.control.call<Config>("config.get");
      await world.control.call("gateway.restart.request", { reason: "test" });
      for (const client of [world.control, before.client]) {
        expect(await client.event("shutdown")).toMatchObject({ restartExpectedMs: expect.any(Number) as number });
        expect(await client.closed).toEqual({ code: 1012, reason: "service restart" });
      }
      const meanwhile = new Set<string>();
      for (;;) {
        const seen = await GatewayClient.dial(world.port).then(
          async (client) => {
            const answer = await client.connect(CONTROL);
            if (answer.ok === true) {
              world.control = client;
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
      expect((await world.control.call<Config>("config.get")).config.gateway).toEqual(config.gateway);
      const after = await world.admitted({ key, auth: { deviceToken: before.deviceToken } });
      expect(after.method).toBe("device-token");
      after.client.close();
    });
  });
});
