import { expect, test } from "vitest";
import { differenceMark, findDrift } from "../../../src/core/trust/drift.ts";
import type { BoundDevice, PairedEntry } from "../../../src/core/trust/drift.ts";
import { differencesSchema } from "../../../src/protocol/drift.ts";
import { ACCESS_SCOPES } from "../../../src/protocol/words.ts";
import { readPaired } from "../../../src/connector/openclaw/paired-list.ts";

function id(letter: string): string {
  return letter.repeat(64);
}

function entry(letter: string, changes: Partial<PairedEntry> = {}): PairedEntry {
  return {
    id: id(letter),
    name: `Device ${letter}`,
    platform: "Linux",
    client: "openclaw-control-ui",
    roles: ["operator"],
    scopes: [...ACCESS_SCOPES.full],
    approvedVia: "owner",
    approvedAtMs: 1,
    ...changes,
  };
}

function bound(device: string, entries: readonly string[], isAllowed = true): BoundDevice {
  return { device: device.repeat(26), entries: entries.map(id), isAllowed };
}

const kinds = (paired: readonly PairedEntry[], devices: readonly BoundDevice[]): string[] =>
  findDrift(paired, devices).map((each) => `${each.kind} ${each.entry.slice(0, 1)}`);

test("[DR1] what Gatehouse approved and nothing else: no difference, also for a device that may only look, or pairs with a second key", () => {
  const paired = [entry("a"), entry("b", { scopes: ["operator.read", "operator.talk.secrets"] }), entry("c")];
  expect(findDrift(paired, [bound("x", ["a"]), bound("y", ["b"]), bound("z", ["c", "d"])])).toEqual([]);
});

test.each<[string, PairedEntry, readonly BoundDevice[], string]>([
  ["paired on the gateway itself", entry("a"), [], "local a"],
  ["let in without asking", entry("a", { approvedVia: "silent" }), [], "auto a"],
  ["let in without asking, although it is one of ours", entry("a", { approvedVia: "trusted-cidr" }), [bound("x", ["a"])], "auto a"],
  ["another role", entry("a", { roles: ["operator", "node"] }), [bound("x", ["a"])], "wider a"],
  ["a scope that is never approved", entry("a", { scopes: ["operator.root"] }), [bound("x", ["a"])], "wider a"],
  ["cut or expired here, still there", entry("a"), [bound("x", ["a"], false)], "left a"],
])("[DR1] %s", (_what, paired, devices, expected) => {
  expect(kinds([paired], devices)).toEqual([expected]);
});

test("[DR1] an allowed device whose only entry somebody removed; not one that may not come any more", () => {
  expect(kinds([], [bound("x", ["a"]), bound("y", ["b"], false)])).toEqual(["removed a"]);
  expect(findDrift([], [bound("x", ["a"])])[0]?.device).toBe("x".repeat(26));
});

test("[DR1] an entry that belongs to an ended and to an allowed device stays the allowed one's, in either order", () => {
  const both = [bound("x", ["a"], false), bound("y", ["a"], true)];
  expect(kinds([entry("a")], both)).toEqual([]);
  expect(kinds([entry("a")], both.toReversed())).toEqual([]);
});

test("[DR1] worst first and never more than a report holds; names lose what would disturb a page", () => {
  const many = Array.from({ length: 70 }, (_, i) => entry("a", { id: i.toString(16).padStart(64, "0") }));
  const found = findDrift([...many, entry("f", { approvedVia: "silent", name: `evil\u202e\n${"x".repeat(200)}` })], []);
  expect([found.length, found[0]?.kind, found[0]?.name.length]).toEqual([50, "auto", 80]);
  expect(found[0]?.name.startsWith("evil  x")).toBe(true);
  expect(differencesSchema.safeParse(found).success).toBe(true);
});

test("[DR1] ids that are none of OpenClaw's are passed over", () => {
  expect(findDrift([entry("a", { id: "not an id" })], [{ device: "x".repeat(26), entries: ["other"], isAllowed: true }])).toEqual([]);
});

test("[DR3] the mark of a difference changes with what it may do and how it came in, and with nothing else", () => {
  const [first] = findDrift([entry("a")], []);
  const mark = (changes: Partial<PairedEntry>): string =>
    findDrift([entry("a", changes)], [])
      .map(differenceMark)
      .join("");
  if (first === undefined) throw new Error("no difference");
  expect(mark({ name: "Renamed", platform: "Other", scopes: ACCESS_SCOPES.full.toReversed() })).toBe(differenceMark(first));
  for (const changes of [{ scopes: ["operator.admin"] }, { roles: ["operator", "node"] }, { approvedVia: "silent" }])
    expect(mark(changes)).not.toBe(differenceMark(first));
});

test("the gateway's list is read for what it says: label before name, tokens count, unknown members and shapes do not disturb", () => {
  const paired = [
    { deviceId: "a", displayName: "Own", operatorLabel: "Label", role: "operator", scopes: ["operator.read"], tokens: [{ role: "node", scopes: ["node.x"], more: 1 }], approvedVia: "owner", approvedAtMs: 5, extra: {} }, // prettier-ignore
    { deviceId: "b", displayName: 7, roles: "odd", scopes: null, approvedAtMs: "x" },
  ];
  expect(readPaired({ pending: [], paired })).toEqual([
    { id: "a", name: "Label", platform: "", client: "", roles: ["operator", "node"], scopes: ["operator.read", "node.x"], approvedVia: "owner", approvedAtMs: 5 }, // prettier-ignore
    { id: "b", name: "", platform: "", client: "", roles: [], scopes: [], approvedVia: "", approvedAtMs: null },
  ]);
  expect(() => readPaired({})).toThrow();
});
