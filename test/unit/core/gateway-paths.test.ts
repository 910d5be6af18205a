/** Which paths of a gateway a device may reach: every reading of a path is judged. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { mayReach, pathReadings } from "../../../src/core/http/gateway-paths.ts";
import { ACCESS_LEVELS } from "../../../src/protocol/words.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"];

/** Nobody's, at any access. */
const DENIED = [
  "/tools/invoke", "/v1", "/v1/chat/completions", "/V1/models", "/hooks/x", "/api/v1/admin/rpc", "/sessions/main/kill", "/sessions/a/b/kill", "/.gatehouse/x", "/.gatehouse",
  "/__openclaw__/worker", "/__openclaw__/worker-bundle/x", "/__openclaw__/worker-transfer/x", "/__openclaw__/worker-bootstrap/x", "/node-portal/attach",
  "/desktop/observe", "/beam", "/rpc",
]; // prettier-ignore

function passes(path: string): string[] {
  return METHODS.flatMap((method) => ACCESS_LEVELS.filter((access) => mayReach({ kind: "http", method, path, access })).map((access) => `${method} ${access}`)); // prettier-ignore
}

test.each(DENIED)("[GP2] %s is denied to every method and access", (path) => {
  expect([passes(path), passes(`${path}?a=1`), passes(`${path}#a`)]).toEqual([[], [], []]);
});

test.each(DENIED)("[GP1] %s is denied behind the prefix that OpenClaw cuts off", (path) => {
  for (const prefix of [
    "/__openclaw__/cap/x",
    "/__OpenClaw__/cap/%41",
    "/%5f_openclaw__/cap/x",
    "/__openclaw__/cap/x;y",
    "/__openclaw__/cap/a/__openclaw__/cap/b",
    "/__openclaw__/%63ap/x",
  ])
    // prettier-ignore
    expect([prefix, passes(prefix + path)]).toEqual([prefix, []]);
});

const encoded = (text: string): string => `%${text.charCodeAt(0).toString(16).padStart(2, "0")}`;

test.each(DENIED)("[GP1] %s is denied in every encoding, single and double", (path) => {
  for (let at = 1; at < path.length; at += 1) {
    const [before, after] = [path.slice(0, at), path.slice(at + 1)];
    const once = encoded(path.charAt(at));
    for (const changed of [once, once.replace("%", "%25"), once.replace("%", "%2525")])
      expect([before + changed + after, passes(before + changed + after)]).toEqual([before + changed + after, []]);
  }
});

test("[GP1] parameters of a segment and an encoded question mark hide nothing", () => {
  for (const path of [
    "/v1;x/models",
    "/v1%3bx/models",
    "/;/v1/x",
    "/tools;a/invoke;b",
    "/v1%3Fx",
    "/v1%23x",
    "/v1%253fx",
    "/__openclaw__/cap/x;/v1",
    "/%2fv1/x",
    "/%2f%2fv1",
    "/tools%2f%2finvoke",
    "/__openclaw__%2f%2fcap/x%2f%2fv1",
  ])
    expect([path, passes(path)]).toEqual([path, []]);
});

test.each([
  "//v1/x", "/a//b", "/a/../v1/x", "/./v1", "/a/..", "/%2e%2e/v1", "/a/%2e%2e%2fv1", "/a/%252e%252e/v1", "/a%2f..%2fb", "/a\\b", "/a%5cb", "/a%255cb", "/%00", "/a%0d%0a", "/a%7f",
  "/%zz", "/100%", "/a%2", "/%25252525252561", "relative", "", "/\u{1f600}", "/a b", "/a?b=\u00e4",
])("[GP4] %j is refused: two readers could take it differently", (path) => {
  expect([passes(path), mayReach({ kind: "ws", method: "GET", path, access: "full" })]).toEqual([[], false]);
}); // prettier-ignore

test("[GP1] a percent sign, a semicolon and an encoded slash pass where no reading is denied", () => {
  for (const path of [
    "/100%25",
    "/a;b",
    "/a%3Bb",
    "/__openclaw__/canvas/documents/a%2Fb/index.html",
    "/x%252fy",
    "/__openclaw__/catalog-icon/https%3A%2F%2Fcdn.simpleicons.org%2Flmstudio",
    "/avatar/%C3%A4",
    "/file.name%2etxt",
    "/__openclaw__/workspace-icon",
  ])
    expect([path, mayReach({ kind: "http", method: "GET", path, access: "look" })]).toEqual([path, true]);
});

test("[GP3] only what the stock page sends may change something, and only with full control", () => {
  const writes = [
    ["POST", "/__openclaw__/assistant-media?source=x&meta=1&allow=1"],
    ["POST", "/__openclaw__/mcp-app/view"],
    ["POST", "/plugins/openai/realtime/calls"],
    ["PUT", "/api/channels/nostr/my%20account/profile"],
    ["POST", "/api/channels/nostr/default/profile/import"],
  ] as const;
  for (const [method, path] of writes) {
    const others = METHODS.filter((each) => each !== method && each !== "GET" && each !== "HEAD");
    expect([path, ACCESS_LEVELS.filter((access) => mayReach({ kind: "http", method, path, access }))]).toEqual([path, ["full"]]);
    expect([path, others.filter((each) => mayReach({ kind: "http", method: each, path, access: "full" }))]).toEqual([path, []]);
    // Behind the prefix it is another request than the table's.
    expect(mayReach({ kind: "http", method, path: `/__openclaw__/cap/x${path}`, access: "full" })).toBe(false);
  }
  const rest = ["/", "/api/chat/media", "/hook-of-mine", "/plugins/other/save", "/plugins/openai/realtime/calls/x", "/x/plugins/openai/realtime/calls", "/api/channels/nostr/a%2Fb/profile"]; // prettier-ignore
  for (const path of rest)
    expect([path, METHODS.filter((method) => mayReach({ kind: "http", method, path, access: "full" }))]).toEqual([path, ["GET", "HEAD"]]);
});

test("[GP5] the page's socket passes, other clients' do not", () => {
  const opens = (path: string, method = "GET"): boolean => mayReach({ kind: "ws", method, path, access: "look" });
  expect([opens("/"), opens("/base/"), opens("/", "POST")]).toEqual([true, true, false]);
  for (const path of ["/__openclaw__/anything", "/%5f_openclaw__/anything", "/__openclaw__/cap/x/", "/desktop/observe"])
    expect([path, opens(path)]).toEqual([path, false]);
});

test("[GP1] whatever is sent, a path that passes has no denied reading when it is decoded to the end", () => {
  const piece = fc.oneof(
    fc.constantFrom("/", "v1", "tools", "invoke", "__openclaw__", "cap", "x", ";", "%2f", "%252f", "%25", "%3b", "%76", "%2576", ".", "..", "hooks", "%3f", "\\", "%5c"),
    fc.stringMatching(/^[a-z0-9%]{0,3}$/),
  ); // prettier-ignore
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const path = `/${pieces.join("")}`;
      if (!mayReach({ kind: "http", method: "GET", path, access: "full" })) return;
      let last = path;
      for (let next = ""; next !== last;) {
        next = last;
        last = last.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      }
      last = last.replaceAll(/\/{2,}/g, "/");
      expect(last).not.toMatch(/\\|^\/(?:v1|hooks|tools\/invoke)(?:\/|$)|^\/__openclaw__\/cap\/[^/]+\/(?:v1|hooks|tools\/invoke)(?:\/|$)/);
    }),
    { numRuns: 2_000 },
  );
  expect(pathReadings("/%61b")).toEqual(["/%61b", "/ab"]);
});
