import fc from "fast-check";
import { expect, test } from "vitest";
import { isPublicAddress, visitorAddress } from "../../../src/core/http/client-ip.ts";
import { cutReason, decodeClose, encodeClose, sendableClose } from "../../../src/core/link/close-code.ts";
import { ReceiveCredit, SendCredit } from "../../../src/core/link/stream-credit.ts";
import { INITIAL_CREDIT_BYTES, PROBE_COUNT_LOST, WAKE_CREDIT_BYTES } from "../../../src/protocol/limits.ts";

test("[CR1] a stream starts with a full window and waits when it is spent", () => {
  const credit = new SendCredit();
  expect(credit.spend(INITIAL_CREDIT_BYTES)).toBe(true);
  expect(credit.spend(1)).toBe(false);
  credit.grant(1);
  expect(credit.spend(1)).toBe(true);
});

test("[CR4] out of credit: probe at once, then every second, and give up after ten", () => {
  const credit = new SendCredit();
  expect(credit.blocked(0)).toBe("probe");
  expect(credit.blocked(999)).toBe("wait");
  expect(credit.blocked(1_000)).toBe("probe");
  expect(credit.blocked(9_999)).not.toBe("stalled");
  expect(credit.blocked(10_000)).toBe("stalled");
  credit.grant(1);
  expect(credit.blocked(20_000)).toBe("probe");
});

test("[CR6] a receiver takes nothing when two seconds brought no byte of credit; CREDIT 0 is none, and any byte begins them anew", () => {
  const credit = new SendCredit();
  expect(credit.isStill(5_000)).toBe(false);
  credit.blocked(0);
  credit.grant(0);
  expect(credit.isStill(1_999)).toBe(false);
  expect(credit.isStill(2_000)).toBe(true);
  credit.grant(1);
  expect(credit.isStill(2_000)).toBe(false);
  credit.blocked(2_000);
  expect(credit.isStill(3_999)).toBe(false);
  expect(credit.isStill(4_000)).toBe(true);
});

test("[CR2] more than a window and the second one of a woken sender is refused", () => {
  const receive = new ReceiveCredit();
  expect(receive.receive(2 * INITIAL_CREDIT_BYTES)).toBe(true);
  expect(receive.receive(1)).toBe(false);
});

test("[CR3] grants come in steps; [CR4] a probe brings the rest", () => {
  const receive = new ReceiveCredit();
  expect(receive.consume(65_535)).toBe(0);
  expect(receive.consume(1)).toBe(65_536);
  receive.consume(10);
  expect(receive.answerProbe(0)).toBe(10);
  expect(receive.answerProbe(0)).toBe(0);
});

test("[CR3] credit goes along with frames that leave anyway; then a grant of its own waits for half a window, once", () => {
  const receive = new ReceiveCredit();
  receive.consume(16_383);
  expect(receive.goAlong()).toBe(0);
  receive.consume(1);
  expect(receive.goAlong()).toBe(16_384);
  expect(receive.consume(131_071)).toBe(0);
  expect(receive.consume(1)).toBe(131_072);
  expect(receive.consume(65_536)).toBe(65_536);
});

test("[CR1] [CR2] [CR3] however grants travel, a sender with a window never waits for ever and never gets more than was consumed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 65_528 }), goesAlong: fc.boolean() }), { maxLength: 200 }),
      (steps) => {
        const sender = new SendCredit();
        const receiver = new ReceiveCredit();
        let sent = 0;
        let granted = 0;
        for (const { bytes, goesAlong } of steps) {
          // All that was sent is consumed: half a window at most is still owed.
          expect(sender.left).toBeGreaterThan(INITIAL_CREDIT_BYTES / 2);
          expect(sender.spend(bytes)).toBe(true);
          sent += bytes;
          expect(receiver.receive(bytes)).toBe(true);
          const grant = receiver.consume(bytes) + (goesAlong ? receiver.goAlong() : 0);
          granted += grant;
          sender.grant(grant);
          expect(granted).toBeLessThanOrEqual(sent);
        }
      },
    ),
  );
});

test("[CR4] [CR5] a full window when either end lost its count, and only once", () => {
  const sender = new SendCredit(true);
  expect(sender.probeValue()).toBe(PROBE_COUNT_LOST);
  expect(sender.probeValue()).toBe(WAKE_CREDIT_BYTES);
  expect(new ReceiveCredit().answerProbe(PROBE_COUNT_LOST)).toBe(INITIAL_CREDIT_BYTES);
  const woken = new ReceiveCredit(true);
  expect(woken.answerProbe(1_000)).toBe(INITIAL_CREDIT_BYTES - 1_000);
  expect(woken.answerProbe(0)).toBe(0);
});

test("[CR4] [FR6] asked twice in vain: a grant of nothing where frames say their place, no answer to an older end", () => {
  const [newer, older] = [new ReceiveCredit(), new ReceiveCredit()];
  expect([newer.creditForProbe(0, true), newer.creditForProbe(0, true)]).toEqual([null, 0]);
  expect([older.creditForProbe(0, false), older.creditForProbe(0, false)]).toEqual([null, null]);
  expect(newer.creditForProbe(0, true, 10)).toBe(10);
  expect(newer.creditForProbe(0, true)).toBe(null);
});

test("[CR2] [CR4] probes that cross grants on the way never let credit grow beyond what was consumed", () => {
  const sender = new SendCredit();
  const receiver = new ReceiveCredit();
  let sent = 0;
  let granted = INITIAL_CREDIT_BYTES;
  for (let round = 0; round < 200; round += 1) {
    while (sender.spend(16_384)) {
      sent += 16_384;
      expect(receiver.receive(16_384)).toBe(true);
    }
    const stale = sender.probeValue();
    const first = receiver.consume(65_536);
    const second = receiver.answerProbe(stale);
    granted += first + second;
    sender.grant(first + second);
    expect(granted).toBeLessThanOrEqual(INITIAL_CREDIT_BYTES + (round + 1) * 65_536);
  }
  expect(sent).toBeLessThanOrEqual(granted);
});

test("[CR5] a woken room may send 64 KiB", () => {
  expect(new SendCredit(true).left).toBe(WAKE_CREDIT_BYTES);
});

test.each([
  [1005, "", 1000, ""],
  [1006, "", 4502, "connection lost"],
  [1015, "tls", 1000, "tls"],
  [1004, "x", 1000, "x"],
  [2999, "x", 1000, "x"],
  [999, "x", 1000, "x"],
  [1008, "pairing required", 1008, "pairing required"],
  [4001, "device removed", 4001, "device removed"],
])("[ST5] close %d %s is sent as %d %s", (code, reason, sentCode, sentReason) => {
  expect(sendableClose(code, reason)).toEqual({ code: sentCode, reason: sentReason });
});

test("[ST5] a reason is cut at 123 bytes, never inside a character, and survives the frame", () => {
  const cut = cutReason("é".repeat(80));
  expect(cut).toBe("é".repeat(61));
  expect(decodeClose(encodeClose(1008, "é".repeat(80)))).toEqual({ code: 1008, reason: cut });
  expect(decodeClose(new Uint8Array(1))).toBe(null);
});

test.each([
  "127.0.0.1",
  "::1",
  "10.0.0.1",
  "192.168.1.1",
  "172.16.0.1",
  "169.254.1.1",
  "100.64.0.1",
  "0.0.0.0",
  "::ffff:127.0.0.1",
  "::",
  "fe80::1",
  "fc00::1",
  "garbage",
  "",
  "1.2.3",
  "1.2.3.4, 5.6.7.8",
  "01.2.3.4",
])("[HD2] %s is no address of a remote visitor", (address) => {
  expect(isPublicAddress(address)).toBe(false);
  expect(isPublicAddress(visitorAddress(address))).toBe(true);
});

test("[HD2] public addresses pass as they are", () => {
  for (const address of ["203.0.113.7", "8.8.8.8", "2606:4700::1111"]) expect(visitorAddress(address)).toBe(address);
  expect(isPublicAddress(visitorAddress(null))).toBe(true);
});
