/** Keys that verify anything, or that no curve holds: refused at every door of the Worker with the answer for any bad input, and nothing is kept. */
import { expect, test } from "vitest";
import { newAuthenticator } from "../support/fake-authenticator.ts";
import { newDevice } from "../support/fake-device.ts";
import { handle } from "../../src/worker/app.ts";
import { ask, config, dump, env, grantFor, newGateway, askOwner, randomAddress } from "./world.ts";

const SMALL_ORDER = { kty: "OKP", crv: "Ed25519", x: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } as const;
const NOT_CANONICAL = { kty: "OKP", crv: "Ed25519", x: "7v_______________________________________38" } as const;
const OFF_CURVE = { kty: "EC", crv: "P-256", x: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", y: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE" } as const; // prettier-ignore
const KEYS = [
  ["small order", SMALL_ORDER],
  ["not canonical", NOT_CANONICAL],
  ["off the curve", OFF_CURVE],
] as const;

test.each(KEYS)("[case 32] a device key (%s) asks for nothing and is told no more than any bad message", async (_what, key) => {
  const world = await newGateway();
  const before = await dump(world.room);
  const honest = await newDevice();
  // Whoever holds such a key signs with anything: here the signature is another key's, which a small-order point would accept.
  const forged = { ...honest, key, ask: (body: object) => honest.ask({ ...body, key } as never) };
  const asked = await askOwner(world, forged);
  expect(await asked.next("error")).toEqual({ type: "error", code: "bad-request" });
  const challenge = await ask(`${world.origin}/.gatehouse/api/challenge`, { method: "POST", body: { key } });
  expect([challenge.status, await challenge.json()]).toMatchObject([400, { error: { code: "bad-request" } }]);
  expect(await dump(world.room)).toBe(before);
});

test.each(KEYS.slice(0, 2))(
  "[case 32] a connector key (%s) redeems no code and starts no claim; the code stays good",
  async (_what, key) => {
    const world = await newGateway();
    const cookie = await world.person.cookie("app");
    const made = await ask(`${config.appOrigin}/api/gateways/${world.gateway}/enrolment`, { method: "POST", cookie });
    const { code }: { code: string } = await made.json();
    const send = async (path: string, chosen: object): Promise<number> => {
      const body = { code, key: chosen, commitment: "A".repeat(43), machine: { name: "m", platform: "p" }, version: "1" };
      const headers = { "content-type": "application/json", "cf-connecting-ip": randomAddress() };
      return (await handle(new Request(`${config.appOrigin}/api/connector/${path}`, { method: "POST", headers, body: JSON.stringify(body) }), env)).status; // prettier-ignore
    };
    expect([await send("redeem", key), await send("claims", key)]).toEqual([400, 400]);
    expect(await send("redeem", world.key)).toBe(200);
  },
);

test.each(KEYS)("[case 32] a grant for a device key (%s), though the owner signed it, is refused", async (_what, key) => {
  const world = await newGateway();
  await world.connect();
  const waiting = await askOwner(world);
  const before = await dump(world.room);
  const { signed } = await grantFor(world, { ...waiting, device: { ...waiting.device, key } }, { kind: "owner", request: null, activation: "A".repeat(43) }); // prettier-ignore
  expect(await world.room.ownerGrant({ account: world.person.id, signed })).toEqual({ ok: false, failure: "grant-refused" });
  expect(await dump(world.room)).toBe(before);
});

test.each(KEYS)("[case 32] a passkey with such a key (%s) cannot be registered", async (_what, key) => {
  const honest = await newAuthenticator(config.approveOrigin);
  const world = await newGateway();
  const cookie = await world.person.cookie("approve");
  const post = (path: string, body: object): Promise<Response> => ask(config.approveOrigin + path, { method: "POST", cookie, body });
  const { nonce }: { nonce: string } = await (await post("/api/auth/nonce", {})).json();
  const response = await honest.register(nonce, key);
  const before = await env.DB.prepare("SELECT count(*) AS n FROM passkeys").first();
  expect((await post("/api/auth/passkeys", { nonce, name: "Bad", response })).status).toBe(403);
  expect(await env.DB.prepare("SELECT count(*) AS n FROM passkeys").first()).toEqual(before);
});
