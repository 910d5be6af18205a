import { expect, test } from "vitest";
import { readPath, safePath } from "../../../src/dashboard/paths.ts";

const ID = "abcdefghijklmnopqrstuvw";

test.each([
  ["/", { view: "overview" }],
  ["/start", { view: "start" }],
  ["/gateways/new", { view: "add-gateway" }],
  ["/activity", { view: "activity" }],
  ["/activity/", { view: "activity" }],
  ["/account", { view: "account" }],
  [`/gateways/${ID}`, { view: "gateway", gateway: ID }],
  [`/gateways/${ID}/connect`, { view: "connect", gateway: ID }],
])("%s is a view", (path, expected) => expect(readPath(path)).toEqual(expected));

test.each([
  "/gateways",
  "/gateways/short",
  `/gateways/${ID}/x`,
  `/gateways/${ID.toUpperCase()}`,
  "/nothing",
  "//",
  "/toString",
  "/__proto__",
])("%s is not found, never another view", (path) => expect(readPath(path)).toEqual({ view: "not-found" }));

test.each([
  ["/gateways/new", "/gateways/new"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["", "/"],
  [null, "/"],
])("a sign-in leads back to %s only within this origin: %s", (wanted, expected) => expect(safePath(wanted)).toBe(expected));
