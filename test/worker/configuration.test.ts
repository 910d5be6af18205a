/** A deployment whose settings are wrong serves nothing, and says why; one of https origins serves nothing over plain http. */
import { expect, test, vi } from "vitest";
import { READY_PATIENCE_MS } from "../../src/protocol/limits.ts";
import { handle } from "../../src/worker/app.ts";
import { isGatewayId, mintGatewayId } from "../../src/worker/auth/gateway-id.ts";
import { readConfig } from "../../src/worker/config.ts";
import type { Env } from "../../src/worker/env.ts";
import { config, env } from "./world.ts";

interface Readiness {
  readonly ready: boolean;
  readonly failed: readonly string[];
}

const PATHS = ["/", "/api/me", "/api/openapi.json", "/connector-0.1.0.tgz", "/link/aaaaaaaaaaaaaaaaaaaaaaa", "/.gatehouse/", "/app.js"];
const SHORT = "c2hvcnQ";

function changed(changes: Partial<Record<keyof Env, unknown>>): Env {
  return { ...env, ...changes } as Env;
}

function get(url: string, own: Env, init: RequestInit = {}): Promise<Response> {
  return handle(new Request(url, { redirect: "manual", ...init }), own);
}

async function readiness(own: Env, origin = config.appOrigin): Promise<Readiness & { readonly status: number }> {
  const answer = await get(`${origin}/readyz`, own);
  return { status: answer.status, ...(await answer.json<Readiness>()) };
}

test.each<[string, Partial<Record<keyof Env, unknown>>]>([
  ["secret-missing", { GATEHOUSE_SECRET: undefined }],
  ["secret-missing", { GATEHOUSE_SECRET: "" }],
  ["secret-malformed", { GATEHOUSE_SECRET: "change me" }],
  ["secret-too-short", { GATEHOUSE_SECRET: SHORT }],
  ["old-secret-missing", { GATEHOUSE_SECRET_OLD: "" }],
  ["id-secret-too-short", { GATEHOUSE_ID_SECRET: SHORT }],
  ["app-origin", { APP_ORIGIN: undefined }],
  ["app-origin", { APP_ORIGIN: "http://localhost:8787/app" }],
  ["approve-origin", { APPROVE_ORIGIN: "ftp://approve.localhost" }],
  ["gateway-domain", { GATEWAY_DOMAIN: "" }],
  ["gateway-domain", { GATEWAY_DOMAIN: "https://gateways.example" }],
  ["origins-mixed", { APP_ORIGIN: "https://app.example" }],
  ["origins-equal", { APPROVE_ORIGIN: "http://localhost:8787" }],
  ["sign-up", { SIGN_UP: "everybody" }],
  ["log-sample", { LOG_SAMPLE: "1.5" }],
])("[OP1] %s: only the two health pages answer", async (code, changes) => {
  const own = changed(changes);
  const room = vi.fn();
  const asked = { ...own, ROOM: { getByName: room }, INBOX: { getByName: room }, DB: { prepare: room, batch: room } } as unknown as Env;
  for (const origin of [config.appOrigin, config.approveOrigin, "http://elsewhere.example"])
    for (const path of PATHS) {
      const answer = await get(`${origin}${path}`, asked);
      expect([answer.status, await answer.json()], path).toMatchObject([503, { error: { code: "not-configured" } }]);
    }
  expect(room).not.toHaveBeenCalled();
  expect((await get(`${config.appOrigin}/healthz`, asked)).status).toBe(200);
  expect(await readiness(asked)).toMatchObject({ status: 503, ready: false, failed: [code] });
  expect(() => readConfig(own)).toThrow(code);
});

test("[OP1] an id forged at home under an empty secret opens nothing", async () => {
  const empty = changed({ GATEHOUSE_SECRET: "" });
  await expect(mintGatewayId(empty, new Uint8Array(10))).rejects.toThrow("secret-missing");
  await expect(isGatewayId(empty, "a".repeat(23))).rejects.toThrow("secret-missing");
});

test("[OP2] a sound deployment is ready", async () => {
  expect(await readiness(changed({}))).toEqual({ status: 200, ready: true, failed: [], version: expect.any(String) });
});

test("[OP2] each part that is away is named by its code alone", async () => {
  const broken = (): never => {
    throw new Error("secret text");
  };
  expect(await readiness(changed({ DB: { prepare: broken } }))).toMatchObject({
    status: 503,
    failed: ["database-away", "database-behind"],
  });
  expect(await readiness(changed({ ROOM: { getByName: broken } }))).toMatchObject({ failed: ["room-away"] });
  expect(await readiness(changed({ ASSETS: { fetch: () => Promise.resolve(new Response(null, { status: 404 })) } }))).toMatchObject({
    failed: ["pages-missing"],
  });
});

test("[OP2] a database without the newest migration is behind", async () => {
  const newest = await env.DB.prepare("SELECT id, name FROM d1_migrations ORDER BY name DESC LIMIT 1").first<{
    id: number;
    name: string;
  }>();
  await env.DB.prepare("DELETE FROM d1_migrations WHERE id = ?").bind(newest?.id).run();
  try {
    expect(await readiness(changed({}))).toMatchObject({ status: 503, failed: ["database-behind"] });
  } finally {
    await env.DB.prepare("INSERT INTO d1_migrations (id, name) VALUES (?, ?)").bind(newest?.id, newest?.name).run();
  }
});

test("[OP2] a part that never answers has failed when patience ends", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  try {
    let ask: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    const fetch = (): Promise<never> => {
      ask();
      return new Promise(() => undefined);
    };
    const answer = readiness(changed({ ROOM: { getByName: () => ({ fetch }) } }));
    await asked;
    vi.advanceTimersByTime(READY_PATIENCE_MS);
    expect((await answer).failed).toContain("room-away");
  } finally {
    vi.useRealTimers();
  }
});

test("[OP2] many questions at once are one look", async () => {
  const prepare = vi.fn(env.DB.prepare.bind(env.DB));
  const own = changed({ DB: { prepare, batch: env.DB.batch.bind(env.DB) } });
  await Promise.all(Array.from({ length: 50 }, () => readiness(own)));
  expect(prepare.mock.calls.length).toBeLessThanOrEqual(2);
});

const HTTPS = { APP_ORIGIN: "https://app.example", APPROVE_ORIGIN: "https://approve.example", GATEWAY_DOMAIN: "gateways.example" };

test.each(["http://app.example/x?y=1", "http://approve.example/", "http://anything.gateways.example/a%20b"])(
  "[OP5] %s is read over https or not at all",
  async (url) => {
    const own = changed(HTTPS);
    for (const method of ["GET", "HEAD"]) {
      const moved = await get(url, own, { method });
      expect([moved.status, moved.headers.get("location")]).toEqual([308, url.replace("http:", "https:")]);
    }
    for (const init of [{ method: "POST" }, { headers: { upgrade: "websocket" } }]) {
      const refused = await get(url, own, init);
      expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: "https-only" } }]);
    }
  },
);

test("[OP5] over https pages and doors say that they stay there; another's name is sent nowhere", async () => {
  const own = changed(HTTPS);
  const hsts = async (url: string): Promise<string | null> =>
    (await get(url, own, { headers: { accept: "text/html" } })).headers.get("strict-transport-security");
  expect(await hsts("https://app.example/")).toBe("max-age=63072000; includeSubDomains");
  const gateway = await mintGatewayId(own, crypto.getRandomValues(new Uint8Array(10)));
  expect(await hsts(`https://${gateway}.gateways.example/`)).toBe("max-age=63072000");
  expect((await get("http://elsewhere.example/", own)).status).toBe(404);
});
