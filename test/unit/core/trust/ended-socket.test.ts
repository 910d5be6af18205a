/** The frames of a socket whose session has ended. */
import { expect, test } from "vitest";
import { challengeFrame, endedFrame } from "../../../../src/core/trust/ended-socket.ts";

test("[EA3] the challenge comes in the gateway's own form; only a connect is answered, under its own id", () => {
  expect(JSON.parse(challengeFrame("n", 5))).toEqual({ type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 5 } });
  const connect = { type: "req", id: "a", method: "connect", params: {} };
  const answer = JSON.parse(endedFrame(JSON.stringify(connect), "1", "Over.") ?? "null") as { error: { details: object } };
  expect(answer).toMatchObject({ type: "res", id: "a", ok: false, error: { message: "Over.", details: { reloadRequired: true } } });
  // A page loads itself once for each name: the next session's end must have another one.
  const next = JSON.parse(endedFrame(JSON.stringify(connect), "2", "Over.") ?? "null") as { error: { details: object } };
  expect(next.error.details).not.toEqual(answer.error.details);
  const others = [
    "",
    "{",
    "null",
    "[]",
    JSON.stringify({ ...connect, method: "chat.send" }),
    JSON.stringify({ ...connect, id: "x".repeat(200) }),
  ];
  expect(others.map((text) => endedFrame(text, "1", "Over."))).toEqual(others.map(() => null));
});
