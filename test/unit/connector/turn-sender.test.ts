/** What leaves at once, what leaves together, and that nothing waits for ever. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { TurnSender } from "../../../src/connector/streams/uplink.ts";
import type { LinkMark } from "../../../src/core/link/link-window.ts";
import { ReceiveCredit } from "../../../src/core/link/stream-credit.ts";
import {
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_PROBE,
  batchError,
  decodeFrame,
  decodeU32,
  encodeU32,
  framesOf,
  isBatch,
} from "../../../src/protocol/frame.ts";
import type { Frame } from "../../../src/protocol/frame.ts";
import { CREDIT_ALONG_BYTES, MAX_FRAME_PAYLOAD_BYTES } from "../../../src/protocol/limits.ts";

/** A link's socket that takes messages when the test says so. */
function world(isBatching = true) {
  const messages: Frame[][] = [];
  const takes: (() => void)[] = [];
  const unsent: number[] = [];
  const marks: LinkMark[] = [];
  const sender = new TurnSender({
    transmit: (message, sent) => {
      const bytes = new Uint8Array(message);
      if (isBatch(bytes)) expect(batchError(bytes)).toBe(null);
      const frame = isBatch(bytes) ? [...framesOf(bytes)] : [decodeFrame(bytes) as Frame];
      messages.push(frame);
      takes.push(sent);
      unsent.push(message.byteLength);
    },
    unsentBytes: () => unsent.reduce((sum, bytes) => sum + bytes, 0),
    beat: () => marks.push(sender.mark()),
  });
  sender.isBatching = isBatching;
  const data = (streamId: number, bytes = 1): void =>
    sender.sendData(streamId, [{ payload: new Uint8Array(bytes), flags: 0 }], new ReceiveCredit());
  const streams = (): number[][] => messages.map((frames) => frames.map(({ streamId }) => streamId));
  const take = (): void => {
    unsent.length = 0;
    for (const sent of takes.splice(0)) sent();
  };
  /** The oldest heartbeat is answered, or one that stood before all data. */
  const answer = (ms: number): void => sender.answered(marks.shift() ?? { upTo: 0, aheadBytes: 0 }, ms);
  return { sender, messages, data, streams, take, marks, answer };
}

test("[FR5] the first frame of a turn leaves at once, those that follow in it leave together when it ends", async () => {
  const { data, streams, take } = world();
  data(1);
  expect(streams()).toEqual([[1]]);
  take();
  data(2);
  data(3);
  expect(streams()).toEqual([[1]]);
  await nextTurn();
  expect(streams()).toEqual([[1], [2, 3]]);
  take();
  await nextTurn();
  data(4);
  expect(streams()).toEqual([[1], [2, 3], [4]]);
});

test("[FR5] while the system has not taken what was sent, frames of any turn wait for it, in order; then they leave", async () => {
  const { data, streams, take } = world();
  data(1);
  for (const stream of [2, 3, 4]) {
    await nextTurn();
    data(stream);
  }
  await nextTurn();
  expect(streams()).toEqual([[1]]);
  take();
  expect(streams()).toEqual([[1], [2, 3, 4]]);
});

test("[FR5] what is as large as a frame may be does not wait for more", () => {
  const { data, streams } = world();
  data(1);
  data(2, MAX_FRAME_PAYLOAD_BYTES);
  expect(streams()).toEqual([[1], [2]]);
});

test("[FR5] [CR4] what is sent together leaves in as few messages as hold it, although each would leave alone: two frames and the probe behind them", () => {
  const { sender, messages, data } = world();
  sender.together(() => {
    data(1, MAX_FRAME_PAYLOAD_BYTES);
    sender.together(() => data(1, MAX_FRAME_PAYLOAD_BYTES));
    sender.send(FRAME_PROBE, 0, 1, encodeU32(0));
    expect(messages).toEqual([]);
  });
  expect(messages.map((frames) => frames.map(({ type }) => type))).toEqual([[FRAME_DATA, FRAME_DATA, FRAME_PROBE]]);
});

test("[FR5] something that fails while it sends keeps nobody's frames back", () => {
  const { sender, data, streams } = world();
  const failing = (): void =>
    sender.together(() => {
      data(1);
      throw new Error("refused");
    });
  expect(failing).toThrow("refused");
  expect(streams()).toEqual([[1]]);
  data(2, MAX_FRAME_PAYLOAD_BYTES);
  expect(streams()).toEqual([[1], [2]]);
});

test("[FR5] to a room that does not know it, each frame is a message of its own and leaves at once", () => {
  const { data, streams } = world(false);
  for (const stream of [1, 2, 3]) data(stream);
  expect(streams()).toEqual([[1], [2], [3]]);
});

test("[CR3] credit of the direction back goes along in the same message, to a room that reads it", () => {
  for (const isBatching of [true, false]) {
    const { sender, messages } = world(isBatching);
    const back = new ReceiveCredit();
    back.consume(CREDIT_ALONG_BYTES);
    sender.sendData(5, [{ payload: new Uint8Array(3), flags: 0 }], back);
    const [first = []] = messages;
    expect(first.map(({ type }) => type)).toEqual(isBatching ? [FRAME_CREDIT, FRAME_DATA] : [FRAME_DATA]);
    if (isBatching) expect(decodeU32((first[0] as Frame).payload)).toBe(CREDIT_ALONG_BYTES);
  }
});

test("[CR10] whoever comes while others wait for their turn waits behind them; turns are taken in order while the line has room", () => {
  const { sender, answer, marks, data } = world();
  data(1);
  const taken: number[] = [];
  const turns = [1, 2].map((id) => (): unknown => taken.push(id));
  expect(sender.freeBytes).toBeGreaterThan(0);
  for (const turn of turns) sender.waitForTurn(turn);
  expect(sender.freeBytes).toBe(0);
  expect(marks).toHaveLength(1);
  answer(1);
  expect([taken, sender.freeBytes > 0]).toEqual([[1, 2], true]);
});

test("[CR10] a line that has room, behind a socket that the system does not empty: turns go on when it has", () => {
  const { sender, answer, marks, data, take } = world();
  for (let sent = 0; sent < 3; sent += 1) data(1, MAX_FRAME_PAYLOAD_BYTES);
  while (marks.length > 0) answer(1);
  expect(sender.freeBytes).toBe(0);
  const taken: number[] = [];
  sender.waitForTurn(() => taken.push(1));
  answer(1);
  expect(taken).toEqual([]);
  take();
  expect(taken).toEqual([1]);
});

test("[ST6] nothing of a link that is gone leaves on the next one", async () => {
  const { sender, data, streams, take } = world();
  data(1);
  data(2);
  sender.reset();
  take();
  await nextTurn();
  expect(streams()).toEqual([[1]]);
  data(3);
  expect(streams()).toEqual([[1], [3]]);
});
