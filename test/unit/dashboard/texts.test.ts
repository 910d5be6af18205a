import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { KEY_LOG_ALARMS, keyLogBodySchema } from "../../../src/protocol/key-log.ts";
import { actionText } from "../../../src/dashboard/activity-texts.ts";
import { age, ahead } from "../../../src/dashboard/time-texts.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;

test.each([
  [0, "0 s ago"],
  [-5_000, "0 s ago"],
  [59_000, "59 s ago"],
  [90_000, "2 min ago"],
  [2 * HOUR, "2 h ago"],
] as const)("%i ms ago is %s", (passed, expected) => expect(age(NOW - passed, NOW)).toBe(expected));

test("longer ago than a day is a date", () => expect(age(NOW - 25 * HOUR, NOW)).not.toContain("ago"));

test.each([
  [-1, "in less than a minute"],
  [59_000, "in less than a minute"],
  [119_000, "in 1 min"],
  [HOUR - 1, "in 59 min"],
  [47 * HOUR, "in 47 h"],
  [89.9 * 24 * HOUR, "in 89 days"],
] as const)("%i ms ahead never promises more than is left: %s", (left, expected) => expect(ahead(NOW + left, NOW)).toBe(expected));

test("views hold no sentence of their own: every text is in texts.ts", () => {
  const folder = path.resolve(import.meta.dirname, "../../../src/dashboard");
  const wrong: string[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".tsx"))) {
    const text = readFileSync(path.join(folder, file), "utf8");
    // Text between tags, and labels in attributes.
    for (const match of text.matchAll(
      /^\s*[A-Z][a-z]+ [a-z]+[^=(){};]*$|>\s*[A-Z][a-z]+[\w ,.]*<\/|(?:label|title|text|aria-label)="[A-Z]/gm,
    ))
      if (!/^\s*(?:\/\/|\*|\/\*)/.test(match[0])) wrong.push(`${file}: ${match[0].trim()}`);
  }
  expect(wrong).toEqual([]);
});

test("[ST9] [CR6] a broken connection is told by its leg; one that was ended for too much at once broke nowhere", () => {
  const event = { id: "e", atMs: 1, gateway: null, gatewayName: null, device: null, actor: "device", action: "stream-broken" };
  const told = (why: string): string => actionText({ ...event, detail: { leg: "device-room", why } });
  expect(told("connection lost")).toBe("Connection broke between the device and Gatehouse");
  expect(told("too much at once")).toBe("A device sent too much at once: its connection was ended");
});

test("[FR6] [ST9] bytes that were lost or came twice between room and connector are told by that", () => {
  const event = { id: "e", atMs: 1, gateway: null, gatewayName: null, device: null, actor: "gateway", action: "stream-broken" };
  const told = (why: string): string => actionText({ ...event, detail: { leg: "room-connector", why } });
  expect(told("bytes are missing")).toBe(
    "Connection broke between Gatehouse and the gateway's machine: something that was sent did not arrive, or not in order",
  );
  expect(told("bytes came twice")).toBe(
    "Connection broke between Gatehouse and the gateway's machine: something that was sent arrived twice",
  );
});

test("whatever is recorded has words in the activity", () => {
  const folder = path.resolve(import.meta.dirname, "../../../src/worker");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const actions = new Set<string>();
  for (const file of files) {
    const text = readFileSync(path.join(file.parentPath, file.name), "utf8");
    for (const [, action = ""] of text.matchAll(/\.audit\(\s*[\w."]+,\s*"([a-z-]+)"/g)) actions.add(action);
    for (const [, action = ""] of text.matchAll(/auditAccount\([^"()]+"([a-z-]+)"|\baction: "([a-z-]+)"/g))
      if (action !== "") actions.add(action);
  }
  for (const kind of KEY_LOG_ALARMS) actions.add(`alarm-${kind}`);
  for (const { shape } of keyLogBodySchema.options)
    if (!["grant", "activate", "proposal", "noticed", "cancel", "effect"].includes(shape.type.value))
      actions.add(`log-${shape.type.value}`);
  expect(actions.size).toBeGreaterThan(30);
  const event = { id: "e", atMs: 1, gateway: null, gatewayName: null, device: null, actor: "owner", detail: {} };
  expect([...actions].filter((action) => actionText({ ...event, action }) === action)).toEqual([]);
});
