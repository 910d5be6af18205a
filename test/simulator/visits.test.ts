/** What the simulator's own ends hear and count, where a run by a seed comes to it by chance only. */
import { expect, test } from "vitest";
import { MAX_QUEUED_PER_STREAM_BYTES } from "../../src/protocol/limits.ts";
import { Endpoint } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { START_MS, Sim, setSim, sim } from "./sim.ts";
import { WsVisit } from "./visits.ts";
import { WorkerSocket } from "./worker-socket.ts";

const A_SECOND_MS = 1_000;

function pair(): [Endpoint, Endpoint] {
  setSim(new Sim(1, false));
  return Endpoint.pair("room", sim.scheduler.world, sim.scheduler.world, 1);
}

const aSecondLater = (): Promise<void> => sim.scheduler.run(sim.scheduler.nowMs + A_SECOND_MS, () => false);

test("[ST6] a browser's connection that is lost before the answer to its upgrade arrives ends at the browser", async () => {
  const [client] = pair();
  client.pause();
  client.lost(1006);
  const visit = new WsVisit(1, "device", "session");
  visit.isLegBroken = true;
  visit.attachBrowser(client);
  await aSecondLater();
  expect(visit.browserEnd).toMatchObject({ code: 1006, wasClean: false });
  expect(visit.isOpen).toBe(false);
  expect(sim.violations).toEqual([]);
});

test("[ST6] a browser's connection that holds is open, and its end is told once", async () => {
  const [client, server] = pair();
  const visit = new WsVisit(1, "device", "session");
  let ends = 0;
  visit.onBrowserEnd = () => (ends += 1);
  visit.attachBrowser(client);
  await aSecondLater();
  expect(visit.isOpen).toBe(true);
  server.close(1000, "done");
  await aSecondLater();
  expect(visit.browserEnd).toMatchObject({ code: 1000, wasClean: true });
  expect(ends).toBe(1);
});

function streamSocket(): WorkerSocket {
  const [, server] = pair();
  const socket = new WorkerSocket(server);
  socket.tags = ["stream"];
  socket.serializeAttachment({ stream: 1, device: "device", expiresAtMs: START_MS + A_SECOND_MS });
  return socket;
}

const LARGE = new Uint8Array(MAX_QUEUED_PER_STREAM_BYTES);

test("[CR6] the checker counts what an open stream's browser sends and the room does not pass on", () => {
  const socket = streamSocket();
  const oracle = new Oracle();
  for (let i = 0; i < 3; i += 1) oracle.roomReceives(socket, LARGE);
  oracle.checkMemory();
  expect(sim.violations.map(({ rule }) => rule)).toEqual(["CR6"]);
});

test("[CR6] the checker counts nothing of what was on its way when the room closed the stream", () => {
  const socket = streamSocket();
  const oracle = new Oracle();
  oracle.roomReceives(socket, LARGE);
  oracle.roomCloses(socket, 4413, "over");
  socket.close(4413, "over");
  for (let i = 0; i < 3; i += 1) oracle.roomReceives(socket, LARGE);
  oracle.checkMemory();
  expect(sim.violations).toEqual([]);
});

test("[CR6] the checker knows whether a stream that was ended for too much at once held too much", () => {
  const oracle = new Oracle();
  for (const messages of [3, 1]) {
    expect(sim.violations).toEqual([]);
    const socket = streamSocket();
    for (let i = 0; i < messages; i += 1) oracle.roomReceives(socket, LARGE);
    oracle.roomCloses(socket, 4413, "device-room: too much at once");
  }
  expect(sim.violations.map(({ rule }) => rule)).toEqual(["CR6"]);
});
