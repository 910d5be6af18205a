/** What a browser is told about each page of ours: who may run, frame, ask for passkeys. */
import { expect, test } from "vitest";
import { handle } from "../../src/worker/app.ts";
import { config, env, newGateway } from "./world.ts";

const pages = { ...env, ASSETS: { fetch: () => Promise.resolve(new Response("<body></body>")) } as unknown as Fetcher };

async function headersOf(url: string): Promise<Headers> {
  const page = await handle(new Request(url, { headers: { "sec-fetch-mode": "navigate" } }), pages);
  expect(page.status, url).toBe(200);
  return page.headers;
}

function directives(headers: Headers): ReadonlyMap<string, string> {
  const parts = (headers.get("content-security-policy") ?? "").split("; ").map((part) => part.split(/ (.*)/s));
  return new Map(parts.map(([name = "", value = ""]) => [name, value]));
}

test("[PG2] [case 39] [case 49] no page can be framed, makes markup from text or shares its group; only the approval origin may ask for a passkey", async () => {
  const world = await newGateway();
  for (const origin of [config.appOrigin, config.approveOrigin, world.origin]) {
    const headers = await headersOf(`${origin}/`);
    const csp = directives(headers);
    expect(csp.get("default-src"), origin).toBe("'none'");
    expect(csp.get("base-uri")).toBe("'none'");
    expect(csp.get("frame-ancestors")).toBe("'none'");
    expect(csp.get("require-trusted-types-for")).toBe("'script'");
    expect(csp.get("trusted-types")).toBe("'none'");
    expect(headers.get("content-security-policy")).not.toMatch(/unsafe-|\*(?!\.)|https?:(?!\/\/)|strict-dynamic/);
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    const mayAsk = origin === config.approveOrigin ? "publickey-credentials-get=(self)" : "publickey-credentials-get=()";
    expect(headers.get("permissions-policy"), origin).toContain(mayAsk);
  }
});

test("[PG1] the approval page runs scripts and styles by hash alone, loads nothing, and posts forms to gateways alone", async () => {
  const csp = directives(await headersOf(`${config.approveOrigin}/decide?gateway=x`));
  // Not built by scripts/build.ts here: then nothing may run at all.
  expect([csp.get("script-src"), csp.get("style-src")]).toEqual(["'none'", "'none'"]);
  expect(csp.get("connect-src")).toBe("'self'");
  expect(csp.get("form-action")).toBe(`${new URL(config.appOrigin).protocol}//*.${env.GATEWAY_DOMAIN}`);
  for (const file of ["/approve.js", "/approve.css", "/app.js", "/x.html"]) {
    const answer = await handle(new Request(config.approveOrigin + file), pages);
    expect(answer.status, file).toBe(404);
  }
});
