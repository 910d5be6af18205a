/** Passkeys, recovery codes, signing out. */
import type { OwnerChangeAt, OwnersView } from "../protocol/approval-api.ts";
import { Told, button, call, h, view } from "./page.ts";
import { OWNER_TEXTS } from "./owner-texts.ts";
import { recoverySection, showResults, standingLines, strangers, ways } from "./owners.ts";
import { addPasskey, owners, removePasskey } from "./passkeys.ts";
import { showRecoveryCodes } from "./sign-in.ts";
import { me } from "./me.ts";
import type { Me } from "./me.ts";
import { TEXTS } from "./texts.ts";

type Passkey = Me["passkeys"][number];

function day(ms: number): string {
  return new Date(ms).toLocaleDateString([], { dateStyle: "medium" });
}

function confirmRemoval(person: Me, passkey: Passkey, again: () => Promise<void>): void {
  const keep = button(TEXTS.keep, "", again);
  const remove = button(TEXTS.removeYes, "danger", async () => {
    await showResults(await removePasskey(person, passkey.credentialId, passkey.name), again);
  });
  view(TEXTS.removeTitle(passkey.name), h("p", {}, OWNER_TEXTS.removeText), h("div", { class: "row" }, keep, remove));
}

function rename(passkey: Passkey, again: () => Promise<void>): void {
  const input = h("input", { id: "name", type: "text", maxlength: "64", autocomplete: "off", value: passkey.name });
  const save = button(TEXTS.saveName, "primary", async () => {
    const name = input.value.trim();
    if (name === "") {
      input.focus();
      throw new Told(TEXTS.nameMissing);
    }
    await call("PATCH", `/api/auth/passkeys/${passkey.credentialId}`, { name });
    await again();
  });
  const keep = button(TEXTS.keep, "", again);
  view(TEXTS.renameTitle(passkey.name), h("label", { for: "name" }, TEXTS.passkeyName), input, h("div", { class: "row" }, keep, save));
  input.select();
}

function passkeyRow(person: Me, seen: OwnersView, passkey: Passkey, again: () => Promise<void>): HTMLLIElement {
  const { name, createdAtMs, lastUsedAtMs } = passkey;
  const when = [TEXTS.added(day(createdAtMs)), ...(lastUsedAtMs === null ? [] : [TEXTS.lastUsed(day(lastUsedAtMs))])].join(", ");
  const acts = [button(TEXTS.rename(name), "", () => rename(passkey, again))];
  if (person.passkeys.length > 1) acts.push(button(TEXTS.remove(name), "danger", () => confirmRemoval(person, passkey, again)));
  const { lines, isMissing } = standingLines(seen, passkey.credentialId);
  if (isMissing) acts.unshift(button(OWNER_TEXTS.letDecide(name), "primary", () => ways(person, seen, passkey, again)));
  return h("li", {}, h("span", {}, name, h("br"), h("span", { class: "small" }, when), ...lines), h("div", { class: "acts" }, ...acts));
}

/** The account's own page. */
export async function account(person: Me): Promise<void> {
  const seen = await owners();
  const again = async (): Promise<void> => {
    const fresh = await me();
    if (fresh !== null) await account(fresh);
    else location.assign("/");
  };
  const add = async (): Promise<void> => {
    const added = await addPasskey(person);
    let told: readonly OwnerChangeAt[];
    try {
      told = await added.endorse();
    } catch {
      // Added, but not confirmed: there may be no earlier passkey at hand.
      await again();
      throw new Told(TEXTS.notEndorsed);
    }
    if (told.every(({ outcome }) => outcome === "done")) await again();
    else await showResults(told, again);
  };
  const renew = async (): Promise<void> => {
    const { recoveryCodes } = await call<{ recoveryCodes: string[] }>("POST", "/api/auth/recovery-codes");
    await showRecoveryCodes(recoveryCodes);
    await again();
  };
  const out = (everywhere: boolean) => async (): Promise<void> => {
    await call("POST", "/api/auth/sign-out", { everywhere });
    location.assign(person.appOrigin);
  };
  view(
    person.account.name,
    h("h2", {}, TEXTS.passkeys),
    h("ul", { class: "plain" }, ...person.passkeys.map((passkey) => passkeyRow(person, seen, passkey, again))),
    ...(person.passkeys.length > 1 ? [] : [h("p", { class: "small" }, TEXTS.lastPasskey)]),
    h("div", { class: "actions" }, button(TEXTS.addPasskey, "", add)),
    ...strangers(person, seen, again),
    ...recoverySection(person, seen, again),
    h("h2", {}, TEXTS.recoveryHeading),
    h("p", {}, TEXTS.codesLeft(person.recoveryCodesLeft)),
    h("div", { class: "actions" }, button(TEXTS.newCodes, "", renew)),
    h("h2", {}, TEXTS.signingOut),
    h("div", { class: "row" }, button(TEXTS.signOut, "", out(false)), button(TEXTS.signOutEverywhere, "danger", out(true))),
    h("a", { href: person.appOrigin }, TEXTS.back),
  );
}
