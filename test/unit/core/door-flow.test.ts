/** Rules of the door's decisions. */
import { expect, test } from "vitest";
import { doorStep, isAdmittedAnew, lookAgainMs, pathToOpen } from "../../../src/core/http/door-flow.ts";

const STRANGER = { hasCode: false, isOwnerLink: false };
const connector = { nonce: "n".repeat(43), key: "k".repeat(43) };
const grant = { id: "g".repeat(26), access: "full", notAfterMs: 1 } as const;

test("only an allowed device with a gateway at hand opens at once", () => {
  expect(doorStep({ standing: "allowed", connector, grant }, STRANGER)).toBe("open");
  expect(doorStep({ standing: "allowed", connector: null, grant }, STRANGER)).toBe("wait-for-gateway");
  expect(doorStep({ standing: "allowed", connector, grant: null }, STRANGER)).toBe("wait-for-gateway");
  expect(doorStep({ standing: "decided", connector, grant }, STRANGER)).toBe("wait-for-gateway");
});

test("a blocked device is offered nothing, not even through an owner's link", () => {
  for (const hasCode of [true, false])
    for (const isOwnerLink of [true, false])
      expect(doorStep({ standing: "blocked", connector, grant }, { hasCode, isOwnerLink })).toBe("blocked");
});

test("an unknown device chooses, unless it came by an owner's link; a code that nothing waits for is said to be lost", () => {
  const unknown = { standing: "unknown", connector, grant: null } as const;
  expect(doorStep(unknown, STRANGER)).toBe("offer");
  expect(doorStep(unknown, { hasCode: false, isOwnerLink: true })).toBe("owner-trip");
  expect(doorStep(unknown, { hasCode: true, isOwnerLink: true })).toBe("code-lost");
});

test("[TK3] a device whose grant was just refused asks anew instead of opening with the same grant again", () => {
  expect(isAdmittedAnew({ standing: "allowed", grant }, null)).toBe(true);
  expect(isAdmittedAnew({ standing: "allowed", grant }, grant.id)).toBe(false);
  expect(isAdmittedAnew({ standing: "allowed", grant: { ...grant, id: "h".repeat(26) } }, grant.id)).toBe(true);
  expect(isAdmittedAnew({ standing: "decided", grant }, null)).toBe(false);
  expect(isAdmittedAnew({ standing: "allowed", grant: null }, null)).toBe(false);
});

test("looks at a gateway that is away grow rarer, and never rarer than every 20 s", () => {
  const waits = Array.from({ length: 12 }, (_, looks) => lookAgainMs(looks));
  expect(waits[0]).toBe(3_000);
  expect(waits[1]).toBe(4_500);
  expect(waits.at(-1)).toBe(20_000);
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(lookAgainMs(100_000)).toBe(20_000);
});

test.each([
  ["/chat?x=1#part", "/chat?x=1#part"],
  ["/", "/"],
  [null, "/"],
  ["", "/"],
  ["//evil.example/", "/"],
  ["/\\evil.example/", "/"],
  ["https://evil.example/", "/"],
  ["javascript:alert(1)", "/"],
])("after opening, %s leads to %s: never off this origin", (wanted, opened) => {
  expect(pathToOpen(wanted)).toBe(opened);
});
