/** Cut now under load: how long a device still gets anything. */
import { Load, closeSockets, openSocket, openSockets, spread } from "../load.ts";
import { LOADED } from "./scenario.ts";
import type { OwnScenario } from "./scenario.ts";
import { ticking } from "./ticking.ts";

export const cut: OwnScenario = {
  name: "cut",
  about: `Cut now on a device that gets a message every millisecond, beside ${LOADED} others under full load: from the owner's request to the last frame that still reached the device, to its close, and to the answer with the receipt`,
  longestMs: 180_000,
  run: async (own, { cuts }, note) => {
    const neighbours = await openSockets(LOADED, LOADED, (socket) => own.target(socket));
    const load = new Load(neighbours, { inFlight: 1, bytes: 128 });
    const [lastFrame, closed, answered, edge]: [number[], number[], number[], number[]] = [[], [], [], []];
    const codes = new Set<number>();
    for (let i = 0; i < cuts; i += 1) {
      const device = await own.admit();
      const socket = await openSocket(own.targetOf(device));
      const lastAt = await ticking(socket);
      const startedAt = performance.now();
      const answer = own.person.cut(own.gateway, device.id).then((receipt) => ({ receipt, atMs: performance.now() }));
      const [{ receipt, atMs }, end] = await Promise.all([answer, socket.closed]);
      lastFrame.push(Math.max(0, lastAt() - startedAt));
      closed.push(end.atMs - startedAt);
      answered.push(atMs - startedAt);
      edge.push(receipt.edge.tookMs);
      codes.add(end.code);
    }
    await load.stop();
    await closeSockets(neighbours);
    note(`closed with ${[...codes].join(", ")}`);
    return {
      cuts,
      ...spread("last frame", lastFrame),
      ...spread("closed", closed),
      ...spread("receipt", answered),
      ...spread("in the room", edge),
    };
  },
};
