/**
 * Hostile pages in a real browser: a gateway that serves what it likes beside the victim's gateway, under one registrable domain as in production, and
 * a page of somewhere else. The victim is signed in everywhere. Every attack has a control beside it: the same act where it is allowed works.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { rm } from "node:fs/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort, startControlPlane } from "../../scripts/control-plane.ts";
import type { ControlPlane } from "../../scripts/control-plane.ts";
import { launch, profile, withPasskeys } from "../support/browser.ts";
import { ScriptedGateway } from "../support/scripted-gateway.ts";
import { scratch } from "../support/stack.ts";
import { UPLOAD_PATH } from "../support/upload-path.ts";

const BLANK = { type: "text/html", body: "<!doctype html><title>A page</title><h1>A page</h1>" };

const [victim, evil] = [new ScriptedGateway(), new ScriptedGateway()];
let control: ControlPlane;
let stateDir: string;
let browser: Browser;
let context: BrowserContext;
let owner: Page;
/** A page of neither ours nor a gateway's. */
let foreign: http.Server;
let foreignOrigin: string;
let foreignBody = BLANK.body;

beforeAll(async () => {
  const port = await freePort();
  stateDir = await scratch();
  // Gateways below one registrable domain, as in production, so that they are siblings: the same site, and a domain whose cookies they share.
  [control, browser] = await Promise.all([
    startControlPlane({ port, stateDir, vars: { GATEWAY_DOMAIN: `gw.localhost:${port}` } }),
    launch(),
  ]);
  foreign = http.createServer((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end(foreignBody));
  await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
  foreignOrigin = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}`;
  context = await profile(browser);
  owner = await context.newPage();
  await withPasskeys(owner);
  await victim.enrol(owner, control.appOrigin, { name: "Home", isFirst: true });
  await evil.enrol(owner, control.appOrigin, { name: "Elsewhere", isFirst: false });
  for (const gateway of [victim, evil]) gateway.pages.set("/page", BLANK);
});

afterAll(async () => {
  await browser?.close();
  foreign?.close();
  for (const gateway of [victim, evil]) await gateway.stop();
  await control?.stop();
  await rm(stateDir, { recursive: true, force: true });
});

beforeEach(() => {
  victim.heard.length = 0;
  evil.heard.length = 0;
});

/** Runs `work` with a page at each hostile place. */
async function fromHostile(work: (page: Page, where: string) => Promise<void>): Promise<void> {
  for (const url of [`${evil.origin}/page`, `${foreignOrigin}/`]) await at(url, (page) => work(page, url));
}

async function at<T>(url: string, work: (page: Page) => Promise<T>): Promise<T> {
  const page = await context.newPage();
  try {
    await page.goto(url);
    return await work(page);
  } finally {
    await page.close();
  }
}

/** A document of the approval origin that stays: its page leads a signed-in person on. */
const standing = (): string => `${control.approveOrigin}/approve.css`;

const statusOf = (page: Page, url: string): Promise<number> => page.evaluate(async (each) => (await fetch(each)).status, url);

/** Both account sessions and both device sessions are as good as before. */
async function expectSignedIn(): Promise<void> {
  expect(await at(`${control.appOrigin}/healthz`, (page) => statusOf(page, "/api/me"))).toBe(200);
  expect(await at(standing(), (page) => statusOf(page, "/api/auth/me"))).toBe(200);
  expect(await at(`${victim.origin}/page`, (page) => statusOf(page, "/page"))).toBe(200);
}

/** Sends a form of this page to another address, in a window of its own. @returns the status of what came back */
async function postForm(page: Page, action: string, enctype: string): Promise<number> {
  const [popup, response] = await Promise.all([
    context.waitForEvent("page"),
    context.waitForEvent("response", (each) => each.request().method() === "POST" && each.url() === action),
    page.evaluate(
      ([to, type]) => {
        const form = document.createElement("form");
        Object.assign(form, { method: "post", action: to, enctype: type, target: "_blank" });
        const field = document.createElement("input");
        Object.assign(field, { name: '{"everywhere":true,"x":"', value: '"}' });
        form.append(field);
        document.body.append(form);
        form.submit();
      },
      [action, enctype] as const,
    ),
  ]);
  await popup.close();
  return response.status();
}

const ENCODINGS = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"];

test("[case 39] [case 49] CSRF: no form, fetch, beacon or embedded part of a hostile page reaches the victim's gateway or changes an account", async () => {
  const targets = [
    `${victim.origin}${UPLOAD_PATH}`,
    `${victim.origin}/.gatehouse/activate`,
    `${victim.origin}/.gatehouse/api/session`,
    `${control.appOrigin}/api/sign-out`,
    `${control.approveOrigin}/api/auth/sign-out`,
  ];
  await fromHostile(async (page, where) => {
    // The door instead of the gateway: the cookie stays away from another site's form, and another origin's is refused.
    for (const action of targets)
      for (const enctype of ENCODINGS) expect([401, 403], `${where} ${action} ${enctype}`).toContain(await postForm(page, action, enctype));
    const outcomes = await page.evaluate(async (urls) => {
      const seen: string[] = [];
      for (const url of urls) {
        const body = '{"everywhere":true}';
        for (const init of [
          { method: "POST", mode: "no-cors", credentials: "include", body },
          { method: "POST", mode: "cors", credentials: "include", headers: { "content-type": "application/json" }, body },
          { method: "GET", mode: "no-cors", credentials: "include" },
          { method: "GET", mode: "cors", credentials: "include" },
        ] as const) {
          const answered = await fetch(url, init).catch(() => null);
          if (answered !== null && answered.type !== "opaque") seen.push(`${init.method} ${url} ${answered.status}`);
        }
        navigator.sendBeacon(url, body);
        for (const tag of ["img", "script", "iframe", "embed"] as const) {
          const part = document.createElement(tag);
          const over = new Promise((resolve) => {
            part.addEventListener("load", resolve);
            part.addEventListener("error", resolve);
          });
          part.src = url;
          document.body.append(part);
          await over;
        }
      }
      return seen;
    }, targets);
    // Nothing could be read, either.
    expect(outcomes, where).toEqual([]);
  });
  expect(victim.heard).toEqual([]);
  await expectSignedIn();
  // Control: the gateway's own page does all that.
  await at(`${victim.origin}/page`, async (page) => {
    expect(await postForm(page, `${victim.origin}${UPLOAD_PATH}`, "text/plain")).toBe(200);
    await page.evaluate((path) => fetch(path, { method: "POST", body: "x" }), UPLOAD_PATH);
    await page.evaluate(
      () =>
        new Promise((resolve) => {
          const image = new Image();
          image.addEventListener("error", resolve);
          image.src = "/attack/image";
          document.body.append(image);
        }),
    );
  });
  expect(victim.heard.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `POST ${UPLOAD_PATH}`,
    `POST ${UPLOAD_PATH}`,
    "GET /attack/image",
  ]);
});

const opens = (page: Page, url: string): Promise<boolean> =>
  page.evaluate(
    (to) =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(to);
        socket.addEventListener("open", () => resolve(true));
        socket.addEventListener("close", () => resolve(false));
      }),
    url.replace(/^http/, "ws"),
  );

test("[case 39] [case 49] CSWSH: no hostile page opens a socket to the victim's gateway, its door or the inbox, though the cookie goes along", async () => {
  await fromHostile(async (page, where) => {
    for (const url of [`${victim.origin}/attack/socket`, `${victim.origin}/.gatehouse/wait`, `${control.appOrigin}/api/inbox`])
      expect(await opens(page, url), `${where} ${url}`).toBe(false);
  });
  expect(victim.heard).toEqual([]);
  await at(`${victim.origin}/page`, async (page) => expect(await opens(page, `${victim.origin}/attack/socket`)).toBe(true));
  await at(`${control.appOrigin}/healthz`, async (page) => expect(await opens(page, `${control.appOrigin}/api/inbox`)).toBe(true));
  expect(victim.heard.map(({ path }) => path)).toEqual(["/attack/socket"]);
});

test("[case 39] [case 49] [HD3] cookie tossing: a hostile gateway replaces none of our cookies, at home, at its sibling or at our own origins", async () => {
  const names = ["__Host-gth_s", "__Host-gth_d", "__Host-gth_a"];
  const ours = async (): Promise<string[]> =>
    (await context.cookies([victim.origin, evil.origin, control.appOrigin, control.approveOrigin]))
      // A name that means nothing at a gateway's origin is that gateway's to use.
      .filter(
        (cookie) => names.includes(cookie.name) && !(cookie.name === "__Host-gth_a" && cookie.domain === new URL(evil.origin).hostname),
      )
      .map((cookie) => `${cookie.domain} ${cookie.name}=${cookie.value}`)
      .toSorted();
  const before = await ours();
  expect(before).toHaveLength(6);
  const domains = ["", "; Domain=gw.localhost", "; Domain=localhost", `; Domain=${new URL(victim.origin).hostname}`];
  const tossed = names.flatMap((name) =>
    domains.flatMap((domain) => [`${name}=evil; Path=/; Secure${domain}`, `=${name}=evil; Path=/; Secure${domain}`]),
  );
  evil.pages.set("/toss", { ...BLANK, cookies: [...tossed, "sent=evil; Path=/; Domain=gw.localhost", "own=evil; Path=/"] });
  await at(`${evil.origin}/toss`, (page) =>
    page.evaluate((lines) => {
      for (const line of lines) document.cookie = line;
      document.cookie = "tossed=evil; Path=/; Domain=gw.localhost";
    }, tossed),
  );
  expect(await ours()).toEqual(before);
  const atVictim = (await context.cookies(victim.origin)).map((cookie) => cookie.name);
  // Control: the browser does let siblings toss cookies of other names by script; a gateway's own header loses its Domain on the way.
  expect(atVictim).toContain("tossed");
  expect(atVictim).not.toContain("sent");
  expect((await context.cookies(evil.origin)).map((cookie) => cookie.name)).toEqual(expect.arrayContaining(["own", "sent"]));
  await expectSignedIn();
  // The gateways see neither our cookies nor what imitates them.
  await at(`${victim.origin}/attack/cookies`, () => Promise.resolve());
  expect(victim.heard.at(-1)?.cookie).toBe("tossed=evil");
  await context.clearCookies({ name: "tossed" });
});

test("[case 49] the door's key: a gateway's page can neither read it nor reach another gateway's", async () => {
  const held = (origin: string) =>
    at(`${origin}/page`, (page) =>
      page.evaluate(async () => {
        const wait = <T>(request: IDBRequest<T>): Promise<T> =>
          new Promise((resolve, reject) => {
            request.addEventListener("success", () => resolve(request.result));
            request.addEventListener("error", () => reject(new Error("storage")));
          });
        const database = await wait(indexedDB.open("gatehouse"));
        const pair = (await wait(database.transaction("keys").objectStore("keys").get("device"))) as CryptoKeyPair;
        const out: string[] = [];
        for (const format of ["jwk", "pkcs8", "raw"] as const)
          out.push(await crypto.subtle.exportKey(format, pair.privateKey).then(() => "exported", (error: unknown) => (error as Error).name)); // prettier-ignore
        const { x } = await crypto.subtle.exportKey("jwk", pair.publicKey);
        // Control: what script at this origin can do, and README says so, is ask the key to sign.
        const signature = await crypto.subtle.sign("Ed25519", pair.privateKey, new Uint8Array(8));
        return { out, x, signed: signature.byteLength, cookies: document.cookie };
      }),
    );
  const [mine, theirs] = [await held(evil.origin), await held(victim.origin)];
  expect(mine.out).toEqual(["InvalidAccessError", "InvalidAccessError", "InvalidAccessError"]);
  expect(mine.signed).toBe(64);
  expect(mine.x).not.toBe(theirs.x);
  expect(mine.cookies).not.toMatch(/__Host-gth_[sd]/);
});

test("[case 42] [case 49] a gateway cannot take the door's paths: what it serves there never arrives, and it never hears of them", async () => {
  for (const path of ["/.gatehouse/", "/.gatehouse/door.js", "/.gatehouse/api/challenge", "/.gatehouse/evil.js", "/.gatehouse"])
    evil.pages.set(path, { type: "text/html", body: "<h1>Evil door</h1>" });
  await at(`${evil.origin}/page`, async (page) => {
    for (const path of [
      "/.gatehouse/",
      "/.gatehouse/door.js",
      "/.gatehouse/evil.js",
      "/.gatehouse",
      "/%2egatehouse/",
      "//.gatehouse/",
      "/x/../.gatehouse/",
      "/.GATEHOUSE/",
    ])
      // prettier-ignore
      expect(await page.evaluate(async (each) => (await fetch(location.origin + each)).text(), path), path).not.toContain("Evil door");
    await page.route("**/.gatehouse/api/**", (route) => route.abort());
    await page.goto(`${evil.origin}/.gatehouse/`);
    expect(await page.content()).not.toContain("Evil door");
  });
  expect(evil.heard).toEqual([]);
});

test("[case 49] no service worker from anywhere but the stock page's own place, and so none before the door from an agent's page", async () => {
  const script = { type: "text/javascript", body: "self.addEventListener('fetch', () => {});" };
  for (const path of ["/sw.js", "/evil-sw.js", "/canvas/sw.js", "/.gatehouse/sw.js"]) evil.pages.set(path, script);
  await at(`${evil.origin}/page`, async (page) => {
    const register = (path: string, scope?: string): Promise<string> =>
      page.evaluate(
        async ([from, wanted]) => {
          try {
            const done = await navigator.serviceWorker.register(from, wanted === undefined ? {} : { scope: wanted });
            const { scope: got } = done;
            await done.unregister();
            return new URL(got).pathname;
          } catch (error) {
            return (error as Error).name;
          }
        },
        [path, scope] as const,
      );
    for (const path of ["/evil-sw.js", "/canvas/sw.js", "/.gatehouse/sw.js", "/.gatehouse/door.js"]) {
      expect(await statusOf(page, path === "/.gatehouse/sw.js" ? "/evil-sw.js" : path), path).toBe(200);
      expect(await register(path), path).toBe("TypeError");
      expect(await register(path, "/.gatehouse/"), path).not.toBe("/.gatehouse/");
    }
    expect(await register("/sw.js")).toBe("/");
  });
});

/** @returns where a frame of that address ended up, and what can be seen of it */
async function framed(page: Page, url: string): Promise<string> {
  const handle = await page.evaluateHandle((src) => {
    const frame = document.createElement("iframe");
    frame.src = src;
    const over = new Promise<void>((resolve) => frame.addEventListener("load", () => resolve()));
    document.body.append(frame);
    return over.then(() => frame);
  }, url);
  const frame = await handle.asElement()?.contentFrame();
  return (await frame?.content()) ?? "";
}

test("[case 39] [case 49] clickjacking: neither dashboard nor approval page nor door nor another gateway's page shows inside a hostile page", async () => {
  const targets = {
    dashboard: control.appOrigin,
    approval: `${control.approveOrigin}/owner?gateway=x`,
    door: `${victim.origin}/.gatehouse/`,
    "a gateway's page": `${victim.origin}/page`,
  };
  await fromHostile(async (page, where) => {
    for (const [name, url] of Object.entries(targets)) {
      const seen = await framed(page, url);
      expect(seen, `${name} in ${where}`).not.toMatch(/<main|id="title"|<h1>A page/);
    }
  });
  // Control: what forbids nothing can be framed.
  await at(`${evil.origin}/page`, async (page) => {
    expect(await framed(page, `${evil.origin}/page`)).toContain("<h1>A page");
    expect(await framed(page, `${foreignOrigin}/`)).toContain("<h1>A page");
  });
});

test("[HD8] [case 49] a window of ours or of a gateway that a hostile page opened is out of its hands: no handle, no opener, no other address", async () => {
  // The door would open for this device and lead on while it is looked at.
  const door = `${victim.origin}/.gatehouse/api/**`;
  await context.route(door, (route) => route.abort());
  const open = async (page: Page, url: string) => {
    const [popup] = await Promise.all([
      context.waitForEvent("page"),
      page.evaluate((to) => void Object.assign(globalThis, { handle: window.open(to, "theirs", "popup") }), url),
    ]);
    await popup.waitForLoadState();
    const opener = await popup.evaluate(() => window.opener === null);
    const isClosed = (): Promise<boolean> => page.evaluate(() => (globalThis as unknown as { handle: Window }).handle.closed);
    return { popup, hasOpener: !opener, isClosed };
  };
  await fromHostile(async (page, where) => {
    for (const url of [
      `${control.appOrigin}/`,
      `${control.approveOrigin}/owner`,
      `${victim.origin}/.gatehouse/`,
      `${victim.origin}/page`,
    ]) {
      const { popup, hasOpener, isClosed } = await open(page, url);
      expect(hasOpener, `${url} from ${where}`).toBe(false);
      // The process of the page that opened it hears of that a moment later.
      await expect.poll(isClosed, { message: `${url} from ${where}` }).toBe(true);
      await popup.close();
    }
    const other = await open(page, `${foreignOrigin}/other`);
    expect([other.hasOpener, await other.isClosed()], "control").toEqual([true, false]);
    await other.popup.close();
  });
  await context.unroute(door);
});

test("[HD8] a pop-up that the gateway's own page opened still reports back", async () => {
  const back = { type: "text/html", body: `<script>opener.postMessage("signed in", "${victim.origin}")</script>` };
  victim.pages.set("/back", back);
  await at(`${victim.origin}/page`, async (page) => {
    const reported = (url: string): Promise<string> =>
      page.evaluate(
        (to) =>
          new Promise<string>((resolve) => {
            window.addEventListener("message", (event) => resolve(String(event.data)), { once: true });
            window.open(to, "_blank", "popup");
          }),
        url,
      );
    expect(await reported(`${victim.origin}/back`)).toBe("signed in");
    // A provider's sign-in elsewhere, without a policy of its own.
    foreignBody = back.body;
    expect(await reported(`${foreignOrigin}/sign-in`)).toBe("signed in");
    foreignBody = BLANK.body;
  });
  for (const page of context.pages()) if (page !== owner) await page.close();
});

test("[HD9] [case 49] one gateway's Clear-Site-Data leaves every sibling's cookies, and its own", async () => {
  const ours = async (): Promise<string[]> =>
    (await context.cookies([victim.origin, evil.origin])).map((cookie) => `${cookie.domain} ${cookie.name}=${cookie.value}`).toSorted();
  const before = await ours();
  for (const value of ['"cookies"', '"*"', '"cookies", "storage"']) {
    evil.pages.set("/clear", { ...BLANK, headers: { "clear-site-data": value } });
    await at(`${evil.origin}/clear`, () => Promise.resolve());
    expect(await ours(), value).toEqual(before);
  }
  await expectSignedIn();
});

test("[HD10] [case 49] a script in an agent's document cannot use the key of the door, in a frame or by itself", async () => {
  const script = `const say = (text) => { document.title = text; parent.postMessage(text, "*"); };
    try { const asked = indexedDB.open("gatehouse"); asked.onsuccess = () => say("opened"); asked.onerror = () => say("refused"); } catch (error) { say(error.name); }`;
  const document = { type: "text/html", body: `<!doctype html><title>-</title><script>${script}</script>` };
  for (const path of ["/__openclaw__/canvas/documents/a/index.html", "/elsewhere.html"]) victim.pages.set(path, document);
  const titleAt = (path: string): Promise<string> =>
    at(victim.origin + path, async (page) => {
      await page.waitForFunction(() => window.document.title !== "-");
      return page.title();
    });
  expect(await titleAt("/__openclaw__/canvas/documents/a/index.html")).toBe("SecurityError");
  // Control: without the sandbox the same script has the key of the door.
  expect(await titleAt("/elsewhere.html")).toBe("opened");
  const heard = await at(`${victim.origin}/page`, (page) =>
    page.evaluate(
      () =>
        new Promise<unknown>((resolve) => {
          window.addEventListener("message", ({ data }) => resolve(data), { once: true });
          const frame = window.document.createElement("iframe");
          // Even where OpenClaw is set to trust what agents write.
          frame.setAttribute("sandbox", "allow-scripts allow-same-origin");
          frame.src = "/__openclaw__/canvas/documents/a/index.html";
          window.document.body.append(frame);
        }),
    ),
  );
  expect(heard).toBe("SecurityError");
});

test("[case 49] no page but the approval page can ask for the owner's passkey: not a gateway, not the dashboard, not a page elsewhere", async () => {
  const me = await at(standing(), (page) =>
    page.evaluate(async () => (await (await fetch("/api/auth/me")).json()) as { passkeys: { credentialId: string }[] }),
  );
  const credential = me.passkeys[0]?.credentialId ?? "";
  const rpId = new URL(control.approveOrigin).hostname;
  const ask = (page: Page): Promise<string> =>
    page.evaluate(
      async ([id, wanted]) => {
        const raw = Uint8Array.from(atob(id.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
        const publicKey = {
          challenge: new Uint8Array(32),
          rpId: wanted,
          userVerification: "required" as const,
          allowCredentials: [{ type: "public-key" as const, id: raw }],
        };
        return navigator.credentials.get({ publicKey }).then(() => "signed", (error: unknown) => (error as Error).name); // prettier-ignore
      },
      [credential, rpId] as const,
    );
  for (const url of [`${evil.origin}/page`, `${victim.origin}/page`, `${control.appOrigin}/healthz`, `${foreignOrigin}/`]) {
    await owner.goto(url);
    expect(await ask(owner), url).toBe("SecurityError");
  }
  // Control: the same question, in the same tab with the same authenticator, at the approval origin.
  await owner.goto(standing());
  expect(await ask(owner)).toBe("signed");
});
