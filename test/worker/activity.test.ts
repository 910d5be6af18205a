import { expect, test } from "vitest";
import type { Activity } from "../../src/protocol/api.ts";
import { insertAudit } from "../../src/worker/db/account-queries.ts";
import { ask, askOwner, config, env, newGateway, newPerson, randomId } from "./world.ts";
import type { Person } from "./world.ts";

async function page(person: Person, query: string): Promise<Response> {
  return ask(`${config.appOrigin}/api/activity${query}`, { cookie: await person.cookie("app") });
}

test("activity pages hold every event once, also when a page ends between events of the same millisecond", async () => {
  const person = await newPerson();
  const other = await newPerson();
  const event = { gatewayId: null, deviceId: null, actor: "person", action: "signed-in", detail: "{}" };
  const own = Array.from({ length: 230 }, (_, i) => ({ ...event, id: randomId(), accountId: person.id, atMs: 1_000 + Math.floor(i / 90) }));
  for (const row of [...own, { ...event, id: randomId(), accountId: other.id, atMs: 1_001 }]) await insertAudit(env.DB, row);
  const seen: { id: string; atMs: number }[] = [];
  const sizes: number[] = [];
  for (let next: string | null = ""; next !== null;) {
    const answered = await page(person, next === "" ? "" : `?before=${next}`);
    const activity: Activity = await answered.json();
    sizes.push(activity.events.length);
    seen.push(...activity.events);
    next = activity.next;
  }
  expect(sizes).toEqual([100, 100, 30]);
  expect(new Set(seen.map((each) => each.id))).toEqual(new Set(own.map((each) => each.id)));
  expect(seen.map((each) => each.atMs)).toEqual(own.map((each) => each.atMs).toReversed());
});

test.each(["abc", "5", "5.", "-1.aaaaaaaaaaaaaaaaaaaaaaaaaa", "5.AAAA", "%00"])(
  "a place %s that no answer gave is refused",
  async (before) => {
    const answered = await page(await newPerson(), `?before=${before}`);
    expect([answered.status, await answered.json()]).toMatchObject([400, { error: { code: "bad-request" } }]);
  },
);

test("[RQ3] the waiting device hears that the owner looks at its request, and again when its page comes back", async () => {
  const world = await newGateway();
  const waiting = await askOwner(world);
  expect(await waiting.next("waiting")).toMatchObject({ ownerSeen: false });
  const url = `${config.approveOrigin}/api/decisions/${world.gateway}/requests/${waiting.request}`;
  const stranger = await newPerson();
  expect((await ask(url, { cookie: await stranger.cookie("approve") })).status).toBe(404);
  const cookie = await world.person.cookie("approve");
  expect((await ask(url, { cookie })).status).toBe(200);
  expect((await ask(url, { cookie })).status).toBe(200);
  expect(await waiting.next("waiting")).toMatchObject({ request: waiting.request, matchCode: waiting.digits, ownerSeen: true });
  const again = await askOwner(world, waiting.device);
  expect(await again.next("waiting")).toMatchObject({ request: waiting.request, ownerSeen: true });
});

test("a passkey is renamed by its own account only", async () => {
  const [person, other] = [await newPerson(), await newPerson()];
  const { credentialId } = person.authenticator.ownerKey;
  const rename = async (who: Person, name: string): Promise<number> =>
    (
      await ask(`${config.approveOrigin}/api/auth/passkeys/${credentialId}`, {
        method: "PATCH",
        cookie: await who.cookie("approve"),
        body: { name },
      })
    ).status;
  const names = async (): Promise<string[]> => {
    const answered = await ask(`${config.approveOrigin}/api/auth/me`, { cookie: await person.cookie("approve") });
    const me: { passkeys: { name: string }[] } = await answered.json();
    return me.passkeys.map((each) => each.name);
  };
  expect(await rename(other, "Stolen")).toBe(404);
  expect(await rename(person, "")).toBe(400);
  expect(await names()).toEqual(["First passkey"]);
  expect(await rename(person, "Laptop")).toBe(200);
  expect(await names()).toEqual(["Laptop"]);
});
