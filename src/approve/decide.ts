/** The page where an owner decides: facts, four digits, access, expiry, Allow or Deny; and the same-device way. */
import type { z } from "zod";
import { deviceId, matchCode, requestId, sha256 } from "../core/digests.ts";
import type { decisionSchema, PairingRequest } from "../protocol/api.ts";
import { APPLY_BY_MS, APPLY_BY_OFFLINE_MS } from "../protocol/limits.ts";
import { GRANT_KEYS, encodeBody, toBase64url, utf8 } from "../protocol/statement-encoding.ts";
import type { DeviceKey } from "../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../protocol/words.ts";
import type { Access, GatewayState } from "../protocol/words.ts";
import { ApiFailure, button, call, h, say, view } from "./page.ts";
import { signStatement } from "./passkey.ts";
import type { Me } from "./sign-in.ts";

type Decision = z.infer<typeof decisionSchema>;

const ACCESS_TEXT: Readonly<Record<Access, readonly [string, string]>> = {
  full: ["Full control", "Everything you can do, settings and other devices included."],
  chat: ["Chat", "Talk to the agent and answer its questions; no settings."],
  look: ["Look only", "See what happens, change nothing."],
};
const EXPIRY_TEXT = [["hour", "1 hour"], ["day", "1 day"], ["quarter", "90 days"]] as const; // prettier-ignore

function radios(
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

function chosen(name: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";
}

function choices(requested: Access): HTMLFieldSetElement[] {
  const order: Access[] = ["full", "chat", "look"];
  const allowed = order.slice(order.indexOf(requested));
  return [
    radios("Access", "access", allowed.map((access) => [access, ...ACCESS_TEXT[access]]), requested),
    radios("Ends after", "expiry", EXPIRY_TEXT.map(([value, label]) => [value, label, ""]), "quarter"),
  ]; // prettier-ignore
}

function facts(rows: readonly (readonly [string, string])[]): HTMLDListElement {
  return h("dl", {}, ...rows.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
}

const RESIDUE = "Chat and Look only hold for this address. A device that reaches the gateway on another path could do more there.";

interface GrantInput {
  readonly gateway: string;
  readonly key: DeviceKey;
  readonly name: string;
  readonly kind: "ask" | "owner";
  readonly request: string | null;
  readonly activation: string | null;
  readonly isOffline: boolean;
}

/** Writes and signs the statement of what is on the screen, from the key that it is about. */
async function signGrant(person: Me, input: GrantInput) {
  const issuedAtMs = Date.now();
  const life = EXPIRY_CHOICES_MS[chosen("expiry") as keyof typeof EXPIRY_CHOICES_MS];
  const body = {
    v: 1,
    gateway: input.gateway,
    device: await deviceId(input.gateway, input.key),
    key: input.key,
    name: input.name,
    access: chosen("access"),
    kind: input.kind,
    request: input.request,
    activation: input.activation,
    issuedAtMs,
    applyByMs: issuedAtMs + (input.isOffline ? APPLY_BY_OFFLINE_MS : APPLY_BY_MS),
    notAfterMs: issuedAtMs + life,
  };
  return signStatement("grant", encodeBody(body, GRANT_KEYS), person.passkeys.map((passkey) => passkey.credentialId)); // prettier-ignore
}

function cleanName(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control and direction characters are what it removes
  const cleaned = text.replace(/[\u0000-\u001f\u007f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "").trim();
  return cleaned.slice(0, 64) || "Device";
}

/** The card's page: what a device asks, and the owner's answer. */
export async function decide(person: Me, gateway: string, request: string, back: string): Promise<void> {
  const base = `/api/decisions/${gateway}/requests/${request}`;
  let asked: PairingRequest;
  try {
    asked = await call<PairingRequest>("GET", base);
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    view("This request is over", h("p", {}, error.message), h("a", { class: "button", href: back }, "Back to Gatehouse"));
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
  const block = h("input", { type: "checkbox", id: "block" });
  const done = (title: string, text: string): void => {
    view(title, h("p", {}, text), h("a", { class: "button primary", href: back }, "Back to Gatehouse"));
  };
  const fail = (error: unknown): never => {
    if (error instanceof ApiFailure && error.code === "match-code-wrong" && error.triesLeft !== undefined && error.triesLeft > 0) {
      code.value = "";
      code.focus();
      throw new Error(`Those are not the four digits on the device. ${error.triesLeft} ${error.triesLeft === 1 ? "try" : "tries"} left.`);
    }
    if (error instanceof ApiFailure && (error.code === "match-code-wrong" || error.code === "request-over")) {
      done(
        "This request is over",
        error.code === "request-over" ? error.message : "Wrong digits were typed three times. The device can ask again.",
      );
    }
    throw error;
  };
  const allow = async (): Promise<void> => {
    const typed = code.value.trim();
    if (!/^\d{4}$/.test(typed)) {
      code.focus();
      throw new Error("Type the four digits that the device shows.");
    }
    await call("POST", `${base}/match`, { code: typed }).catch(fail);
    // Computed here from the key that is about to be signed: a relay that swapped the key would be seen.
    const { key, roomNonce, requestedAccess } = asked;
    const isSame =
      (await matchCode(gateway, key, roomNonce)) === typed &&
      (await requestId(gateway, key, requestedAccess, roomNonce)) === asked.id &&
      (await deviceId(gateway, key)) === asked.device;
    if (!isSame) throw new Error("The request on this page does not belong to those digits. Nothing was allowed.");
    const isOffline = asked.gatewayState !== "online";
    const signed = await signGrant(person, {
      gateway,
      key,
      name: cleanName(asked.claims.name),
      kind: "ask",
      request: asked.id,
      activation: null,
      isOffline,
    });
    say("Allowing …");
    const decision = await call<Decision>("POST", `${base}/allow`, { code: typed, signed }).catch(fail);
    if (decision.outcome === "applied") done("Allowed", `${asked.claims.name} is connecting by itself.`);
    else done("Allowed, waiting", "The gateway is away. The decision takes effect as soon as it is back.");
  };
  const deny = async (): Promise<void> => {
    await call("POST", `${base}/deny`, { block: block.checked }).catch(fail);
    done("Denied", block.checked ? "The device was told, and cannot ask again." : "The device was told.");
  };
  const denyButton = button("Deny", "danger", deny);
  const { claims, observed } = asked;
  view(
    `Allow a device on “${asked.gatewayName}”?`,
    h("p", {}, "Allow only a device that you hold, or whose screen you can see."),
    h("h2", {}, "What the device says"),
    facts([["Name", claims.name], ["System", claims.platform], ["Browser", claims.browser], ["Wants", ACCESS_TEXT[asked.requestedAccess][0]]]),
    h("h2", {}, "What Gatehouse saw"),
    facts([["Address", observed.address], ["Country", observed.country ?? "not known"], ["Asked at", new Date(asked.createdAtMs).toLocaleTimeString()]]),
    h("label", { for: "code" }, "Four digits on the device"),
    code,
    h("p", { id: "code-hint", class: "small" }, `${asked.triesLeft} tries`),
    ...choices(asked.requestedAccess),
    h("p", { class: "small" }, RESIDUE),
    h("label", { class: "check", for: "block" }, block, "With Deny: block this device from asking again"),
    h("div", { class: "row" }, denyButton, button("Allow", "primary", allow)),
  ); // prettier-ignore
  denyButton.focus();
  code.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
}

/** The owner's own device: one passkey gesture, then back with a one-time code that only this browser receives. */
export async function ownerHere(person: Me, query: URLSearchParams): Promise<void> {
  const gateway = query.get("gateway") ?? "";
  const state = query.get("state") ?? "";
  const key = JSON.parse(query.get("key") ?? "null") as DeviceKey;
  const name = cleanName(query.get("name") ?? "");
  const info = await call<{ gatewayName: string; gatewayState: GatewayState; origin: string }>("GET", `/api/decisions/${gateway}/owner`);
  const open = async (): Promise<void> => {
    const secret = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const activation = toBase64url(await sha256(utf8(secret)));
    const isOffline = info.gatewayState !== "online";
    const signed = await signGrant(person, { gateway, key, name, kind: "owner", request: null, activation, isOffline });
    say("Opening …");
    await call("POST", `/api/decisions/${gateway}/owner`, { signed });
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
  const openButton = button("Open", "primary", open);
  view(
    `Open “${info.gatewayName}” on this device?`,
    h("p", {}, "Do this only if you just pressed I am the owner in this browser."),
    facts([["This device", name]]),
    ...choices("full"),
    h("p", { class: "small" }, RESIDUE),
    h("div", { class: "actions" }, openButton),
  ); // prettier-ignore
}
