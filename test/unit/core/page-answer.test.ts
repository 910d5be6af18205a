/** What the room makes of the header fields of the gateway's answers. */
import { expect, test } from "vitest";
import { pageAnswer } from "../../../src/core/http/page-answer.ts";

const HTML: [string, string] = ["Content-Type", "text/html; charset=utf-8"];
const POLICY = ["cross-origin-opener-policy", "same-origin-allow-popups"];

test("[HD8] a page without an opener policy gets one; what has one, or is no page, stays as it is", () => {
  for (const type of ["text/html", "TEXT/HTML;charset=utf-8", "application/xhtml+xml"])
    expect(pageAnswer([["content-type", type]], "/")).toEqual([["content-type", type], POLICY]);
  expect(pageAnswer([HTML, ["Cross-Origin-Opener-Policy", "same-origin"]], "/")).toEqual([
    ["content-type", HTML[1]],
    ["cross-origin-opener-policy", "same-origin"],
  ]);
  expect(pageAnswer([["content-type", "text/css"]], "/")).toEqual([["content-type", "text/css"]]);
  expect(pageAnswer([], "/")).toEqual([]);
  // Browsers refuse a page that has both.
  expect(pageAnswer([HTML, ["content-security-policy", "sandbox allow-scripts"]], "/")).not.toContainEqual(POLICY);
});

test.each([
  ['"cookies"', null],
  ['"*"', null],
  ['"cache"', '"cache"'],
  ['"storage", "cache","cookies"', '"cache"'],
  ["cache", null],
])("[HD9] Clear-Site-Data %s passes as %s", (value, passed) => {
  const expected = passed === null ? [] : [["clear-site-data", passed]];
  expect(pageAnswer([["Clear-Site-Data", value]], "/")).toEqual(expected);
});

test("[HD10] documents that agents write are sandboxed, in every spelling of their address", () => {
  const sandboxed = (path: string): boolean =>
    pageAnswer([HTML], path).some(([name, value]) => name === "content-security-policy" && value === "sandbox allow-scripts");
  for (const path of [
    "/__openclaw__/canvas/documents/a/index.html",
    "/__openclaw__/cap/x/__openclaw__/canvas/documents/a/index.html?x=1",
    "/__OpenClaw__/%63anvas/x.svg",
    "/__openclaw__/board/w",
  ])
    expect([path, sandboxed(path)]).toEqual([path, true]);
  for (const path of ["/", "/chat", "/__openclaw__/assistant-media", "/canvas/documents/a"])
    expect([path, sandboxed(path)]).toEqual([path, false]);
  const policies = pageAnswer(
    [HTML, ["Content-Security-Policy", "default-src 'none'"], ["Cross-Origin-Opener-Policy", "same-origin"]],
    "/__openclaw__/canvas/a",
  );
  // A second policy adds to the gateway's own. An opener policy would have browsers refuse the document.
  expect(policies.slice(1)).toEqual([
    ["content-security-policy", "default-src 'none'"],
    ["content-security-policy", "sandbox allow-scripts"],
  ]);
});
