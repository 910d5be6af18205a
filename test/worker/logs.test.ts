/** What the Worker writes down of a request: a line of named fields, a point of the metrics, and nothing that names anybody. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { handle } from "../../src/worker/app.ts";
import type { Env } from "../../src/worker/env.ts";
import type { RequestEntry } from "../../src/worker/log.ts";
import { count } from "../../src/worker/log.ts";
import { FakeConnector } from "./fake-connector.ts";
import { allowDevice, env, newBench, visit } from "./room-bench.ts";
import { config, newGateway } from "./world.ts";

interface Written {
  readonly indexes: readonly string[];
  readonly blobs: readonly string[];
  readonly doubles: readonly number[];
}

/** Takes what the platform takes, and throws at everything that it refuses (Analytics Engine, "Limits"). */
class Dataset {
  readonly points: Written[] = [];

  writeDataPoint(point: Written): void {
    const bytes = (text: string): number => new TextEncoder().encode(text).byteLength;
    if (point.indexes.length !== 1) throw new TypeError("one index");
    if (point.blobs.length > 20 || point.doubles.length > 20) throw new TypeError("at most 20 blobs and 20 doubles");
    if (bytes(point.indexes[0] ?? "") > 96) throw new TypeError("an index has at most 96 bytes");
    if (point.blobs.reduce((sum, blob) => sum + bytes(blob), 0) > 16 * 1024) throw new TypeError("blobs have at most 16 KB");
    if (!point.doubles.every((each) => Number.isFinite(each))) throw new TypeError("doubles are numbers");
    this.points.push(point);
  }
}

let lines: RequestEntry[];
const deferred: Promise<unknown>[] = [];

beforeEach(() => {
  lines = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(JSON.parse(line) as RequestEntry));
});

afterEach(() => vi.restoreAllMocks());

/** One request to the Worker, and everything that it wrote about it. */
async function wrote(request: Request, changes: Partial<Env> = {}): Promise<{ status: number; lines: RequestEntry[]; text: string }> {
  lines.length = 0;
  const response = await handle(request, { ...env, LOG_SAMPLE: "1", ...changes }, (work) => void deferred.push(work));
  await Promise.all(deferred.splice(0));
  return { status: response.status, lines: [...lines], text: await response.text() };
}

function get(url: string, headers: Record<string, string> = {}): Request {
  return new Request(url, { headers });
}

test("[OB5] one line a request: template, status, decision, and ids as eight characters that are the same each time", async () => {
  const world = await newGateway();
  const cookie = await world.person.cookie("app");
  const url = `${config.appOrigin}/api/gateways/${world.gateway}?secret=hunter2`;
  const address = { "cf-connecting-ip": "203.0.113.77", "user-agent": "hunter2" };
  const first = await wrote(get(url, { cookie, ...address }));
  expect(first.lines).toEqual([
    {
      event: "request",
      route: "GET /api/gateways/:gateway",
      status: 200,
      ms: expect.any(Number),
      decision: "ok",
      gateway: expect.stringMatching(/^[\w-]{8}$/),
      account: expect.stringMatching(/^[\w-]{8}$/),
    },
  ]);
  const text = JSON.stringify(first.lines);
  for (const secret of [world.gateway, world.person.id, "hunter2", "203.0.113", cookie]) expect(text).not.toContain(secret);
  // A token beside a cookie is refused, and written down no more than the cookie.
  const refused = await wrote(get(url, { cookie, ...address, authorization: "Bearer hunter2" }));
  expect(refused.lines).toMatchObject([{ status: 401, decision: "not-signed-in" }]);
  expect(JSON.stringify(refused.lines)).not.toContain("hunter2");
  const [again] = (await wrote(get(url, { cookie }))).lines;
  expect([again?.gateway, again?.account]).toEqual([first.lines[0]?.gateway, first.lines[0]?.account]);
  const other = await newGateway();
  const [theirs] = (await wrote(get(`${config.appOrigin}/api/gateways/${other.gateway}`, { cookie }))).lines;
  expect(theirs).toMatchObject({ status: 404, decision: "not-found", account: again?.account });
  expect(theirs?.gateway).not.toBe(again?.gateway);
});

test("[OB5] each kind of request has its template, and none ever holds what somebody wrote into the address", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  const secret = "s3cr3t-path";
  const cases: [Request, string, string][] = [
    [get(`${config.appOrigin}/healthz`), "GET /healthz", "ok"],
    [get(`${config.appOrigin}/${secret}`), "app *", "ok"],
    [get(`${config.appOrigin}/api/${secret}`), "app *", "not-found"],
    [get(`${config.appOrigin}/api/me`), "GET /api/me", "not-signed-in"],
    [get(`${config.appOrigin}/link/${secret}`), "GET /link/:gateway", "not-found"],
    [get(`${config.approveOrigin}/${secret}`), "approve *", "ok"],
    [get(`http://${secret}.${env.GATEWAY_DOMAIN}/`), "gateway *", "not-found"],
    [get(`http://${secret}.example/`), "other *", "not-found"],
    [get(`${bench.origin}/${secret}`), "gateway *", "no-session"],
    [get(`${bench.origin}/${secret}`, { accept: "text/html" }), "gateway *", "door"],
    [get(`${bench.origin}/.gatehouse/${secret}`), "gateway /.gatehouse/*", "door-404"],
    [get(`${bench.origin}/.gatehouse/api/status`, { cookie: device.cookie }), "gateway /.gatehouse/api/status", "door"],
    [get(`${bench.origin}/${secret}`, { cookie: device.cookie }), "gateway *", "refused-503"],
    [get(`${bench.origin}/${secret}`, { cookie: device.cookie, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors" }), "gateway *", "wrong-origin"], // prettier-ignore
  ];
  for (const [request, route, decision] of cases) {
    const { lines: found } = await wrote(request);
    expect(found.map((each) => [each.route, each.decision]), request.url).toEqual([[route, decision]]); // prettier-ignore
    expect(JSON.stringify(found)).not.toContain(secret);
  }
});

test("[OB5] what the gateway answers is relayed, whatever its status: no failure of ours", async () => {
  const bench = await newBench();
  const device = await allowDevice(bench);
  const connector = await FakeConnector.up(env, bench.gateway, bench.identity);
  void connector.streams.next().then((stream) => (stream.opened(500), stream.end()));
  const { status, lines: found } = await wrote(get(`${bench.origin}/x`, { cookie: device.cookie }), { LOG_SAMPLE: "1" });
  expect([status, found.map((each) => each.decision)]).toEqual([500, ["relayed"]]);
});

test("[OB5] with a sample of none only failures of ours have a line, with the class of the error and not its text", async () => {
  const world = await newGateway();
  const cookie = await world.person.cookie("app");
  const request = () => get(`${config.appOrigin}/api/gateways`, { cookie });
  expect((await wrote(request(), { LOG_SAMPLE: "0" })).lines).toEqual([]);
  const broken = { getByName: () => { throw new RangeError("secret text"); } } as unknown as Env["INBOX"]; // prettier-ignore
  const failed = await wrote(get(`${config.appOrigin}/api/requests`, { cookie }), { LOG_SAMPLE: "0", INBOX: broken });
  expect(failed.status).toBe(500);
  expect(failed.lines).toMatchObject([{ route: "GET /api/requests", status: 500, decision: "internal", code: "RangeError" }]);
  expect(JSON.stringify(failed.lines) + failed.text).not.toContain("secret text");
});

test("[OB6] with a dataset bound each request is a point, within what the platform takes; without one nothing is written", async () => {
  const world = await newGateway();
  const cookie = await world.person.cookie("app");
  const dataset = new Dataset();
  const bound = { METRICS: dataset as unknown as AnalyticsEngineDataset, LOG_SAMPLE: "0" };
  await wrote(get(`${config.appOrigin}/api/gateways/${world.gateway}`, { cookie }), bound);
  expect(dataset.points).toEqual([
    { indexes: ["GET /api/gateways/:gateway"], blobs: ["GET /api/gateways/:gateway", "ok", ""], doubles: [200, expect.any(Number)] },
  ]);
  const measured = new Request(`${config.appOrigin}/api/gateways/${world.gateway}/hops`, { method: "POST", headers: { cookie, origin: config.appOrigin } }); // prettier-ignore
  expect((await wrote(measured, bound)).status).toBe(200);
  expect(dataset.points.find((each) => each.indexes[0] === "hops")).toEqual({
    indexes: ["hops"],
    blobs: ["hops", "no-link", "local", "local"],
    doubles: [-1, expect.any(Number), -1, -1],
  });
  expect(JSON.stringify(dataset.points)).not.toContain(world.gateway);
  expect((await wrote(get(`${config.appOrigin}/healthz`), { LOG_SAMPLE: "0" })).status).toBe(200);
});

test("[OB6] whatever is too much is cut before it is written", () => {
  const dataset = new Dataset();
  const many = Array.from({ length: 30 }, () => "x".repeat(5_000));
  count(dataset, { index: "ü".repeat(96), blobs: many, doubles: many.map((_each, at) => at) });
  const [point] = dataset.points;
  expect([point?.blobs.length, point?.doubles.length, point?.indexes[0]]).toEqual([20, 20, "ü".repeat(48)]);
});

test("[OB6] a binding that fails fails no request", async () => {
  const failing = { writeDataPoint: () => { throw new Error("quota"); } } as unknown as AnalyticsEngineDataset; // prettier-ignore
  const { status } = await wrote(get(`${config.appOrigin}/healthz`), { METRICS: failing });
  expect(status).toBe(200);
});

test("[OB5] the line is written beside the answer, and what goes wrong with it is nobody's problem", async () => {
  const bench = await newBench();
  vi.spyOn(console, "log").mockImplementation(() => {
    throw new Error("log is full");
  });
  const response = await visit(bench, null, "/x");
  expect(response.status).toBe(401);
});
