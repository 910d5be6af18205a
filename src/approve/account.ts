/** Passkeys, recovery codes, signing out. */
import { OWNER_KEY_KEYS, encodeBody, toBase64url } from "../protocol/statement-encoding.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { button, call, h, say, view } from "./page.ts";
import { register, signStatement } from "./passkey.ts";
import { me, showRecoveryCodes } from "./sign-in.ts";
import type { Me } from "./sign-in.ts";

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
      name: `Passkey ${person.passkeys.length + 1}`,
    });
    say("Now confirm with a passkey that you had before, so that the new one may decide for your gateways.");
    const body = { v: 1, account: person.account.id, credentialId: added.credentialId, key: added.key, issuedAtMs: Date.now() };
    const signed = await signStatement("owner-key", encodeBody(body, OWNER_KEY_KEYS), known);
    await call("POST", "/api/auth/passkeys/endorse", signed);
    await again();
  };
  const rows = person.passkeys.map((passkey) =>
    h(
      "li",
      {},
      h("span", {}, passkey.name, h("br"), h("span", { class: "small" }, `Added ${new Date(passkey.createdAtMs).toLocaleDateString()}`)),
      ...(person.passkeys.length > 1
        ? [
            button(`Remove ${passkey.name}`, "danger", async () => {
              await call("DELETE", `/api/auth/passkeys/${passkey.credentialId}`);
              await again();
            }),
          ]
        : []),
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
    h("h2", {}, "Passkeys"),
    h("ul", { class: "plain" }, ...rows),
    h("div", { class: "actions" }, button("Add a passkey", "", add)),
    h("h2", {}, "Recovery codes"),
    h("p", {}, `${person.recoveryCodesLeft} of 10 are unused.`),
    h("div", { class: "actions" }, button("Make new recovery codes", "", renew)),
    h("h2", {}, "Signing out"),
    h("div", { class: "row" }, button("Sign out", "", out(false)), button("Sign out everywhere", "danger", out(true))),
    h("a", { href: person.appOrigin }, "Back to Gatehouse"),
  );
}
