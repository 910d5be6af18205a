/** Inviting a person to a gateway: the link is made here, because its second secret must meet no server (PROTOCOL.md PE2, PE3). */
import { offeredAccess, offeredExpiry } from "../core/trust/decision-view.ts";
import type { Expiry } from "../core/trust/decision-view.ts";
import type { invitationMadeSchema, PersonsView } from "../protocol/members.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import type { PersonRole } from "../protocol/statements.ts";
import { EXPIRY_CHOICES_MS } from "../protocol/words.ts";
import type { Access } from "../protocol/words.ts";
import type * as z from "zod";
import { chosen, radios } from "./decide.ts";
import { keepSecret } from "./invitation-secrets.ts";
import { ApiFailure, Told, button, call, h, patientCall, say, view } from "./page.ts";
import { PERSON_TEXTS as T, ROLE_TEXTS } from "./member-texts.ts";
import type { Me } from "./me.ts";
import { ACCESS_TEXTS, EXPIRY_TEXTS } from "./texts.ts";

const SECRET_BYTES = 32;
const ROLES = ["owner", "approver", "viewer"] as const;

/** @throws Told for somebody who is no owner there */
export function personsOf(gateway: string): Promise<PersonsView> {
  return patientCall<PersonsView>("GET", `/api/decisions/${gateway}/persons`);
}

function chosenRole(): PersonRole {
  const kind = chosen("role");
  if (kind !== "approver") return kind === "owner" ? { kind } : { kind: "viewer" };
  return { kind, maxAccess: chosen("access") as Access, maxExpiryMs: EXPIRY_CHOICES_MS[chosen("expiry") as Expiry] };
}

/** What an owner's refusal means here, in words. */
function refused(error: unknown): never {
  if (error instanceof ApiFailure && error.code === "too-many") throw new Told(T.tooMany);
  throw error instanceof ApiFailure && error.code === "grant-refused" ? new Told(T.overPolicy) : error;
}

/** @param back path of the dashboard */
export async function invitePerson(person: Me, gateway: string, back: string): Promise<void> {
  const { gatewayName, policy } = await personsOf(gateway);
  const name = h("input", { id: "name", type: "text", maxlength: "64", autocomplete: "off" });
  const [levels, lives] = [offeredAccess("full", policy), offeredExpiry(policy)];
  const ceiling = h(
    "div",
    {},
    radios(T.highest, "access", levels.map((level) => [level, ACCESS_TEXTS[level].label, ACCESS_TEXTS[level].hint] as const), levels.includes("chat") ? "chat" : "look"),
    radios(T.longest, "expiry", lives.map((value) => [value, EXPIRY_TEXTS[value], ""] as const), lives.includes("day") ? "day" : "hour"),
  ); // prettier-ignore
  const roles = radios(T.role, "role", ROLES.map((kind) => [kind, ROLE_TEXTS[kind].label, ROLE_TEXTS[kind].hint] as const), "approver"); // prettier-ignore
  roles.addEventListener("change", () => {
    ceiling.hidden = chosen("role") !== "approver";
  });
  const make = async (): Promise<void> => {
    const called = name.value.trim();
    if (called === "") {
      name.focus();
      throw new Told(T.nameMissing);
    }
    const made = await call<z.infer<typeof invitationMadeSchema>>("POST", `/api/decisions/${gateway}/invitations`, {
      name: called,
      role: chosenRole(),
    }).catch(refused);
    const secret = toBase64url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
    keepSecret(made.id, secret);
    showLink(called, made, secret, person.appOrigin + back);
  };
  view(
    T.inviteTitle(gatewayName),
    h("label", { for: "name" }, T.nameLabel),
    name,
    roles,
    ceiling,
    h("div", { class: "row" }, h("a", { class: "button", href: person.appOrigin + back }, T.back), button(T.make, "primary", make)),
  );
  name.focus();
}

function showLink(name: string, made: { readonly code: string; readonly expiresAtMs: number }, secret: string, back: string): void {
  const link = `${location.origin}/join#${new URLSearchParams({ invite: made.code, seal: secret }).toString()}`;
  const until = new Date(made.expiresAtMs).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const copy = button(T.copyLink, "primary", async () => {
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      throw new Told(T.copyRefused);
    }
    say(T.copied);
  });
  view(
    T.madeTitle(name),
    h("p", {}, T.madeText(name, until)),
    h("pre", { class: "command", tabindex: "0", "aria-label": T.linkLabel }, link),
    h("div", { class: "row" }, h("a", { class: "button", href: back }, T.back), copy),
  );
}
