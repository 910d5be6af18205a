/** What `gatehouse doctor` says about the page that asks for the owner's passkey. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { fetchServed, judgePage, pageHash, servedVersion } from "../../../src/connector/network/approval-page.ts";
import { Dialler } from "../../../src/connector/network/dialler.ts";

const BUILT = pageHash(new TextEncoder().encode("<html>ours</html>"));
const OTHER = pageHash(new TextEncoder().encode("<html>theirs</html>"));
const direct = new Dialler();
const servers: http.Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function serve(answer: http.RequestListener): Promise<number> {
  const server = http.createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("[PG1] the page of the build is fine; any other is a warning that shows both hashes and says what to do", () => {
  const same = judgePage({ built: BUILT, served: BUILT, version: "1.0.0", servedVersion: "1.0.0" });
  expect(same).toEqual({ isSame: true, text: expect.stringContaining(BUILT) });
  const changed = judgePage({ built: BUILT, served: OTHER, version: "1.0.0", servedVersion: "1.0.0" });
  expect(changed.isSame).toBe(false);
  for (const part of [BUILT, OTHER, "Use no passkey there"]) expect(changed.text).toContain(part);
  // Whoever changed the page may hide the version, too: that must not calm anybody.
  expect(judgePage({ built: BUILT, served: OTHER, version: "1.0.0", servedVersion: null }).text).toContain("Use no passkey there");
});

test("[PG1] after an update of the control plane the words say so", () => {
  const { isSame, text } = judgePage({ built: BUILT, served: OTHER, version: "1.0.0", servedVersion: "1.1.0" });
  expect(isSame).toBe(false);
  expect(text).toContain("The control plane runs 1.1.0, this connector 1.0.0");
});

test("[PG1] what cannot be compared is never called the same", () => {
  expect(judgePage({ built: BUILT, served: null, version: "1", servedVersion: null }).isSame).toBe(false);
  expect(judgePage({ built: null, served: OTHER, version: "1", servedVersion: "1" }).isSame).toBe(false);
});

test("a page below localhost is read from this machine, under its own name, byte for byte", async () => {
  const port = await serve((request, response) => response.end(`${request.headers.host ?? ""}\r\n ü`));
  const page = await fetchServed(direct, new URL(`http://approve.localhost:${port}/`));
  expect(new TextDecoder().decode(page ?? new Uint8Array())).toBe(`approve.localhost:${port}\r\n ü`);
});

test("a redirect, an error, an endless page and a silent machine are no page", async () => {
  const redirecting = await serve((_request, response) => response.writeHead(302, { location: "/" }).end());
  const failing = await serve((_request, response) => response.writeHead(500).end("no"));
  const endless = await serve((_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write("x".repeat(65_536)));
      response.once("drain", more);
    };
    more();
  });
  for (const port of [redirecting, failing, endless, 1])
    expect(await fetchServed(direct, new URL(`http://a.localhost:${port}/`))).toBe(null);
});

test("a version is taken over only when it looks like one", async () => {
  const good = await serve((_request, response) => response.end('{"ok":true,"version":"1.2.3"}'));
  const bad = await serve((_request, response) => response.end('{"version":"1.2.3\\u001b[2J"}'));
  expect(await servedVersion(direct, `http://localhost:${good}`)).toBe("1.2.3");
  expect(await servedVersion(direct, `http://localhost:${bad}`)).toBe(null);
});
