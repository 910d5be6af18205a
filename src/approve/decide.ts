/** The page where an owner decides: facts, four digits, access, expiry, Allow or Deny; and the same-device way. */
import type * as z from "zod";
import { shownAddress } from "../core/http/client-ip.ts";
import { belongsTogether, grantBody, offeredAccess, offeredExpiry } from "../core/trust/decision-view.ts";
import type { Expiry, GrantChoice, OwnerTrip } from "../core/trust/decision-view.ts";
import { activationHash } from "../core/trust/digests.ts";
import type { Ceiling, decisionSchema, PairingRequest } from "../protocol/approval-api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import type { Access, GatewayState } from "../protocol/words.ts";
import { ApiFailure, Told, button, call, facts, h, patientCall, say, view } from "./page.ts";
import { signAct } from "./passkey.ts";
import type { Me } from "./me.ts";
import { ACCESS_TEXTS, EXPIRY_TEXTS, REFUSAL_TEXTS, STATE_TEXTS, TEXTS } from "./texts.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

type Decision = z.infer<typeof decisionSchema>;

/** Long enough to read the result; the person can stay. */
const RETURN_SECONDS = 5;
const LOOK_AGAIN_MS = 3_000;

/** The result of a decision; goes back to the dashboard after an announced pause that the person can stop. */
function done(title: string, text: string, back: string): void {
  const timer = setTimeout(() => location.assign(back), RETURN_SECONDS * 1000);
  const stay = button(TEXTS.stay, "", () => {
    clearTimeout(timer);
    // Over a slow line the dashboard may be on its way already.
    window.stop();
    stay.remove();
    say(TEXTS.staying);
  });
  const link = h("a", { class: "button primary", href: back }, TEXTS.back);
  view(title, h("p", {}, text), h("div", { class: "actions" }, link, stay));
  say(TEXTS.returning(RETURN_SECONDS));
}

/** What became of the yes, in words. What needs the person to do something leaves the time to read it. */
function decided(decision: Decision, name: string, back: string): void {
  const stays = (title: string, text: string): void => {
    const link = h("a", { class: "button primary", href: back }, TEXTS.back);
    view(title, h("p", {}, text), h("div", { class: "actions" }, link));
  };
  switch (decision.outcome) {
    case "applied":
      return done(TEXTS.allowedTitle, TEXTS.allowedText(name), back);
    case "refused":
      return stays(TEXTS.refusedTitle, REFUSAL_TEXTS[decision.refusal ?? "other"]);
    default:
      return done(TEXTS.waitingTitle, TEXTS.waitingText, back);
  }
}

/** A yes that the gateway's side did not take: most often a passkey that no earlier one confirmed. */
function refusedYes(error: unknown): never {
  throw error instanceof ApiFailure && error.code === "grant-refused" ? new Told(TEXTS.yesRefused) : error;
}

export function radios(
  legend: string,
  name: string,
  choices: readonly (readonly [value: string, label: string, hint: string])[],
  chosen: string,
): HTMLFieldSetElement {
  const rows = choices.map(([value, label, hint]) => {
    const id = `${name}-${value}`;
    const input = h("input", { type: "radio", name, value, id, checked: value === chosen });
    const text = h("span", {}, label, ...(hint === "" ? [] : [h("br"), h("span", { class: "small" }, hint)]));
    return h("label", { for: id }, input, text);
  });
  return h("fieldset", {}, h("legend", {}, legend), ...rows);
}

export function chosen(name: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";
}

export function choices(requested: Access, ceiling: Ceiling | null): HTMLFieldSetElement[] {
  const levels = offeredAccess(requested, ceiling);
  const access = levels.map((level) => [level, ACCESS_TEXTS[level].label, ACCESS_TEXTS[level].hint] as const);
  const lives = offeredExpiry(ceiling);
  const expiry = lives.map((value) => [value, EXPIRY_TEXTS[value], ""] as const);
  return [radios(TEXTS.access, "access", access, levels[0] ?? ""), radios(TEXTS.endsAfter, "expiry", expiry, lives.at(-1) ?? "")];
}

/** @returns what is known of how a request ended */
function overText(error: unknown): string {
  const code = error instanceof ApiFailure ? error.code : "";
  return code === "already-allowed" ? TEXTS.alreadyAllowed : code === "already-denied" ? TEXTS.alreadyDenied : TEXTS.goneText;
}

/** What the choice on the screen amounts to, about one key. */
async function chosenGrant(gatewayName: string, about: Omit<GrantChoice, "access" | "expiry">): Promise<Act> {
  const choice: GrantChoice = { ...about, access: chosen("access") as Access, expiry: chosen("expiry") as Expiry };
  return { type: "grant", body: await grantBody(choice, Date.now()), gatewayName };
}

function signGrant(person: Me, act: Act) {
  return signAct(act, person.passkeys.map((passkey) => passkey.credentialId)); // prettier-ignore
}

/** The sentence that the passkey will sign, renewed with every choice; call after the choices are on the screen. */
async function showWords(words: HTMLElement, act: () => Promise<Act>): Promise<void> {
  let newest = 0;
  const renew = async (): Promise<void> => {
    newest += 1;
    const mine = newest;
    const text = actWords(await act());
    // Two choices in quick succession: the earlier one's sentence may be ready last.
    if (mine === newest) words.textContent = text;
  };
  for (const input of document.querySelectorAll('input[type="radio"]')) input.addEventListener("change", () => void renew());
  await renew();
}

/** The card's page: what a device asks, and the owner's answer. */
export async function decide(person: Me, gateway: string, request: string, back: string): Promise<void> {
  const base = `/api/decisions/${gateway}/requests/${request}`;
  let asked: PairingRequest;
  try {
    asked = await patientCall<PairingRequest>("GET", base);
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    const isOver = ["not-found", "request-over", "already-allowed", "already-denied"].includes(error.code);
    const text = isOver ? overText(error) : error.message;
    view(TEXTS.overTitle, h("p", {}, text), h("a", { class: "button primary", href: back }, TEXTS.back));
    return;
  }
  const code = h("input", {
    class: "code",
    id: "code",
    type: "text",
    inputmode: "numeric",
    autocomplete: "off",
    maxlength: "4",
    pattern: "[0-9]{4}",
    "aria-describedby": "code-hint",
  });
  const hint = h("p", { id: "code-hint", class: "small" }, TEXTS.tries(asked.triesLeft));
  const block = h("input", { type: "checkbox", id: "block" });
  /** @returns null when the request is over and the page says so; throws what the person can mend */
  const fail = async (error: unknown): Promise<null> => {
    if (error instanceof ApiFailure && error.code === "match-code-wrong" && error.triesLeft !== undefined && error.triesLeft > 0) {
      code.value = "";
      code.focus();
      hint.textContent = TEXTS.tries(error.triesLeft);
      throw new Told(TEXTS.digitsWrong(error.triesLeft));
    }
    if (error instanceof ApiFailure && (error.code === "match-code-wrong" || error.code === "request-over")) {
      // Somebody else may have decided while this page was open: the room says so to whoever looks again.
      const ended: unknown = error.code === "request-over" ? await call("GET", base).catch((reason: unknown) => reason) : error;
      done(TEXTS.overTitle, error.code === "match-code-wrong" ? TEXTS.digitsSpent : overText(ended), back);
      return null;
    }
    return refusedYes(error);
  };
  const allow = async (): Promise<void> => {
    const typed = code.value.trim();
    if (!/^\d{4}$/.test(typed)) {
      code.focus();
      throw new Told(TEXTS.digitsMissing);
    }
    if ((await call("POST", `${base}/match`, { code: typed }).catch(fail)) === null) return;
    if (!(await belongsTogether(gateway, asked, typed))) throw new Told(TEXTS.notTogether);
    const signed = await signGrant(person, await act());
    say(TEXTS.allowing);
    const decision = await call<Decision>("POST", `${base}/allow`, { code: typed, signed }).catch(fail);
    if (decision === null) return;
    decided(decision, asked.claims.name, back);
  };
  const act = (): Promise<Act> =>
    chosenGrant(asked.gatewayName, {
      gateway,
      key: asked.key,
      name: asked.claims.name,
      kind: "ask",
      request: asked.id,
      activation: null,
      head: asked.head,
      isOnline: asked.gatewayState === "online",
    });
  const words = h("p", { class: "words", "aria-live": "polite" });
  const deny = async (): Promise<void> => {
    if ((await call("POST", `${base}/deny`, { block: block.checked }).catch(fail)) === null) return;
    done(TEXTS.deniedTitle, block.checked ? TEXTS.blockedText : TEXTS.deniedText, back);
  };
  const denyButton = button(TEXTS.deny, "danger", deny);
  const { claims, observed } = asked;
  const address = shownAddress(observed.address);
  view(
    TEXTS.decideTitle(asked.gatewayName),
    h("p", {}, TEXTS.decideText),
    h("h2", {}, TEXTS.says),
    facts([
      [TEXTS.name, claims.name],
      [TEXTS.system, claims.platform],
      [TEXTS.browser, claims.browser],
      [TEXTS.wants, ACCESS_TEXTS[asked.requestedAccess].label],
    ]),
    h("h2", {}, TEXTS.saw),
    facts([
      ...(address === null
        ? ([[TEXTS.address, TEXTS.thisNetwork]] as const)
        : ([
            [TEXTS.address, address],
            [TEXTS.country, observed.country ?? TEXTS.notKnown],
          ] as const)),
      [TEXTS.askedAt, new Date(asked.createdAtMs).toLocaleTimeString()],
    ]),
    h("label", { for: "code" }, TEXTS.digits),
    code,
    hint,
    ...choices(asked.requestedAccess, asked.ceiling),
    h("p", { class: "small" }, TEXTS.residue),
    h("label", { class: "check", for: "block" }, block, TEXTS.block),
    words,
    h("div", { class: "row" }, denyButton, button(TEXTS.allow, "primary", allow)),
  );
  // The safe answer is the one that a stray Enter gives. At once: a moment later the person may be typing the digits.
  denyButton.focus();
  await showWords(words, act);
}

interface OwnGateway {
  readonly gatewayName: string;
  readonly gatewayState: GatewayState;
  readonly origin: string;
  readonly head: string | null;
  readonly ceiling: Ceiling | null;
}

/** Waits with a page that says why, until the gateway can be opened: a code given meanwhile would be too old by then. */
async function untilOnline(seen: OwnGateway, look: () => Promise<OwnGateway>): Promise<OwnGateway> {
  const state = h("p", { role: "status" }, STATE_TEXTS[seen.gatewayState]);
  view(TEXTS.awayTitle(seen.gatewayName), state, h("p", {}, TEXTS.awayText));
  for (;;) {
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_AGAIN_MS);
    });
    const now = await look();
    if (now.gatewayState === "online") return now;
    const text = STATE_TEXTS[now.gatewayState];
    if (state.textContent !== text) state.textContent = text;
  }
}

/** The owner's own device: one passkey gesture, then back with a one-time code that only this browser receives. */
export async function ownerHere(person: Me, trip: OwnerTrip): Promise<void> {
  const { gateway, key, name, state } = trip;
  const base = `/api/decisions/${gateway}/owner`;
  const look = (): Promise<OwnGateway> =>
    patientCall<OwnGateway>("GET", base).catch((error: unknown) => {
      throw error instanceof ApiFailure && error.code === "not-found" ? new Told(TEXTS.notYours) : error;
    });
  const seen = await look();
  const info = seen.gatewayState === "online" ? seen : await untilOnline(seen, look);
  const secret = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const activation = await activationHash(secret);
  const act = (): Promise<Act> =>
    chosenGrant(info.gatewayName, { gateway, key, name, kind: "owner", request: null, activation, head: info.head, isOnline: true });
  const words = h("p", { class: "words", "aria-live": "polite" });
  const open = async (): Promise<void> => {
    if ((await look()).gatewayState !== "online") return ownerHere(person, trip);
    const signed = await signGrant(person, await act());
    say(TEXTS.opening);
    const decision = await call<Decision>("POST", base, { signed }).catch(refusedYes);
    if (decision.outcome === "refused") throw new Told(REFUSAL_TEXTS[decision.refusal ?? "other"]);
    // A form post: the code is in no address, no history and no log.
    const form = h(
      "form",
      { method: "post", action: `${info.origin}/.gatehouse/activate` },
      h("input", { type: "hidden", name: "code", value: secret }),
      h("input", { type: "hidden", name: "state", value: state }),
    );
    document.body.append(form);
    form.submit();
  };
  view(
    TEXTS.ownerTitle(info.gatewayName),
    h("p", {}, TEXTS.ownerText),
    facts([[TEXTS.thisDevice, name]]),
    ...choices("full", info.ceiling),
    h("p", { class: "small" }, TEXTS.residue),
    words,
    h("div", { class: "actions" }, button(TEXTS.open, "primary", open)),
  );
  await showWords(words, act);
}
