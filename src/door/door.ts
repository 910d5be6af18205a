/** The door: the page that a device sees at a gateway's own origin before it is allowed in. No dependency, no inline script. */
import type { ChallengeResponse, Claims, DoorError, ToDoor } from "../protocol/door-messages.ts";
import { DOOR_PING_MS, SESSION_MS } from "../protocol/limits.ts";
import { ASK_KEYS, SESSION_KEYS, encodeBody, tagged, toBase64url } from "../protocol/statement-encoding.ts";
import { DOOR_PREFIX } from "../protocol/words.ts";
import type { GatewayState } from "../protocol/words.ts";
import { deviceKey } from "./device-key.ts";
import type { HeldKey } from "./device-key.ts";
import { TEXTS, stateText } from "./texts.ts";

const STATE_ITEM = "gatehouse-owner-state";
const LOOP_ITEM = "gatehouse-opened-at";
const RETRY_MS = 3_000;
/** A browser that forgets the cookie at once comes back here again and again: this often in this time is a loop. */
const LOOP_OPENS = 3;
const LOOP_WINDOW_MS = 12_000;

interface Action {
  readonly label: string;
  readonly primary?: boolean;
  run(): void;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(id);
  return found;
}

let shown = "";

/** One view: heading, announced sentence, actions. Moves the focus to the heading when the heading changes. */
function show(title: string, text: string, options: { actions?: readonly Action[]; digits?: string; small?: string } = {}): void {
  document.title = `${title} · Gatehouse`;
  element("title").textContent = title;
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  element("status").replaceChildren(paragraph);
  const digits = element("digits");
  digits.hidden = options.digits === undefined;
  digits.textContent = options.digits ?? "";
  // Screen readers say four digits, not a number in the thousands.
  digits.setAttribute("aria-label", (options.digits ?? "").split("").join(" "));
  digits.setAttribute("role", "img");
  element("small").textContent = options.small ?? "";
  element("actions").replaceChildren(
    ...(options.actions ?? []).map((action) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = action.label;
      if (action.primary === true) button.className = "primary";
      button.addEventListener("click", () => action.run());
      return button;
    }),
  );
  if (shown !== "" && shown !== title) element("title").focus();
  shown = title;
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function claims(): Claims {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent)
    ? "Edge"
    : /Firefox\//.test(agent)
      ? "Firefox"
      : /Chrom(e|ium)\//.test(agent)
        ? "Chrome"
        : /Safari\//.test(agent)
          ? "Safari"
          : "Browser";
  const platform = /iPhone/.test(agent)
    ? "iPhone"
    : /iPad/.test(agent)
      ? "iPad"
      : /Android/.test(agent)
        ? "Android"
        : /Mac OS/.test(agent)
          ? "Mac"
          : /Windows/.test(agent)
            ? "Windows"
            : /Linux/.test(agent)
              ? "Linux"
              : "Unknown";
  return { name: `${browser} on ${platform}`, platform, browser };
}

class Refused extends Error {
  readonly code: DoorError | "failed";
  constructor(code: DoorError | "failed") {
    super(code);
    this.code = code;
  }
}

async function post<T>(path: string, body: object): Promise<T> {
  const response = await fetch(`${DOOR_PREFIX}api/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const value = (await response.json().catch(() => ({}))) as T & { error?: { code?: DoorError } };
  if (!response.ok) throw new Refused(value.error?.code ?? "failed");
  return value;
}

/** Where to go once allowed: this very address, or the gateway's start when the door itself was opened. */
function goOn(): void {
  const path =
    location.pathname.startsWith(DOOR_PREFIX) || location.pathname === "/.gatehouse"
      ? (sessionStorage.getItem("gatehouse-to") ?? "/")
      : location.pathname + location.search;
  location.replace(path.startsWith("/") && !path.startsWith("//") ? path + (location.hash === "#owner" ? "" : location.hash) : "/");
}

class Door {
  readonly #key: HeldKey;
  #socket: WebSocket | null = null;
  #ping: number | undefined;
  #isAsking = false;
  #attempts = 0;
  #view: { request: string; digits: string; askedAtMs: number } | null = null;

  constructor(key: HeldKey) {
    this.#key = key;
  }

  challenge(): Promise<ChallengeResponse> {
    return post("challenge", { key: this.#key.publicKey });
  }

  /** Decides what to show. Silent for a device that is allowed already. */
  async start(activationCode?: string): Promise<void> {
    const answer = await this.challenge();
    const seen = answer.lastSeenMs === null ? null : clock(answer.lastSeenMs);
    if (answer.standing === "allowed" && answer.connector !== null) return this.open(answer, activationCode);
    if (answer.standing === "blocked") return show(TEXTS.refusedTitle, TEXTS.blocked);
    if (answer.standing === "allowed" || answer.standing === "decided") {
      const title = answer.gatewayState === "unsafe" ? TEXTS.unsafeTitle : TEXTS.offlineTitle;
      show(title, answer.standing === "decided" ? TEXTS.allowedOffline : stateText(answer.gatewayState, seen) || TEXTS.opening);
      setTimeout(() => void this.guarded(() => this.start(activationCode)), RETRY_MS);
      return;
    }
    if (activationCode !== undefined) return this.failed(new Refused("not-allowed"));
    if (location.hash === "#owner") {
      history.replaceState(null, "", location.pathname + location.search);
      return this.ownerTrip(answer);
    }
    this.offer(answer, seen);
  }

  offer(answer: ChallengeResponse, seen: string | null): void {
    show(TEXTS.newTitle, TEXTS.newText(answer.gatewayName), {
      actions: [
        { label: TEXTS.owner, primary: true, run: () => this.ownerTrip(answer) },
        { label: TEXTS.ask, run: () => this.ask() },
      ],
      small: stateText(answer.gatewayState, seen) || TEXTS.privateHint,
    });
  }

  /** Top-level trip to the approval page with public data only; the way back brings a one-time code to this browser and no other. */
  ownerTrip(answer: ChallengeResponse): void {
    const state = toBase64url(crypto.getRandomValues(new Uint8Array(24)));
    const to = location.pathname.startsWith(DOOR_PREFIX) ? "/" : location.pathname + location.search;
    sessionStorage.setItem(STATE_ITEM, state);
    sessionStorage.setItem("gatehouse-to", to);
    const query = new URLSearchParams({
      gateway: answer.gateway,
      key: JSON.stringify(this.#key.publicKey),
      name: claims().name,
      state,
      to,
    });
    location.assign(`${answer.approveOrigin}/owner?${query.toString()}`);
  }

  async open(answer: ChallengeResponse, activationCode?: string): Promise<void> {
    if (answer.connector === null || answer.grant === null) throw new Refused("gateway-away");
    const opened = (sessionStorage.getItem(LOOP_ITEM) ?? "").split(" ").filter((each) => Date.now() - Number(each) < LOOP_WINDOW_MS);
    if (opened.length >= LOOP_OPENS) {
      sessionStorage.removeItem(LOOP_ITEM);
      return show(TEXTS.cookiesTitle, TEXTS.cookies, { actions: [{ label: TEXTS.retry, primary: true, run: () => location.reload() }] });
    }
    show(TEXTS.openingTitle, TEXTS.opening);
    const iatMs = answer.serverTimeMs;
    const body = {
      v: 1,
      gateway: answer.gateway,
      device: answer.device,
      grant: answer.grant.id,
      origin: location.origin,
      roomNonce: answer.roomNonce,
      connectorNonce: answer.connector.nonce,
      connectorKey: answer.connector.key,
      iatMs,
      expMs: Math.min(iatMs + SESSION_MS, answer.grant.notAfterMs),
    };
    const bytes = encodeBody(body, SESSION_KEYS);
    const signed = { statement: toBase64url(bytes), signature: await this.#key.sign(tagged("session", bytes)) };
    await post("session", { signed, ...(activationCode === undefined ? {} : { activationCode }) });
    sessionStorage.setItem(LOOP_ITEM, [...opened, Date.now()].join(" "));
    goOn();
  }

  // --- asking ------------------------------------------------------------------------------------------------------------------

  ask(): void {
    this.#isAsking = true;
    this.#attempts = 0;
    show(TEXTS.waitTitle, TEXTS.connecting);
    this.#connect();
  }

  #connect(): void {
    if (this.#socket !== null || !this.#isAsking) return;
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${DOOR_PREFIX}wait`);
    this.#socket = socket;
    socket.addEventListener("message", (event) => {
      if (event.data !== "pong") void this.guarded(() => this.#message(socket, JSON.parse(String(event.data)) as ToDoor));
    });
    socket.addEventListener("open", () => {
      this.#attempts = 0;
      clearInterval(this.#ping);
      this.#ping = window.setInterval(() => socket.readyState === WebSocket.OPEN && socket.send("ping"), DOOR_PING_MS);
    });
    socket.addEventListener("close", () => {
      clearInterval(this.#ping);
      if (this.#socket === socket) this.#socket = null;
      if (!this.#isAsking) return;
      this.#attempts += 1;
      setTimeout(() => this.#connect(), Math.random() * Math.min(15_000, 400 * 2 ** this.#attempts));
    });
  }

  /** Back from sleep or a lost network: the same key takes its request up again. */
  wake(): void {
    if (!this.#isAsking) return;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send("ping");
    else this.#connect();
  }

  #done(): void {
    this.#isAsking = false;
    this.#socket?.close();
  }

  async #message(socket: WebSocket, message: ToDoor): Promise<void> {
    const again: Action = { label: TEXTS.again, primary: true, run: () => this.ask() };
    switch (message.type) {
      case "hello": {
        const answer = await this.challenge();
        if (answer.standing === "allowed") return this.#allowed();
        const body = {
          v: 1,
          gateway: answer.gateway,
          key: this.#key.publicKey,
          origin: location.origin,
          access: "full",
          roomNonce: message.roomNonce,
        };
        const bytes = encodeBody(body, ASK_KEYS);
        const signed = { statement: toBase64url(bytes), signature: await this.#key.sign(tagged("ask", bytes)) };
        socket.send(JSON.stringify({ type: "ask", signed, claims: claims() }));
        return;
      }
      case "waiting":
        if (this.#view?.request !== message.request)
          this.#view = { request: message.request, digits: message.matchCode, askedAtMs: Date.now() };
        show(TEXTS.waitTitle, TEXTS.waitText, { digits: message.matchCode, small: TEXTS.waitSmall(clock(this.#view.askedAtMs)) });
        return;
      case "gateway":
        return this.#gatewayChanged(message.state);
      case "allowed":
        if (message.live) return this.#allowed();
        show(TEXTS.allowedTitle, TEXTS.allowedOffline);
        return;
      case "refused":
        this.#done();
        return show(TEXTS.refusedTitle, message.blocked ? TEXTS.blocked : TEXTS.refused, message.blocked ? {} : { actions: [again] });
      case "ended":
        this.#done();
        if (message.why === "wrong-code") return show(TEXTS.wrongTitle, TEXTS.wrong, { actions: [again] });
        if (message.why === "grant-refused") return show(TEXTS.failedTitle, TEXTS.grantRefused, { actions: [again] });
        return show(TEXTS.expiredTitle, message.why === "replaced" ? TEXTS.replaced : TEXTS.expired, { actions: [again] });
      case "busy":
        this.#done();
        return show(TEXTS.busyTitle, TEXTS.busy, { actions: [again] });
      case "error":
        this.#done();
        throw new Refused(message.code);
    }
  }

  #gatewayChanged(state: GatewayState): Promise<void> | void {
    if (this.#view === null) return;
    const small = stateText(state, null) || TEXTS.waitSmall(clock(this.#view.askedAtMs));
    if (shown === TEXTS.waitTitle) element("small").textContent = small;
    else if (state === "online") return this.#allowed();
  }

  async #allowed(): Promise<void> {
    this.#done();
    show(TEXTS.allowedTitle, TEXTS.allowedText);
    await this.start();
  }

  // --- errors ------------------------------------------------------------------------------------------------------------------

  async guarded(work: () => Promise<void> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    const retry: Action = { label: TEXTS.retry, primary: true, run: () => location.assign(location.pathname + location.search) };
    const askAgain: Action[] = [
      { label: TEXTS.owner, primary: true, run: () => void this.guarded(async () => this.ownerTrip(await this.challenge())) },
      { label: TEXTS.ask, run: () => this.ask() },
    ];
    const code = error instanceof Refused ? error.code : "failed";
    switch (code) {
      case "gateway-away":
        show(TEXTS.offlineTitle, stateText("no-link", null));
        setTimeout(() => void this.guarded(() => this.start()), RETRY_MS);
        return;
      case "token-missing":
      case "token-frozen":
      case "not-allowed":
      case "refused-by-gateway":
        return show(TEXTS.lostTitle, TEXTS.lost, { actions: askAgain });
      case "clock":
        return show(TEXTS.clockTitle, TEXTS.clock, { actions: [retry] });
      case "too-many":
        return show(TEXTS.manyTitle, TEXTS.many, { actions: [retry] });
      default:
        return show(TEXTS.failedTitle, TEXTS.failed, { actions: [retry] });
    }
  }
}

async function main(): Promise<void> {
  if (!isSecureContext) return show(TEXTS.secureTitle, TEXTS.secure);
  let key: HeldKey;
  try {
    key = await deviceKey();
  } catch {
    return show(TEXTS.storageTitle, TEXTS.storage);
  }
  const door = new Door(key);
  for (const event of ["online", "focus", "pageshow"]) window.addEventListener(event, () => door.wake());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && door.wake());
  const { code, state } = document.body.dataset;
  if (code === undefined || state === undefined) return door.guarded(() => door.start());
  // Back from the approval page: only the browser that set out holds this state, so a link sent to a victim gains its sender nothing.
  delete document.body.dataset["code"];
  delete document.body.dataset["state"];
  const expected = sessionStorage.getItem(STATE_ITEM);
  sessionStorage.removeItem(STATE_ITEM);
  history.replaceState(null, "", DOOR_PREFIX);
  if (expected === null || expected !== state) {
    return show(TEXTS.failedTitle, TEXTS.activationLost, {
      actions: [{ label: TEXTS.retry, primary: true, run: () => location.assign("/") }],
    });
  }
  await door.guarded(() => door.start(code));
}

void main();
