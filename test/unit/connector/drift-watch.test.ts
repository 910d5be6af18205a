/** Differences between the machine's log and the gateway's list: named, told once, and only what is named is removed. */
import { beforeEach, expect, test, vi } from "vitest";
import { DriftWatch } from "../../../src/connector/trust/drift-watch.ts";
import type { ToRoom } from "../../../src/protocol/link-messages.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";

const OTHER = { id: "f".repeat(64), name: "Own laptop", platform: "Linux", client: "cli", roles: ["operator"], scopes: ["operator.admin"], approvedVia: "owner", approvedAtMs: 1 } as const; // prettier-ignore

let state: ConnectorState;
let gateway: StubOpenclaw;
let sent: ToRoom[];

beforeEach(async () => {
  state = await ConnectorState.create();
  gateway = new StubOpenclaw(1);
  sent = [];
});

test("[DR1] differences are told at a link and when they change, not again otherwise, and not while the gateway is away", async () => {
  const watch = new DriftWatch({ admitted: state.admitted, gateway, now: () => 1, send: (each) => sent.push(each) });
  await watch.linkUp();
  expect(sent).toEqual([{ type: "drift", atMs: 1, differences: [] }]);
  await watch.compare();
  gateway.isAway = true;
  gateway.list = [OTHER];
  await watch.compare();
  expect(sent).toHaveLength(1);
  gateway.isAway = false;
  for (const listener of gateway.pairing) listener();
  await vi.waitFor(() => expect(sent[1]).toMatchObject({ differences: [{ kind: "local", entry: OTHER.id, name: "Own laptop" }] }));
  await watch.linkUp();
  expect(sent).toHaveLength(3);
  watch.stop();
});

test("[R14] an entry that somebody took out on the gateway has a stale token", async () => {
  const { device } = await state.allow();
  state.admitted.bind(device, OTHER.id);
  gateway.list = [OTHER];
  const watch = new DriftWatch({ admitted: state.admitted, gateway, now: () => 1, send: (each) => sent.push(each) });
  await watch.compare();
  expect(state.admitted.staleTokens.has(OTHER.id)).toBe(false);
  gateway.list = [];
  await watch.compare();
  expect(state.admitted.staleTokens.has(OTHER.id)).toBe(true);
});

test("[DR2] [case 29] the room has only named differences removed: anything else on the gateway is refused and stays", async () => {
  const device = await state.allow();
  const own = { ...OTHER, id: "b".repeat(64), scopes: ["operator.read"] };
  state.admitted.bind(device.device, own.id);
  gateway.list = [OTHER, own];
  const watch = new DriftWatch({ admitted: state.admitted, gateway, now: () => 1, send: (each) => sent.push(each) });
  expect(await watch.remove(OTHER.id)).toBe("no-difference");
  await watch.compare();
  expect(await watch.remove(own.id)).toBe("no-difference");
  expect(gateway.list).toHaveLength(2);
  expect(await watch.remove(OTHER.id)).toBe("done");
  expect(gateway.list).toEqual([own]);
  expect(sent.at(-1)).toMatchObject({ differences: [] });
  // Named a moment ago, ours since: it differs no more, so it stays.
  gateway.list = [own, OTHER];
  await watch.compare();
  state.admitted.bind(device.device, OTHER.id);
  expect(await watch.remove(OTHER.id)).toBe("done");
  expect(gateway.list).toHaveLength(2);
  state.admitted.unbind(device.device, OTHER.id);
  gateway.list = [own];
  await state.admitted.revokeDevice(device.device, "relay");
  await watch.compare();
  expect(sent.at(-1)).toMatchObject({ differences: [{ kind: "left", entry: own.id, device: device.device }] });
  gateway.isAway = true;
  expect(await watch.remove(own.id)).toBe("not-serving");
  gateway.isAway = false;
  expect(await watch.remove(own.id)).toBe("done");
  expect(state.admitted.bound(device.device)).toEqual([]);
});
