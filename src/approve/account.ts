/** Passkeys, recovery codes, signing out. */
import { OWNER_KEY_KEYS, encodeBody, toBase64url } from "../protocol/statement-encoding.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { Told, button, call, h, say, view } from "./page.ts";
import { register, signStatement } from "./passkey.ts";
import { me, showRecoveryCodes } from "./sign-in.ts";
import type { Me } from "./sign-in.ts";
import { TEXTS } from "./texts.ts";

/** One more than the highest so far: after a removal, two buttons never carry the same name. */
function nextNumber(person: Me): number {
  const taken = person.passkeys.map((passkey) => Number(/ (\d+)$/.exec(passkey.name)?.[1] ?? 0));
  return Math.max(person.passkeys.length, ...taken) + 1;
}

/** The account's own page. */
export function account(person: Me): void {
  const again = async (): Promise<void> => {
    const fresh = await me();
    if (fresh !== null) account(fresh);
    else location.assign("/");
  };
  const add = async (): Promise<void> => {
    const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
    const known = person.passkeys.map((passkey) => passkey.credentialId);
    const made = await register(person.account.name, userHandle, known);
    const added = await call<{ credentialId: string; key: OwnerKey["key"] }>("POST", "/api/auth/passkeys", {
      ...made,
      name: TEXTS.newPasskey(nextNumber(person)),
    });
    say(TEXTS.endorse);
    const body = { v: 1, account: person.account.id, credentialId: added.credentialId, key: added.key, issuedAtMs: Date.now() };
    try {
      await call("POST", "/api/auth/passkeys/endorse", await signStatement("owner-key", encodeBody(body, OWNER_KEY_KEYS), known));
    } catch {
      // Added, but not confirmed: after recovery there may be no earlier passkey at hand.
      await again();
      throw new Told(TEXTS.notEndorsed);
    }
    await again();
  };
  const confirmRemoval = (passkey: Me["passkeys"][number]): void => {
    const keep = button(TEXTS.keep, "", () => account(person));
    const remove = button(TEXTS.removeYes, "danger", async () => {
      await call("DELETE", `/api/auth/passkeys/${passkey.credentialId}`);
      await again();
    });
    view(TEXTS.removeTitle(passkey.name), h("p", {}, TEXTS.removeText), h("div", { class: "row" }, keep, remove));
  };
  const rows = person.passkeys.map((passkey) =>
    h(
      "li",
      {},
      h("span", {}, passkey.name, h("br"), h("span", { class: "small" }, TEXTS.added(new Date(passkey.createdAtMs).toLocaleDateString()))),
      ...(person.passkeys.length > 1 ? [button(TEXTS.remove(passkey.name), "danger", () => confirmRemoval(passkey))] : []),
    ),
  );
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
    h("ul", { class: "plain" }, ...rows),
    h("div", { class: "actions" }, button(TEXTS.addPasskey, "", add)),
    h("h2", {}, TEXTS.recoveryHeading),
    h("p", {}, TEXTS.codesLeft(person.recoveryCodesLeft)),
    h("div", { class: "actions" }, button(TEXTS.newCodes, "", renew)),
    h("h2", {}, TEXTS.signingOut),
    h("div", { class: "row" }, button(TEXTS.signOut, "", out(false)), button(TEXTS.signOutEverywhere, "danger", out(true))),
    h("a", { href: person.appOrigin }, TEXTS.back),
  );
}
