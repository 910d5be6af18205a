/** The door: the page that a device sees at a gateway's own origin before it is allowed in. No dependency, no inline script. */
import { accessEndText } from "../core/trust/access-end.ts";
import type { AccessEnd, ChallengeResponse, StandingResponse, ToDoor } from "../protocol/door-messages.ts";
import { doorStep, isAdmittedAnew, lookAgainMs } from "../core/http/door-flow.ts";
import { DOOR_PREFIX } from "../protocol/words.ts";
import type { GatewayState } from "../protocol/words.ts";
import { claims, isInsideAnotherApp } from "./claims.ts";
import { deviceKey } from "./device-key.ts";
import type { HeldKey } from "./device-key.ts";
import { nextPage } from "./next-page.ts";
import { Refused, post } from "./room-calls.ts";
import { signedAsk, signedSession } from "./statements.ts";
import { cameBack, forgetOpenings, goOn, isInLoop, noteOpening, openings, setOut } from "./tab-memory.ts";
import { TEXTS, stateText } from "./texts.ts";
import { clock, setText, show } from "./view.ts";
import type { Action } from "./view.ts";
import { WaitLine } from "./wait-line.ts";

const HELLO_AGAIN_MS = 2_000;
class Door {
  readonly #key: HeldKey;
  readonly #line = new WaitLine({
    message: (message) => void this.guarded(() => this.#message(message)),
    dropped: () => this.#dropped(),
  });
  #isAsking = false;
  #asked: { readonly request: string; readonly atMs: number } | null = null;
  #isAllowedLater = false;
  #gateway: { readonly state: GatewayState; readonly restartMs?: number | undefined } = { state: "online" };
  /** One-time code of the owner's way, until a session was opened with it. */
  #code: string | undefined;
  /** The grant that the last session was asked for, and the one that was refused. */
  #openingGrant: string | null = null;
  #refusedGrant: string | null = null;
  #looks = 0;
  #look: number | undefined;

  constructor(key: HeldKey, code?: string) {
    this.#key = key;
    this.#code = code;
  }

  challenge(): Promise<ChallengeResponse> {
    return post("challenge", { key: this.#key.publicKey });
  }

  /** Decides what to show. Silent for a device that is allowed already. */
  async start(): Promise<void> {
    this.#stopLooking();
    const answer = await this.challenge();
    const seen = answer.lastSeenMs === null ? null : clock(answer.lastSeenMs);
    switch (doorStep(answer, { hasCode: this.#code !== undefined, isOwnerLink: location.hash === "#owner" })) {
      case "open":
        return this.open(answer);
      case "blocked":
        return this.#stopped(await this.#endOf(answer));
      case "wait-for-gateway": {
        const title = answer.gatewayState === "unsafe" ? TEXTS.unsafeTitle : TEXTS.offlineTitle;
        const isDecided = answer.standing === "decided";
        const state = stateText(answer.gatewayState, seen, answer.restartExpectedMs);
        show(title, isDecided ? TEXTS.allowedOffline : state || TEXTS.opening, { small: isDecided ? state : "" });
        return this.#lookAgain();
      }
      case "code-lost":
        this.#code = undefined;
        return show(TEXTS.failedTitle, TEXTS.grantRefused, { actions: this.#ways(), isError: true });
      case "owner-trip":
        history.replaceState(null, "", location.pathname + location.search);
        return this.ownerTrip(answer);
      case "wait-for-owner":
        show(TEXTS.againTitle, TEXTS.againText(answer.gatewayName), { actions: this.#ways(), small: TEXTS.againSmall });
        return this.#lookAgain();
      case "offer":
        return this.offer(answer, seen, this.#key.isNew ? null : await this.#endOf(answer));
    }
  }

  /** What keeps this device out: told only to whoever holds its key. */
  async #endOf(answer: ChallengeResponse): Promise<AccessEnd | null> {
    const { end } = await post<StandingResponse>("standing", { signed: await signedAsk(this.#key, answer) });
    return end;
  }

  /** It may not ask; the owner's own way stays. */
  #stopped(end: AccessEnd | null): void {
    // Ended meanwhile: a fresh look says how it stands now.
    if (end === null) return this.#lookAgain();
    show(end.why === "paused" ? TEXTS.pausedTitle : TEXTS.refusedTitle, accessEndText(end, clock), {
      actions: this.#ways().slice(0, 1),
      small: TEXTS.stoppedOwner,
    });
  }

  #stopLooking(): void {
    clearTimeout(this.#look);
    this.#look = undefined;
  }

  #lookAgain(): void {
    this.#stopLooking();
    this.#look = window.setTimeout(() => void this.guarded(() => this.start()), lookAgainMs(this.#looks));
    this.#looks += 1;
  }

  /** The two ways in, where no fresh answer of the room is at hand. */
  #ways(): Action[] {
    return [
      { label: TEXTS.owner, primary: true, run: () => void this.guarded(async () => this.ownerTrip(await this.challenge())) },
      { label: TEXTS.ask, run: () => this.ask() },
    ];
  }

  offer(answer: ChallengeResponse, seen: string | null, end: AccessEnd | null): void {
    const state = stateText(answer.gatewayState, seen, answer.restartExpectedMs);
    const [title, text] =
      end === null
        ? [TEXTS.newTitle, TEXTS.newText(answer.gatewayName)]
        : [TEXTS.endedTitle, `${accessEndText(end, clock)} ${TEXTS.askAgain}`];
    show(title, text, {
      actions: [
        { label: TEXTS.owner, primary: true, run: () => this.ownerTrip(answer) },
        { label: TEXTS.ask, run: () => this.ask() },
      ],
      small: state === "" ? (isInsideAnotherApp() ? TEXTS.inAppHint : TEXTS.privateHint) : `${state} ${TEXTS.ownerAway}`,
    });
    if (state !== "") this.#lookAgain();
  }

  /** Top-level trip to the approval page with public data only; the way back brings a one-time code to this browser and no other. */
  ownerTrip(answer: ChallengeResponse): void {
    this.#stopLooking();
    const { state, to } = setOut();
    const query = new URLSearchParams({
      gateway: answer.gateway,
      key: JSON.stringify(this.#key.publicKey),
      name: claims().name,
      state,
      to,
    });
    location.assign(`${answer.approveOrigin}/owner?${query.toString()}`);
  }

  async open(answer: ChallengeResponse): Promise<void> {
    const { connector, grant } = answer;
    if (connector === null || grant === null) throw new Refused("gateway-away");
    this.#openingGrant = grant.id;
    if (isInLoop()) return this.#keepsNothing();
    show(TEXTS.openingTitle, TEXTS.opening);
    const signed = await signedSession(this.#key, { ...answer, connector, grant }, await nextPage());
    await post("session", { signed, ...(this.#code === undefined ? {} : { activationCode: this.#code }) });
    noteOpening();
    goOn();
  }

  #keepsNothing(): void {
    forgetOpenings();
    show(TEXTS.cookiesTitle, TEXTS.cookies, {
      actions: [{ label: TEXTS.retry, primary: true, run: () => location.reload() }],
      isError: true,
    });
  }

  // --- asking ------------------------------------------------------------------------------------------------------------------

  ask(): void {
    this.#isAsking = true;
    this.#isAllowedLater = false;
    this.#asked = null;
    this.#stopLooking();
    show(TEXTS.waitTitle, TEXTS.connecting);
    this.#line.start();
  }

  /** Back from sleep or a lost network: the same key takes its request up again; a page that looks for its gateway looks at once. */
  wake(): void {
    if (this.#isAsking) this.#line.wake();
    else if (this.#look !== undefined) void this.guarded(() => this.start());
  }

  #done(): void {
    this.#isAsking = false;
    this.#line.stop();
  }

  #dropped(): void {
    if (this.#asked !== null && !this.#isAllowedLater) setText("small", TEXTS.connecting);
  }

  async #hello(roomNonce: string): Promise<void> {
    let answer: ChallengeResponse;
    try {
      answer = await this.challenge();
    } catch (error) {
      if (error instanceof Refused && error.code !== "too-many") throw error;
      setTimeout(() => this.#isAsking && this.#line.start(), HELLO_AGAIN_MS);
      return;
    }
    if (isAdmittedAnew(answer, this.#refusedGrant)) return this.#allowed();
    const signed = await signedAsk(this.#key, { gateway: answer.gateway, roomNonce });
    this.#line.send({ type: "ask", signed, claims: claims() });
  }

  async #message(message: ToDoor): Promise<void> {
    const again: Action = { label: TEXTS.again, primary: true, run: () => this.ask() };
    switch (message.type) {
      case "hello":
        this.#gateway = { state: message.gatewayState, restartMs: message.restartExpectedMs };
        return this.#hello(message.roomNonce);
      case "waiting": {
        this.#isAllowedLater = false;
        const asked = this.#asked?.request === message.request ? this.#asked : { request: message.request, atMs: Date.now() };
        this.#asked = asked;
        const stop: Action = { label: TEXTS.stop, run: () => this.#withdraw() };
        return show(TEXTS.waitTitle, message.ownerSeen ? TEXTS.waitSeen : TEXTS.waitText, {
          digits: message.matchCode,
          small: this.#waitingSmall(asked.atMs),
          actions: [stop],
        });
      }
      case "gateway":
        this.#gateway = { state: message.state, restartMs: message.restartExpectedMs };
        return this.#gatewayChanged();
      case "allowed":
        if (message.live) return this.#allowed(message.opening);
        this.#isAllowedLater = true;
        return show(TEXTS.allowedTitle, this.#allowedLaterText());
      case "refused":
        this.#done();
        return message.end === null ? show(TEXTS.refusedTitle, TEXTS.refused, { actions: [again] }) : this.#stopped(message.end);
      case "ended":
        this.#done();
        return this.#ended(message.why, again);
      case "busy":
        this.#done();
        return show(TEXTS.busyTitle, TEXTS.busy[message.limit], { actions: [again] });
      case "error":
        this.#done();
        throw new Refused(message.code);
    }
  }

  #ended(why: Extract<ToDoor, { type: "ended" }>["why"], again: Action): Promise<void> | void {
    switch (why) {
      case "withdrawn":
        return this.start();
      case "wrong-code":
        return show(TEXTS.wrongTitle, TEXTS.wrong, { actions: [again] });
      case "grant-refused":
        return show(TEXTS.failedTitle, TEXTS.grantRefused, { actions: [again], isError: true });
      case "over-ceiling":
        return show(TEXTS.ceilingTitle, TEXTS.ceiling, { actions: [again] });
      case "stale-head":
        return show(TEXTS.staleTitle, TEXTS.stale, { actions: [again] });
      case "alarm":
        return show(TEXTS.alarmTitle, TEXTS.alarm, { actions: [again] });
      case "replaced":
        return show(TEXTS.expiredTitle, TEXTS.replaced, { actions: [again] });
      case "expired":
        return show(TEXTS.expiredTitle, TEXTS.expired, { actions: [again] });
    }
  }

  /** The person gave up: the owner's card goes away, too. */
  #withdraw(): void {
    this.#line.send({ type: "withdraw" });
    this.#done();
    void this.guarded(() => this.start());
  }

  #gatewayChanged(): void {
    if (this.#isAllowedLater) setText("text", this.#allowedLaterText());
    else if (this.#asked !== null) setText("small", this.#waitingSmall(this.#asked.atMs));
  }

  #allowedLaterText(): string {
    if (this.#gateway.state === "online") return TEXTS.allowedSoon;
    return `${TEXTS.allowedOffline} ${stateText(this.#gateway.state, null, this.#gateway.restartMs)}`;
  }

  #waitingSmall(askedAtMs: number): string {
    return stateText(this.#gateway.state, null, this.#gateway.restartMs) || TEXTS.waitSmall(clock(askedAtMs));
  }

  /** @param opening what the room sent along, so that a session opens without asking */
  async #allowed(opening?: ChallengeResponse): Promise<void> {
    this.#done();
    show(TEXTS.allowedTitle, TEXTS.allowedText);
    if (opening !== undefined && doorStep(opening, { hasCode: false, isOwnerLink: false }) === "open") {
      try {
        return await this.open(opening);
      } catch (error) {
        // This page slept until its nonces were over: fresh ones.
        if (!(error instanceof Refused)) throw error;
      }
    }
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
    switch (error instanceof Refused ? error.code : "network") {
      case "gateway-away":
        show(TEXTS.offlineTitle, stateText("no-link", null));
        return this.#lookAgain();
      case "network":
        if (this.#isAsking) return;
        show(TEXTS.networkTitle, TEXTS.network, { isError: true });
        return this.#lookAgain();
      case "too-many":
        show(TEXTS.manyTitle, TEXTS.many, { isError: true });
        return this.#lookAgain();
      case "token-missing":
        // Given a moment ago and gone already: asking the owner again would end here again.
        if (openings().length > 0) return this.#keepsNothing();
        return this.#mustAskAnew();
      case "token-frozen":
      case "not-allowed":
      case "refused-by-gateway":
        return this.#mustAskAnew();
      case "clock":
        return show(TEXTS.clockTitle, TEXTS.clock, { actions: [retry], isError: true });
      default:
        this.#done();
        return show(TEXTS.failedTitle, TEXTS.failed, { actions: [retry], isError: true });
    }
  }

  #mustAskAnew(): void {
    this.#code = undefined;
    this.#refusedGrant = this.#openingGrant;
    show(TEXTS.lostTitle, TEXTS.lost, { actions: this.#ways(), isError: true });
  }
}

async function main(): Promise<void> {
  if (!isSecureContext) return show(TEXTS.secureTitle, TEXTS.secure);
  let key: HeldKey;
  try {
    key = await deviceKey();
  } catch {
    const retry = { label: TEXTS.retry, primary: true, run: () => location.reload() };
    return show(TEXTS.storageTitle, TEXTS.storage, { actions: [retry], isError: true });
  }
  const { code, state } = document.body.dataset;
  const door = new Door(key, code);
  for (const event of ["online", "focus", "pageshow"]) window.addEventListener(event, () => door.wake());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && door.wake());
  if (code === undefined || state === undefined) return door.guarded(() => door.start());
  // Back from the approval page: only the browser that set out holds this state, so a link sent to a victim gains its sender nothing.
  delete document.body.dataset["code"];
  delete document.body.dataset["state"];
  const isSame = cameBack(state);
  history.replaceState(null, "", DOOR_PREFIX);
  if (!isSame) {
    return show(TEXTS.failedTitle, TEXTS.activationLost, {
      actions: [{ label: TEXTS.retry, primary: true, run: () => location.assign("/") }],
      isError: true,
    });
  }
  await door.guarded(() => door.start());
}

void main();
