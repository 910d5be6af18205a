/** The approval page and what follows from its yes, in a real browser: what may run there, what is signed and who hears of it. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../../scripts/children.ts";
import { addAuthenticator, withPasskeys } from "../support/browser.ts";
import { claimedHome, demoGateway, heading } from "../support/claimed-home.ts";
import type { ClaimedHome } from "../support/claimed-home.ts";
import { askAndAllow, clean, onHost, toHome } from "../support/decisions.ts";
import { challengeOf, watchSigning } from "../support/signing.ts";
import { allow, ask, review } from "../support/journey.ts";
import { look } from "../support/look.ts";

const PAGE = path.join(root, "dist/pages/approve/index.html");

let home: ClaimedHome;
let owner: Page;
let origin: string;
const newDevice = (): Promise<Page> => home.newDevice();

const toDashboard = (): Promise<void> => toHome(home);

beforeAll(async () => {
  home = await claimedHome(demoGateway);
  ({ owner, origin } = home);
});

afterAll(() => home?.stop());

test("[PG1] doctor shows the hash of the page that is served beside the one of the build; a changed page is a warning, not a failure", async () => {
  const hash = `sha256-${createHash("sha256").update(readFileSync(PAGE)).digest("base64")}`;
  const page = async () => {
    const { code, events } = await onHost(home, "doctor");
    return { code, found: events.find((event) => event["check"] === "approval page") };
  };
  expect(await page()).toEqual({ code: 0, found: expect.objectContaining({ warning: false, built: hash, served: hash }) });
  // The control plane serves a copy of its own.
  const served = path.join(home.stack.dir, "workerd/build/pages/approve/index.html");
  const before = readFileSync(served);
  try {
    writeFileSync(served, before.toString("utf8").replace("</body>", "<!-- more --></body>"));
    await expect.poll(page).toEqual({ code: 0, found: expect.objectContaining({ warning: true }) });
    const { found } = await page();
    expect(found?.["served"]).not.toBe(hash);
    expect(found?.["text"]).toContain("Use no passkey there");
  } finally {
    writeFileSync(served, before);
  }
  await expect.poll(page).toEqual({ code: 0, found: expect.objectContaining({ warning: false }) });
});

test("[PG1] [PG2] on the approval page neither a script, a style nor markup that came from elsewhere takes effect; ours does", async () => {
  await owner.goto(`${home.stack.control.approveOrigin}/account`);
  await owner.getByRole("heading", { level: 2, name: "Passkeys" }).waitFor();
  const outcome = await owner.evaluate(async (app) => {
    const broken: string[] = [];
    const isConnectRefused = new Promise<void>((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => {
        broken.push(event.effectiveDirective);
        if (event.effectiveDirective === "connect-src") resolve();
      });
    });
    const tried: Record<string, string> = {};
    const attempt = (name: string, work: () => unknown): void => {
      try {
        work();
        tried[name] = "took effect";
      } catch (error) {
        tried[name] = (error as Error).name;
      }
    };
    attempt("innerHTML", () => (document.body.innerHTML += "<b>x</b>"));
    attempt("insertAdjacentHTML", () => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"));
    attempt("document.write", () => document.write("<b>x</b>"));
    attempt("policy", () => (globalThis as unknown as { trustedTypes: { createPolicy(name: string, rules: object): unknown } }).trustedTypes.createPolicy("p", { createHTML: (text: string) => text })); // prettier-ignore
    attempt("script src", () => {
      document.createElement("script").src = `${app}/app.js`;
    });
    const flags = globalThis as unknown as { pwned?: boolean };
    const script = document.createElement("script");
    attempt("script text", () => {
      script.textContent = "globalThis.pwned = true";
    });
    document.head.append(script);
    const style = document.createElement("style");
    style.textContent = "h1 { display: none }";
    document.head.append(style);
    // In a task of the page's own: what a debugger evaluates may do more.
    const { port1, port2 } = new MessageChannel();
    await new Promise<void>((resolve) => {
      port1.addEventListener("message", () => {
        // oxlint-disable-next-line no-eval -- what the policy must refuse
        attempt("eval", () => (0, eval)("1"));
        resolve();
      });
      port1.start();
      port2.postMessage(null);
    });
    const fetched = await fetch(`${app}/healthz`).then(
      () => "fetched",
      () => "refused",
    );
    await isConnectRefused;
    const h1 = document.querySelector("h1");
    return { tried, isRun: flags.pwned === true, isStyled: h1 === null || getComputedStyle(h1).display === "none", fetched, broken };
  }, home.stack.control.appOrigin);
  expect(outcome.tried).toEqual({
    innerHTML: "TypeError",
    insertAdjacentHTML: "TypeError",
    "document.write": "TypeError",
    eval: "EvalError",
    policy: "TypeError",
    "script src": "TypeError",
    "script text": "TypeError",
  });
  expect(outcome).toMatchObject({ isRun: false, isStyled: false, fetched: "refused" });
  expect(outcome.broken).toEqual(expect.arrayContaining(["style-src-elem", "connect-src"]));
});

test("[PG2] [PG3] [case 49] no other page frames the approval page, holds a handle of it, or asks for its passkeys", async () => {
  const page = await newDevice();
  await withPasskeys(page);
  // A hostile page at an address of its own, and one below the approval host, where browsers allow its rpId.
  const evil = "http://evil.localhost:9/";
  const { host, hostname } = new URL(home.stack.control.approveOrigin);
  for (const url of [evil, `http://x.${host}/`])
    await page.route(url, (route) => route.fulfill({ contentType: "text/html", body: "<h1>x</h1>" }));
  await page.goto(evil);
  const framed = await page.evaluate(async (url) => {
    const frame = document.createElement("iframe");
    frame.src = url;
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
    document.body.append(frame);
    await loaded;
    try {
      return frame.contentDocument === null ? "foreign" : "ours";
    } catch {
      return "foreign";
    }
  }, `${home.stack.control.approveOrigin}/account`);
  expect(framed).toBe("foreign");
  for (const frame of page.frames()) expect(frame.url()).not.toContain(host);
  const popup = page.waitForEvent("popup");
  await page.evaluate((url) => {
    (globalThis as unknown as { opened: Window | null }).opened = window.open(url);
  }, `${home.stack.control.approveOrigin}/account`);
  const opened = await popup;
  await heading(opened, "Sign in");
  expect(await opened.evaluate(() => window.opener === null)).toBe(true);
  const isClosed = (): Promise<boolean | undefined> =>
    page.evaluate(() => (globalThis as unknown as { opened: Window | null }).opened?.closed);
  await expect.poll(isClosed).toBe(true);
  const askFor = (): Promise<string> =>
    page.evaluate(async (rpId) => {
      const publicKey = { challenge: new Uint8Array(32), rpId, userVerification: "required" as const, timeout: 1_000 };
      return navigator.credentials.get({ publicKey }).then(
        () => "signed",
        (error: Error) => error.name,
      );
    }, hostname);
  // The passkey is not in this page's authenticator, so a refusal names the reason: not allowed to ask, or none found.
  expect(await askFor()).toBe("SecurityError");
  await page.goto(home.stack.control.appOrigin);
  expect(await askFor()).toMatch(/SecurityError|NotAllowedError/);
  expect(await page.evaluate(() => (document as unknown as { featurePolicy: { allowsFeature(name: string): boolean } }).featurePolicy.allowsFeature("publickey-credentials-get"))).toBe(false); // prettier-ignore
  await page.goto(`${origin}/.gatehouse/`);
  expect(await page.evaluate(() => (document as unknown as { featurePolicy: { allowsFeature(name: string): boolean } }).featurePolicy.allowsFeature("publickey-credentials-get"))).toBe(false); // prettier-ignore
  await page.context().close();
});

test("[PG3] what the passkey signs is on the screen first: a device that asks, with the choices as they are pressed", async () => {
  const device = await newDevice();
  const digits = await ask(device, origin);
  const signing = await watchSigning(owner);
  await toDashboard();
  await review(owner);
  const words = owner.locator(".words");
  await words.getByText("with “Full control” until").waitFor();
  await owner.getByLabel("Look only").check();
  await owner.getByLabel("1 hour").check();
  await words.getByText("may use “Home” with “Look only” until").waitFor();
  await look(owner, "decide-words");
  const sent = owner.waitForRequest((request) => request.url().endsWith("/allow"));
  await allow(owner, digits);
  const { signed } = (await sent).postDataJSON() as { signed: { statement: string } };
  const [call] = await signing();
  expect(call?.challenge).toBe(challengeOf("grant", signed.statement));
  const body = JSON.parse(Buffer.from(signed.statement, "base64url").toString("utf8")) as {
    name: string;
    notAfterMs: number;
    access: string;
  };
  expect(body.access).toBe("look");
  const until = await owner.evaluate((ms) => new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }), body.notAfterMs);
  expect(call?.text).toContain(`Your passkey signs: ${body.name} may use “Home” with “Look only” until ${until}.`);
  await device.getByText("Connected. This device may").waitFor();
  await device.context().close();
});

test("Deny has the focus from the first moment on, whoever types before the sentence is ready keeps it, and an earlier choice's sentence comes too late", async () => {
  const device = await newDevice();
  await ask(device, origin);
  const page = await owner.context().newPage();
  await page.addInitScript(() => {
    // The first digest, which the first sentence needs, takes as long as the test wants; later ones take none.
    const plain = crypto.subtle.digest.bind(crypto.subtle);
    const first = new Promise<void>((resolve) => Object.assign(globalThis, { goOn: resolve }));
    let calls = 0;
    crypto.subtle.digest = async (algorithm, data) => {
      calls += 1;
      if (calls === 1) await first;
      return plain(algorithm, data);
    };
  });
  await page.goto(home.stack.control.appOrigin);
  await review(page);
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Deny");
  const words = page.locator(".words");
  expect(await words.textContent()).toBe("");
  await page.getByLabel("Look only").check();
  await words.getByText("with “Look only” until").waitFor();
  await page.getByLabel("Four digits on the device").focus();
  await page.evaluate(async () => {
    (globalThis as unknown as { goOn(): void }).goOn();
    // Everything that waited has had its turn after these.
    for (let i = 0; i < 20; i += 1) await crypto.subtle.digest("SHA-256", new Uint8Array(1));
  });
  expect(await words.textContent()).toContain("with “Look only” until");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("code");
  await page.getByRole("button", { name: "Deny" }).click();
  await heading(page, "Denied");
  await page.close();
  await device.context().close();
});

test("[NT1] [NT2] every open dashboard shows the grant with whose passkey it was, on every view; Keep answers for all of them", async () => {
  await clean(home);
  const second = await owner.context().newPage();
  await second.goto(`${home.stack.control.appOrigin}/activity`);
  await heading(second, "Activity");
  const device = await newDevice();
  await askAndAllow(home, device);
  await second
    .getByRole("region", { name: /was allowed on Home$/ })
    .getByText(/^Allowed .* on “Home”: full control, by First passkey\./)
    .waitFor();
  await second.getByText("Was this you?").waitFor();
  await look(second, "notice");
  await toDashboard();
  await look(owner, "gateway-notice");
  await second.getByRole("button", { name: "Keep", exact: true }).click();
  await owner.getByText("Was this you?").waitFor({ state: "detached" });
  await second.getByText("Was this you?").waitFor({ state: "detached" });
  await device.getByText("Connected. This device may").waitFor();
  await second.close();
  await device.context().close();
});

test("[NT2] [CUT1] Cut beside the question ends the device with one press", async () => {
  await clean(home);
  const device = await newDevice();
  await askAndAllow(home, device);
  await device.getByText("Connected. This device may").waitFor();
  await owner.goto(home.stack.control.appOrigin);
  await owner.getByRole("button", { name: "Cut", exact: true }).click();
  await owner.getByRole("status").getByText("is cut.").waitFor();
  await owner.getByText("Was this you?").waitFor({ state: "detached" });
  await device.goto(origin);
  await heading(device, "Your access has ended");
  await device.context().close();
});

test("[PG3] [case 48] an approval link that somebody else sent: the victim reads whose device it is, the sender's key never opens", async () => {
  await clean(home);
  const attacker = await newDevice();
  await attacker.goto(origin);
  await attacker.getByRole("button", { name: "I am the owner" }).click();
  await attacker.waitForURL((url) => url.pathname === "/owner");
  const trap = attacker.url();
  const signing = await watchSigning(owner);
  await owner.goto(trap);
  await owner.getByText("Do this only if you just pressed I am the owner in this browser.").waitFor();
  await owner
    .locator(".words")
    .getByText(/^Your passkey signs: this device \(.+\) may use “Home” with “Full control” until/)
    .waitFor();
  const sent = owner.waitForRequest((request) => request.url().endsWith("/owner") && request.method() === "POST");
  await owner.getByRole("button", { name: "Open", exact: true }).click();
  expect((await signing().catch(() => [])).length).toBeLessThanOrEqual(1);
  const { signed } = (await sent).postDataJSON() as { signed: { statement: string } };
  expect(JSON.parse(Buffer.from(signed.statement, "base64url").toString("utf8"))).toMatchObject({ kind: "owner", request: null });
  await owner.getByText("This page did not start that sign-in").waitFor();
  expect(await owner.context().cookies(origin)).toEqual([]);
  await attacker.goto(origin);
  await heading(attacker, "This device must be allowed again");
  // With the state but without the code: nothing either.
  const answer = await attacker.evaluate(async () => (await fetch("/", { headers: { accept: "application/json" } })).status);
  expect(answer).toBe(401);
  await toDashboard();
  await owner.getByText("Was this you?").waitFor();
  await attacker.context().close();
});

test("[PG3] a further passkey, and its end: the page says what the earlier one signs", async () => {
  const signing = await watchSigning(owner);
  await owner.goto(`${home.stack.control.approveOrigin}/account`);
  await owner.getByRole("button", { name: "Add a passkey" }).waitFor();
  const takeAway = await addAuthenticator(owner, "usb");
  // The new key is put aside before the earlier passkey is asked: touched as well, it would answer that it knows nothing.
  await owner.route("**/api/auth/passkeys", async (route) => {
    await takeAway();
    await route.continue();
  });
  const sent = owner.waitForRequest((request) => request.url().endsWith("/endorse"));
  await owner.getByRole("button", { name: "Add a passkey" }).click();
  const { statement } = (await sent).postDataJSON() as { statement: string };
  const call = (await signing()).at(-1);
  expect(call?.challenge).toBe(challengeOf("owner-key", statement));
  expect(call?.text).toContain(
    "An earlier passkey signs: “Passkey 2”, just made on this device, may decide for all gateways of this account.",
  );
  await owner.getByRole("button", { name: "Remove Passkey 2" }).click();
  const removal = owner.waitForRequest((request) => request.url().endsWith("/passkeys/remove"));
  await owner.getByRole("button", { name: "Remove", exact: true }).click();
  const gone = (await removal).postDataJSON() as { statement: string };
  const last = (await signing()).at(-1);
  expect(last?.challenge).toBe(challengeOf("owner-remove", gone.statement));
  expect(last?.text).toContain("A passkey that you keep signs: “Passkey 2” may no longer decide for any gateway of this account");
  await heading(owner, "What your gateways say");
  await owner.getByRole("button", { name: "Continue" }).click();
  await owner.getByRole("button", { name: "Add a passkey" }).waitFor();
  await owner.unroute("**/api/auth/passkeys");
});
