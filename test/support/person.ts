/** A person and devices without a browser, over the same HTTP API that the pages use: sign-up, claim, allow, open a session, cut. For load. */
import { createHmac } from "node:crypto";
import http from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { once } from "node:events";
import { WebSocket } from "ws";
import { checkWords } from "../../src/core/trust/check-words.ts";
import { claimMacBytes, genesisBytes, genesisOf } from "../../src/core/trust/enrolment.ts";
import type { GenesisDraft } from "../../src/protocol/statements.ts";
import { activationHash, deviceId, sha256 } from "../../src/core/trust/digests.ts";
import type { InboxNotice, Receipt } from "../../src/protocol/api.ts";
import type { EnrolmentView } from "../../src/protocol/enrolment-api.ts";
import type { ChallengeResponse } from "../../src/protocol/door-messages.ts";
import type { ProposalNotice } from "../../src/protocol/proposals-api.ts";
import { SESSION_MS } from "../../src/protocol/limits.ts";
import { fromBase64url, tagged, toBase64url, utf8 } from "../../src/protocol/statement-encoding.ts";
import type { Access } from "../../src/protocol/words.ts";
import type { ControlPlane } from "../../scripts/control-plane.ts";
import { newAuthenticator } from "./fake-authenticator.ts";
import type { Authenticator } from "./fake-authenticator.ts";
import { grantBytes, newDevice } from "./fake-device.ts";
import type { FakeDevice } from "./fake-device.ts";
import { signWidening } from "./test-key-log.ts";
import type { RunningConnector } from "./stack.ts";

/** Keeps sockets open, as a browser does. */
const agent = new http.Agent({ keepAlive: true });
const NAME = "Ada";

interface Answer<T> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: T;
}

interface Asked {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * One request to an origin of the local control plane, as a page of that origin sends it. Dials loopback, because names below `localhost`
 * do not resolve everywhere outside browsers.
 *
 * @throws Error with status and body for any answer that is not 2xx
 */
async function call<T>(origin: string, path: string, asked: Asked = {}): Promise<Answer<T>> {
  const answer = await callText(origin, path, asked);
  return { ...answer, body: (answer.body === "" ? null : JSON.parse(answer.body)) as T };
}

/** The same, with the answer's body as it came. */
async function callText(origin: string, path: string, asked: Asked): Promise<Answer<string>> {
  const { host, port } = new URL(origin);
  const body = asked.body === undefined ? undefined : JSON.stringify(asked.body);
  const headers = { host, origin, ...(body === undefined ? {} : { "content-type": "application/json" }), ...asked.headers };
  const answer = await new Promise<Answer<string>>((resolve, reject) => {
    const request = http.request({
      host: "127.0.0.1",
      port,
      path,
      method: asked.method ?? (body === undefined ? "GET" : "POST"),
      headers,
      agent,
    });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    request.end(body);
  });
  if (answer.status < 200 || answer.status > 299) throw new Error(`${path} answered ${answer.status}: ${answer.body.slice(0, 300)}`);
  return answer;
}

/**
 * Looks, and looks again whenever the account's inbox says something, as the dashboard does.
 *
 * @param headers with the cookie of the dashboard's session
 * @returns what `look` found
 * @throws Error when the inbox refuses its socket or closes it
 */
async function untilFound<T>(appOrigin: string, headers: Readonly<Record<string, string>>, look: () => Promise<T | null>): Promise<T> {
  const { host, port } = new URL(appOrigin);
  const inbox = new WebSocket(`ws://127.0.0.1:${port}/api/inbox`, { headers: { host, origin: appOrigin, ...headers } });
  let hear: () => void = () => undefined;
  let isNews = false;
  inbox.on("message", () => {
    isNews = true;
    hear();
  });
  const closed = once(inbox, "close").then(() => Promise.reject(new Error("the inbox closed its socket")));
  closed.catch(() => undefined);
  try {
    // First, so that no change is missed between a look and the wait for the next message.
    await once(inbox, "open");
    for (;;) {
      const heard = new Promise<void>((resolve) => {
        hear = resolve;
      });
      isNews = false;
      const found = await look();
      if (found !== null) return found;
      if (!isNews) await Promise.race([heard, closed]);
    }
  } finally {
    inbox.terminate();
  }
}

function cookieOf(headers: IncomingHttpHeaders): string {
  return (headers["set-cookie"] ?? []).map((line) => line.split(";", 1)[0] ?? "").join("; ");
}

/** CBOR (RFC 8949 §3) of what an attestation without statement holds; every length here is below 2^16. */
function cborHead(major: number, length: number): number[] {
  if (length < 24) return [(major << 5) | length];
  return length < 256 ? [(major << 5) | 24, length] : [(major << 5) | 25, length >> 8, length & 255];
}
const cborText = (text: string): number[] => [...cborHead(3, utf8(text).byteLength), ...utf8(text)];
const cborBytes = (bytes: Uint8Array): number[] => [...cborHead(2, bytes.byteLength), ...bytes];

/** RegistrationResponseJSON of a passkey for a server nonce, attestation `none` (WebAuthn L3 §6.5, §8.7). */
async function registration(authenticator: Authenticator, origin: string, nonce: string): Promise<object> {
  const { credentialId, key } = authenticator.ownerKey;
  if (key.kty !== "EC") throw new TypeError("an ES256 key was expected");
  const id = fromBase64url(credentialId) ?? new Uint8Array();
  // COSE_Key (RFC 9052 §7): EC2, ES256, P-256, x, y.
  const cose = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, ...cborBytes(fromBase64url(key.x) ?? new Uint8Array()), 0x22];
  cose.push(...cborBytes(fromBase64url(key.y) ?? new Uint8Array()));
  const rpIdHash = await sha256(utf8(new URL(origin).hostname));
  // User present, user verified, attested credential data; counter and AAGUID zero.
  const authData = Uint8Array.from([...rpIdHash, 0x45, 0, 0, 0, 0, ...new Uint8Array(16), 0, id.byteLength, ...id, ...cose]);
  const attestation = [0xa3, ...cborText("fmt"), ...cborText("none"), ...cborText("attStmt"), 0xa0, ...cborText("authData")];
  attestation.push(...cborBytes(authData));
  const challenge = toBase64url(await sha256(tagged("register", fromBase64url(nonce) ?? new Uint8Array())));
  const clientData = utf8(JSON.stringify({ type: "webauthn.create", challenge, origin, crossOrigin: false }));
  return {
    id: credentialId,
    rawId: credentialId,
    type: "public-key",
    clientExtensionResults: {},
    response: { clientDataJSON: toBase64url(clientData), attestationObject: toBase64url(Uint8Array.from(attestation)) },
  };
}

export interface AdmittedDevice {
  readonly id: string;
  /** Headers of its browser's WebSocket upgrade, `Host` included: dial 127.0.0.1. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A device with a signed grant and no session yet. */
export interface GrantedDevice {
  readonly id: string;
  /** Opens its session, as its door page does. @param openclaw key that the stock page will show to OpenClaw @throws Error with what the room or the connector answers instead */
  open(openclaw?: { readonly id: string }): Promise<AdmittedDevice>;
}

export interface Person {
  readonly authenticator: Authenticator;
  /** Presses Add gateway. @returns the gateway, and the code to run `up` with */
  addGateway(name: string): Promise<{ readonly id: string; readonly enrolment: string; readonly code: string }>;
  /** Plays the page's part in the ceremony of a code, signature included. @returns the check words that the page shows */
  checkWords(enrolment: string, gatewayName: string): Promise<string>;
  /** Signs a grant for a new device, of this person's own kind. `number` gives it an address of its own. */
  grant(gateway: string, number: number, access?: Access): Promise<GrantedDevice>;
  /** Claims the machine behind a connector's claim link. @returns the gateway's id */
  claim(connector: RunningConnector, name: string): Promise<string>;
  /**
   * Allows one new device of this person and opens its session: grant signed by the passkey, checked by room and connector, session signed
   * by the device's own key. `number` gives each device an address of its own.
   */
  admit(gateway: string, number: number): Promise<AdmittedDevice>;
  /** *Cut now*. @returns the receipt */
  cut(gateway: string, device: string): Promise<Receipt>;
  /** Approves the change that the gateway's machine asks for, as soon as it is shown. */
  approveChange(gateway: string): Promise<void>;
  /** GET of the dashboard's API. */
  get<T>(path: string): Promise<T>;
  /** The same for what is no JSON. */
  text(path: string): Promise<string>;
  /** Looks until something is found, whenever the account's inbox says something. */
  until<T>(look: () => Promise<T | null>): Promise<T>;
  /** POST of the dashboard's API. */
  post<T>(path: string, body?: object): Promise<T>;
}

/** Signs a new person up with a passkey of software and signs the dashboard in. */
export async function newPerson(control: ControlPlane): Promise<Person> {
  const { appOrigin, approveOrigin } = control;
  const authenticator = await newAuthenticator(approveOrigin);
  const { body: fresh } = await call<{ nonce: string }>(approveOrigin, "/api/auth/nonce", { body: {} });
  const signUp = {
    nonce: fresh.nonce,
    name: NAME,
    userHandle: toBase64url(crypto.getRandomValues(new Uint8Array(32))),
    response: await registration(authenticator, approveOrigin, fresh.nonce),
  };
  const signedUp = await call<{ account: { id: string } }>(approveOrigin, "/api/auth/sign-up", { body: signUp });
  const approve = { cookie: cookieOf(signedUp.headers) };
  const account = signedUp.body.account.id;
  const verifier = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const challenge = toBase64url(await sha256(utf8(verifier)));
  const { body: handoff } = await call<{ code: string }>(approveOrigin, "/api/auth/handoff", { body: { challenge }, headers: approve });
  const app = { cookie: cookieOf((await call(appOrigin, "/api/session", { body: { code: handoff.code, verifier } })).headers) };

  const originOf = (gateway: string): string => appOrigin.replace("://", `://${gateway}.`);

  /** The page's part of a ceremony: fixes the terms, waits for the machine, signs. `secret`: of a claim link. */
  async function playPage(enrolment: string, gatewayName: string, secret: string | null): Promise<() => Promise<string>> {
    const path = `/api/enrolments/${enrolment}`;
    const view = await enrolmentView(enrolment, (seen) => seen.state === "redeemed");
    const { connectorKey, commitment, gateway, gatewayOrigin, machine } = view;
    if (connectorKey === null || commitment === null || gateway === null || gatewayOrigin === null || machine === null)
      throw new Error("the connector promised nothing");
    const pageNonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const nowMs = Date.now();
    const draft: GenesisDraft = {
      v: 1,
      gateway,
      gatewayOrigin,
      appOrigin,
      approveOrigin,
      rpId: new URL(approveOrigin).hostname,
      connectorKey,
      account,
      ownerKey: authenticator.ownerKey,
      issuedAtMs: nowMs,
      applyByMs: nowMs + 60_000,
    };
    await call(approveOrigin, `${path}/propose`, { body: { nonce: pageNonce, draft }, headers: approve });
    const { connectorNonce } = await enrolmentView(enrolment, (seen) => seen.connectorNonce !== null);
    const transcript = { enrolment, commitment, connectorNonce: connectorNonce ?? "", pageNonce };
    const names = { gatewayName, accountName: NAME, machineName: machine.name };
    const genesis = genesisBytes(await genesisOf(draft, { ...transcript, ...names }));
    return async () => {
      const signed = await authenticator.sign("genesis", genesis);
      const mac =
        secret === null
          ? {}
          : { mac: createHmac("sha256", Buffer.from(secret, "base64url")).update(claimMacBytes(genesis)).digest("base64url") };
      const words = await checkWords(genesis);
      await call(approveOrigin, `${path}/sign`, { body: { signed, ...mac }, headers: approve });
      return words;
    };
  }

  async function claim(connector: RunningConnector, name: string): Promise<string> {
    const link = new URL(String((await connector.until((event) => event.event === "claim-link", "claim link"))["url"]));
    const [enrolment = "", secret = ""] = link.hash.slice(1).split(".");
    const made = { body: { name }, headers: approve };
    const { body: claimed } = await call<{ gateway: string }>(approveOrigin, `/api/enrolments/${enrolment}/claim`, made);
    await (
      await playPage(enrolment, name, secret)
    )();
    await enrolmentView(enrolment, (seen) => seen.state === "done");
    return claimed.gateway;
  }

  async function addGateway(name: string): Promise<{ id: string; enrolment: string; code: string }> {
    const made = { body: { name }, headers: app };
    const { body } = await call<{ gateway: { id: string }; enrolment: string; code: string }>(appOrigin, "/api/gateways", made);
    return { id: body.gateway.id, enrolment: body.enrolment, code: body.code };
  }

  async function enrolmentView(enrolment: string, isFar: (view: EnrolmentView) => boolean): Promise<EnrolmentView> {
    return untilFound(appOrigin, app, async () => {
      const { body } = await call<EnrolmentView>(approveOrigin, `/api/enrolments/${enrolment}`, { headers: approve });
      return isFar(body) ? body : null;
    });
  }

  async function words(enrolment: string, gatewayName: string): Promise<string> {
    return (await playPage(enrolment, gatewayName, null))();
  }

  async function grant(gateway: string, number: number, access: Access = "full"): Promise<GrantedDevice> {
    const device = await newDevice();
    // An address per device: what limits strangers counts by address.
    const headers = { "cf-connecting-ip": `198.18.${(number >> 8) & 255}.${number & 255}` };
    const activationCode = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const activation = await activationHash(activationCode);
    const { body: shown } = await call<{ head: string | null }>(approveOrigin, `/api/decisions/${gateway}/owner`, { headers: approve });
    const changes = { kind: "owner", request: null, activation, access, head: shown.head, name: `Device ${number}` } as const;
    const signed = await authenticator.sign("grant", await grantBytes(gateway, device.key, Date.now(), changes));
    await call(approveOrigin, `/api/decisions/${gateway}/owner`, { body: { signed }, headers: approve });
    return { id: await deviceId(gateway, device.key), open: (openclaw) => open(device, { gateway, headers, activationCode }, openclaw) };
  }

  async function open(
    device: FakeDevice,
    { gateway, headers, activationCode }: { gateway: string; headers: Readonly<Record<string, string>>; activationCode: string },
    openclaw?: { readonly id: string },
  ): Promise<AdmittedDevice> {
    const origin = originOf(gateway);
    const { body: asked } = await call<ChallengeResponse>(origin, "/.gatehouse/api/challenge", { body: { key: device.key }, headers });
    if (asked.standing !== "allowed" || asked.grant === null) throw new Error(`the device is ${asked.standing}`);
    if (asked.connector === null) throw new Error(`the gateway is away: ${asked.gatewayState}`);
    const statement = await device.session({
      gateway,
      device: asked.device,
      grant: asked.grant.id,
      origin,
      roomNonce: asked.roomNonce,
      connectorNonce: asked.connector.nonce,
      connectorKey: asked.connector.key,
      ...(openclaw === undefined ? {} : { handover: { key: Buffer.from(openclaw.id, "hex").toString("base64url") } }),
      iatMs: asked.serverTimeMs,
      expMs: Math.min(asked.serverTimeMs + SESSION_MS, asked.grant.notAfterMs),
    });
    const opened = await call(origin, "/.gatehouse/api/session", { body: { signed: statement, activationCode }, headers });
    return { id: asked.device, headers: { ...headers, host: new URL(origin).host, origin, cookie: cookieOf(opened.headers) } };
  }

  async function waitingChange(gateway: string): Promise<ProposalNotice> {
    return untilFound(appOrigin, app, async () => {
      const { body } = await call<{ notices: InboxNotice[] }>(appOrigin, "/api/requests", { headers: app });
      return body.notices.find((each): each is ProposalNotice => "change" in each && each.gateway === gateway) ?? null;
    });
  }

  async function approveChange(gateway: string): Promise<void> {
    const { id, change } = await waitingChange(gateway);
    const signed = await signWidening(authenticator, gateway, id, change, Date.now());
    await call(approveOrigin, `/api/decisions/${gateway}/proposals/${id}/approve`, { body: { signed }, headers: approve });
  }

  return {
    authenticator,
    approveChange,
    claim,
    addGateway,
    checkWords: words,
    grant,
    admit: async (gateway, number) => (await grant(gateway, number)).open(),
    cut: async (gateway, device) =>
      (await call<Receipt>(appOrigin, `/api/gateways/${gateway}/devices/${device}/cut`, { body: {}, headers: app })).body,
    text: async (path) => (await callText(appOrigin, path, { headers: app })).body,
    post: async <T>(path: string, body: object = {}) => (await call<T>(appOrigin, path, { body, headers: app })).body,
    get: async <T>(path: string) => (await call<T>(appOrigin, path, { headers: app })).body,
    until: (look) => untilFound(appOrigin, app, look),
  };
}

/** Waits until the dashboard's API calls the gateway online. */
export async function untilOnline(person: Person, gateway: string): Promise<void> {
  await person.until(async () => {
    const { gateways } = await person.get<{ gateways: { id: string; state: string }[] }>("/api/gateways");
    return gateways.find((each) => each.id === gateway && each.state === "online") ?? null;
  });
}
