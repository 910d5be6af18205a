/** The one way to the control plane: proxies, TLS, and causes that people can act on. */
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { afterEach, expect, test } from "vitest";
import { Dialler, jsonOf } from "../../../src/connector/network/dialler.ts";
import { Link } from "../../../src/connector/link/link.ts";
import type { LinkStatus } from "../../../src/connector/link/link.ts";
import { ProxyAddressError, proxyFor, readProxySettings } from "../../../src/connector/network/outbound-proxy.ts";
import { strangeAnswer } from "../../../src/connector/network/strange-answer.ts";
import { Arrivals } from "../../support/arrivals.ts";
import { startConnectProxy } from "../../support/connect-proxy.ts";
import type { ConnectProxy } from "../../support/connect-proxy.ts";
import { ConnectorState } from "../../support/connector-state.ts";
import { StubOpenclaw } from "../../support/local-gateway.ts";
import { PlayedRoom } from "../../support/played-room.ts";
import { RELAY_CERTIFICATE, RELAY_KEY } from "../../support/relay-certificate.ts";

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function listening(server: http.Server | https.Server): Promise<number> {
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function proxyTo(port: number, login: string | null = null): Promise<ConnectProxy> {
  const proxy = await startConnectProxy(port, login);
  ends.push(() => proxy.stop());
  return proxy;
}

function through(proxy: string): Dialler {
  return new Dialler(readProxySettings({ HTTPS_PROXY: proxy, HTTP_PROXY: proxy }, undefined));
}

/** A link of a machine whose control plane is at this address. */
async function linkTo(appOrigin: string, dialler: Dialler) {
  const { files, identity, admitted, log } = await ConnectorState.create(appOrigin);
  const statuses = new Arrivals<LinkStatus>();
  const link = new Link({
    files,
    identity,
    admitted,
    log,
    gateway: new StubOpenclaw(1),
    version: "1",
    dialler,
    now: () => Date.now(),
    onStatus: (status) => {
      if (status.state !== "dialing") statuses.put(status);
    },
    onAlarm: () => undefined,
  });
  ends.push(async () => link.stop());
  link.start();
  return { link, statuses };
}

async function whyOf(statuses: Arrivals<LinkStatus>): Promise<string> {
  const status = await statuses.next();
  return status.state === "waiting" ? status.why : status.state;
}

test.each([
  ["https://app.example", {}, undefined, "none"],
  ["https://app.example", { HTTPS_PROXY: "http://p:3128" }, undefined, "http://p:3128/"],
  ["wss://app.example/link/x", { https_proxy: "p:3128", HTTPS_PROXY: "http://other" }, undefined, "http://p:3128/"],
  ["http://app.example", { HTTPS_PROXY: "http://p:3128" }, undefined, "none"],
  ["http://app.example", { HTTP_PROXY: "http://p:3128" }, undefined, "http://p:3128/"],
  ["https://app.example", { ALL_PROXY: "http://p:3128" }, undefined, "http://p:3128/"],
  ["https://app.example", { HTTPS_PROXY: "" }, undefined, "none"],
  ["https://app.example", { HTTPS_PROXY: "http://p:3128" }, "https://q", "https://q/"],
  ["https://app.example", { NO_PROXY: "example" }, "http://q", "no-proxy"],
  ["https://app.example", { NO_PROXY: ".app.example, b" }, "http://q", "no-proxy"],
  ["https://app.example", { NO_PROXY: "app.example:443" }, "http://q", "no-proxy"],
  ["https://app.example", { NO_PROXY: "app.example:8443" }, "http://q", "http://q/"],
  ["https://app.example", { NO_PROXY: "pp.example" }, "http://q", "http://q/"],
  ["https://app.example", { no_proxy: "*" }, "http://q", "no-proxy"],
  ["https://[2001:db8::1]", { NO_PROXY: "2001:db8::1" }, "http://q", "no-proxy"],
  ["http://127.0.0.1:18789", {}, "http://q", "loopback"],
  ["http://[::1]:18789", {}, "http://q", "loopback"],
  ["https://approve.localhost", {}, "http://q", "loopback"],
] as const)("[MA1] [MA2] %s with %o and --proxy %s goes by %s", (target, env, named, expected) => {
  const { proxy, why } = proxyFor(readProxySettings(env, named), new URL(target));
  expect(proxy?.href ?? why).toBe(expected);
});

test("[MA1] an address that is no HTTP proxy is refused by name", () => {
  expect(() => readProxySettings({ HTTPS_PROXY: "socks5://p:1" }, undefined)).toThrow(ProxyAddressError);
  expect(() => readProxySettings({}, "socks5://name:secret@p:1")).toThrow(/^--proxy names a socks5 proxy/);
});

test.each([null, "ada:p@ss word"])("[MA1] request and link cross a CONNECT proxy with the login %s", async (login) => {
  const room = await PlayedRoom.start();
  ends.push(() => room.stop());
  const port = Number(new URL(room.origin).port);
  const proxy = await proxyTo(port, login);
  const url = new URL(proxy.url);
  if (login !== null) [url.username, url.password] = ["ada", encodeURIComponent("p@ss word")];
  // This name resolves nowhere: the proxy is the only way.
  const { link, statuses } = await linkTo("http://relay.invalid:8080", through(url.href));
  expect((await statuses.next()).state).toBe("up");
  expect(link.isUp).toBe(true);
  expect(proxy.asked).toEqual(["relay.invalid:8080"]);
});

test("[MA1] TLS is spoken with the target, inside the tunnel", async () => {
  const port = await listening(
    https.createServer({ key: RELAY_KEY, cert: RELAY_CERTIFICATE }, (request, response) => {
      response.end(JSON.stringify({ host: request.headers.host }));
    }),
  );
  const dialler = through((await proxyTo(port)).url);
  const url = new URL("https://relay.example/api");
  await expect(dialler.post(url, {})).rejects.toThrow(
    /^This machine does not trust the certificate of relay\.example:443 \(DEPTH_ZERO_SELF_SIGNED_CERT\)\. .*NODE_EXTRA_CA_CERTS/,
  );
  const known = tls.getCACertificates("default");
  tls.setDefaultCACertificates([...known, RELAY_CERTIFICATE]);
  ends.push(async () => tls.setDefaultCACertificates(known));
  expect(jsonOf(await dialler.post(url, {}))).toEqual({ host: "relay.example" });
});

test("[MA2] loopback is dialled directly, whatever the proxy", async () => {
  const port = await listening(
    http.createServer((request, response) => response.end(`${request.headers.host ?? ""} ${request.url ?? ""}`)),
  );
  const proxy = await proxyTo(port);
  const { status, body } = await through(proxy.url).get(new URL(`http://127.0.0.1:${port}/healthz?a=1`));
  expect([status, body.toString(), proxy.asked]).toEqual([200, `127.0.0.1:${port} /healthz?a=1`, []]);
});

test("[MA3] a proxy that refuses is named without its password", async () => {
  const proxy = await proxyTo(1, "ada:right");
  const url = new URL(proxy.url);
  [url.username, url.password] = ["ada", "wrong"];
  const target = new URL("https://relay.example/");
  const refused = await through(url.href)
    .get(target)
    .catch((error: unknown) => String(error));
  expect(refused).toBe(
    `DialError: The proxy ${proxy.url} wants a name and a password (407). Write them as http://name:password@host:port.`,
  );
  proxy.refuse(403);
  await expect(through(proxy.url).get(target)).rejects.toThrow(`The proxy ${proxy.url} refuses relay.example:443 (403).`);
  const { url: gone } = proxy;
  await proxy.stop();
  ends.pop();
  await expect(through(gone).get(target)).rejects.toThrow(`The proxy ${gone} refuses connections (ECONNREFUSED).`);
});

test("[MA3] a direct dial names address, code and cure", async () => {
  await expect(new Dialler().get(new URL("http://127.0.0.1:1/"))).rejects.toThrow("127.0.0.1:1 refuses connections (ECONNREFUSED).");
  await expect(new Dialler().get(new URL("http://relay.invalid/"))).rejects.toThrow(
    /cannot be resolved \((ENOTFOUND|EAI_AGAIN)\).*--proxy/,
  );
  const port = await listening(http.createServer());
  await expect(new Dialler().get(new URL(`https://127.0.0.1:${port}/`))).rejects.toThrow("does not speak TLS there");
});

test.each([
  [404, {}, '{"error":{"code":"not-found","message":"Not found."}}', "answered 404 (not-found)"],
  [429, { "retry-after": "7" }, '{"error":{"code":"too-many","message":"Slowly."}}', "answered 429 (too-many); it asks to wait 7 s"],
  [403, {}, "<h1>Blocked</h1>", "answered 403: a firewall or proxy on the way may refuse WebSockets"],
  [407, {}, "", "answered 407: a proxy wants a name and a password"],
  [522, {}, "", "answered 522: Cloudflare does not reach the control plane"],
  [302, { location: "http://login.hotel.example/start?x" }, "", "leads to http://login.hotel.example: a captive portal"],
  [200, {}, "<h1>Welcome</h1>", "answered 200 instead of opening a WebSocket"],
])("[MA3] HTTP %i to the link's dial keeps its cause", async (status, headers, body, expected) => {
  const port = await listening(http.createServer((_request, response) => response.writeHead(status, headers).end(body)));
  const { statuses } = await linkTo(`http://127.0.0.1:${port}`, new Dialler());
  expect(await whyOf(statuses)).toContain(expected);
});

test("[MA4] an address without a Gatehouse is called that", async () => {
  const other = await listening(http.createServer((_request, response) => response.writeHead(404).end("Not found.")));
  const ours = await listening(http.createServer((_request, response) => response.end('{"ok":true,"version":"1.2.3"}')));
  expect(await strangeAnswer(new Dialler(), `http://127.0.0.1:${other}`, 404)).toBe(
    `http://127.0.0.1:${other} is not a Gatehouse: it answered 404, and there is no /healthz. Check the address.`,
  );
  expect(await strangeAnswer(new Dialler(), `http://127.0.0.1:${ours}`, 500)).toBe("The control plane answered 500.");
});
