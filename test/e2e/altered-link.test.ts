/** Real processes, and a link that loses or doubles a message: workerd, the built connector, and a proxy between them that knows messages (PROTOCOL.md FR6). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultWorld, flowing, until } from "../support/fault-world.ts";
import { violations } from "../support/history.ts";
import { MessageFault } from "../support/message-fault.ts";

const STREAMS = 6;

let world: FaultWorld;
/** By lane of the newest link. */
let faults: { readonly up: MessageFault; readonly down: MessageFault };

beforeAll(async () => {
  world = await FaultWorld.start();
  world.linkProxy.onConnection = ({ up, down }) => {
    faults = { up: new MessageFault(up), down: new MessageFault(down) };
  };
  // The faults must see a link from its first byte on.
  const ups = world.linkUps();
  world.link().reset();
  await until(() => world.linkUps() > ups);
  await world.healthy();
});

afterAll(() => world?.stop());

test.each([
  ["up", "is lost", "bytes are missing"],
  ["down", "is lost", "bytes are missing"],
  ["up", "comes twice", "bytes came twice"],
  ["down", "comes twice", "bytes came twice"],
] as const)(
  "[FR6] [ST6] [ST9] [case 31] a frame of data on its way %s %s: its stream ends at both ends by that name, at a prefix, and the others go on",
  async (lane, what, said) => {
    const history = world.newHistory();
    const streams = await world.talking(STREAMS);
    const ups = world.linkUps();
    faults[lane].next = what;
    await until(() => streams.some((stream) => stream.isOver));
    const others = streams.filter((stream) => !stream.isOver);
    expect(others).toHaveLength(STREAMS - 1);
    await flowing(others);
    expect(history.endings.map(({ code, reason }) => `${code} ${reason}`)).toEqual(Array(2).fill(`4502 room-connector: ${said}`));
    for (const stream of others) stream.rest();
    await until(() => others.every((stream) => stream.isWhole));
    for (const { device } of others) device.close(1000, "done");
    await until(() => streams.every((stream) => stream.isOver));
    expect(violations(history, streams.map(({ name }) => name), [])).toEqual([]); // prettier-ignore
    expect(world.linkUps()).toBe(ups);
  },
);
