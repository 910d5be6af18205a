/** From the connector's yes to a session, as the waiting page goes: with what the room sent along, without asking again. */
import { expect, test } from "vitest";
import { deviceId, keyThumbprint } from "../../src/core/trust/digests.ts";
import type { ChallengeResponse } from "../../src/protocol/door-messages.ts";
import type { LinkResult } from "../../src/protocol/link-messages.ts";
import { askOwner, grantFor, newGateway, sendSession } from "./world.ts";
import type { WaitingDevice } from "./world.ts";

/** One device with two waiting pages; its owner allows it, and the connector answers as given. */
async function allowed(answer: Omit<LinkResult, "type" | "id" | "ok">, state: "online" | "offline" = "online") {
  const world = await newGateway();
  const connector = await world.connect({ answer: false, state });
  const page = await askOwner(world);
  const other = await askOwner(world, page.device);
  const grant = await grantFor(world, page);
  const done = world.room.allow({ account: world.person.id, request: page.request, code: page.digits, signed: grant.signed });
  connector.send({ type: "result", id: (await connector.next("grant")).id, ok: true, ...answer });
  await done;
  return { world, connector, pages: [page, other], grant };
}

async function told(page: WaitingDevice | undefined): Promise<Record<string, unknown>> {
  expect(await page?.next("allowed")).toEqual({ type: "allowed", live: false });
  return (await page?.next("allowed")) ?? {};
}

const FIRST = { nonce: "N".repeat(43), connectorKey: "K".repeat(43) };

test("[SE1] a nonce that came with the connector's yes goes to one waiting page, which opens its session with it and asks nobody", async () => {
  const { world, connector, pages, grant } = await allowed({ first: FIRST });
  const answers = await Promise.all(pages.map(told));
  const [mine, ...more] = answers.filter((each) => "opening" in each);
  expect(more).toEqual([]);
  expect(answers.find((each) => each !== mine)).toEqual({ type: "allowed", live: true });
  const opening = mine?.["opening"] as ChallengeResponse;
  const device = pages[0]?.device;
  const id = await deviceId(world.gateway, device?.key ?? { kty: "OKP", crv: "Ed25519", x: "" });
  expect(opening).toMatchObject({
    standing: "allowed",
    device: id,
    grant: { id: grant.id },
    connector: { nonce: FIRST.nonce, key: FIRST.connectorKey },
  });
  const signed = await device?.session({
    gateway: world.gateway,
    device: id,
    grant: grant.id,
    origin: world.origin,
    roomNonce: opening.roomNonce,
    connectorNonce: FIRST.nonce,
    connectorKey: await keyThumbprint(world.key),
    iatMs: opening.serverTimeMs,
    expMs: opening.serverTimeMs + 60_000,
  });
  const opened = sendSession(world, { signed });
  const session = await connector.next("session");
  connector.send({ type: "result", id: session.id, ok: true });
  const { status, token } = await opened;
  expect(status).toBe(200);
  // Once, as every nonce.
  expect((await sendSession(world, { signed }, token)).code).toBe("bad-request");
});

test("[SE1] a connector that sends no nonce along: every page asks for one", async () => {
  const { pages } = await allowed({});
  expect(await Promise.all(pages.map(told))).toEqual(pages.map(() => ({ type: "allowed", live: true })));
});

test("[SE1] while the gateway is not served the page gets no nonce of its connector", async () => {
  const { pages } = await allowed({ first: FIRST }, "offline");
  const opening = (await Promise.all(pages.map(told))).find((each) => "opening" in each)?.["opening"];
  expect(opening).toMatchObject({ standing: "allowed", gatewayState: "offline", connector: null });
});
