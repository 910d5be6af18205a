/** Sign-up, sign-in and recovery, and the way back to whoever asked for it. */
import type * as z from "zod";
import type { signedInSchema } from "../protocol/approval-api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import { addPasskey } from "./passkeys.ts";
import { me } from "./me.ts";
import type { Me } from "./me.ts";
import { Told, button, call, h, run, say, view } from "./page.ts";
import { authenticate, freshNonce, register } from "./passkey.ts";
import { TEXTS } from "./texts.ts";

type SignedIn = z.infer<typeof signedInSchema>;

/** @returns the code of an invitation's link, or nothing; it stays in the fragment, which no server sees */
export function invitationCode(): string {
  return new URLSearchParams(location.hash.slice(1)).get("invite") ?? "";
}

function field(
  label: string,
  id: string,
  attributes: Readonly<Record<string, string>> = {},
): { readonly nodes: [HTMLElement, HTMLInputElement]; readonly input: HTMLInputElement } {
  const input = h("input", { id, type: "text", ...attributes });
  return { nodes: [h("label", { for: id }, label), input], input };
}

/** Shows sign-in first, sign-up when nobody has an account yet. Resolves once somebody is signed in. */
export async function signIn(why: string): Promise<Me> {
  const known = await me();
  if (known !== null) return known;
  const { signUp } = await freshNonce();
  const invitation = invitationCode();
  return new Promise((resolve) => {
    const finish = async (): Promise<void> => {
      const person = await me();
      if (person === null) throw new Told(TEXTS.noCookies);
      resolve(person);
    };
    const showSignIn = (): void => {
      view(
        TEXTS.signInTitle,
        h("p", {}, why),
        h("div", { class: "actions" }, button(TEXTS.signInWithPasskey, "primary", async () => {
          await call("POST", "/api/auth/sign-in", await authenticate());
          await finish();
        })),
        button(TEXTS.makeAccount, "link", showSignUp),
        h("br"),
        button(TEXTS.useRecovery, "link", showRecovery),
      ); // prettier-ignore
    };
    const showSignUp = (): void => {
      const name = field(TEXTS.yourName, "name", { autocomplete: "name", maxlength: "64" });
      const code = field(TEXTS.invitationCode, "invitation", { autocomplete: "off", value: invitation });
      view(
        TEXTS.makeAccountTitle,
        // Whoever follows an invitation begins here, and wants to know why.
        ...(invitation === "" ? [] : [h("p", {}, why)]),
        h("p", {}, TEXTS.makeAccountText),
        ...name.nodes,
        ...(signUp === "open" ? [] : code.nodes),
        h("div", { class: "actions" }, button(TEXTS.makeAccountWithPasskey, "primary", async () => {
          const person = name.input.value.trim();
          if (person === "") {
            name.input.focus();
            throw new Told(TEXTS.nameMissing);
          }
          const typed = code.input.value.trim();
          if (signUp !== "open" && typed === "") {
            code.input.focus();
            throw new Told(TEXTS.invitationMissing);
          }
          const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
          const made = await register(person, userHandle, []);
          const body = { ...made, name: person, userHandle, ...(typed === "" ? {} : { invitation: typed }) };
          const { recoveryCodes } = await call<SignedIn>("POST", "/api/auth/sign-up", body);
          await showRecoveryCodes(recoveryCodes ?? []);
          await finish();
        })),
        button(TEXTS.haveAccount, "link", showSignIn),
      ); // prettier-ignore
      name.input.focus();
    };
    const showRecovery = (): void => {
      const code = field(TEXTS.recoveryCode, "recovery", { autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
      view(
        TEXTS.recoveryTitle,
        h("p", {}, TEXTS.recoveryText),
        ...code.nodes,
        h("div", { class: "actions" }, button(TEXTS.signIn, "primary", async () => {
          const typed = code.input.value.trim();
          if (typed === "") {
            code.input.focus();
            throw new Told(TEXTS.recoveryMissing);
          }
          await call("POST", "/api/auth/recover", { code: typed });
          const person = await me();
          if (person === null) throw new Told(TEXTS.noCookies);
          resolve(await addPasskeyAfterRecovery(person));
        })),
        button(TEXTS.goBack, "link", showSignIn),
      ); // prettier-ignore
      code.input.focus();
    };
    if (invitation !== "" || signUp === "open") showSignUp();
    else showSignIn();
  });
}

/** Whoever needed a recovery code has no passkey here: leads to one, without insisting. @returns the person as it is afterwards */
function addPasskeyAfterRecovery(person: Me): Promise<Me> {
  return new Promise((resolve) => {
    const goOn = async (): Promise<void> => resolve((await me()) ?? person);
    view(
      TEXTS.recoveredTitle,
      h("p", {}, TEXTS.recovered(person.recoveryCodesLeft)),
      h("div", { class: "actions" },
        button(TEXTS.addPasskey, "primary", async () => {
          const added = await addPasskey(person);
          const confirm = button(TEXTS.confirmEarlier, "", async () => {
            await added.endorse();
            await goOn();
          });
          const toWays = h("a", { class: "button", href: "/account" }, TEXTS.otherWays);
          view(TEXTS.addedTitle, h("p", {}, TEXTS.notEndorsed), h("div", { class: "actions" }, button(TEXTS.goOn, "primary", goOn), confirm, toWays));
        }),
        button(TEXTS.later, "link", goOn),
      ),
    ); // prettier-ignore
  });
}

/** Ten codes, shown once; goes on when the person says that they are kept. */
export function showRecoveryCodes(codes: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const kept = h("input", { type: "checkbox", id: "kept" });
    view(
      TEXTS.codesTitle,
      h("p", {}, TEXTS.codesText),
      h("ul", { class: "codes", tabindex: "0", "aria-label": TEXTS.codesLabel }, ...codes.map((code) => h("li", {}, code))),
      h("div", { class: "row" },
        button(TEXTS.copy, "", async () => {
          try {
            await navigator.clipboard.writeText(codes.join("\n"));
          } catch {
            throw new Told(TEXTS.copyRefused);
          }
          say(TEXTS.copied);
        }),
        button(TEXTS.print, "", () => window.print()),
      ),
      h("label", { class: "check", for: "kept" }, kept, TEXTS.kept),
      h("div", { class: "actions" }, button(TEXTS.goOn, "primary", () => {
        if (!kept.checked) throw new Told(TEXTS.keepFirst);
        resolve();
      })),
    ); // prettier-ignore
  });
}

/** The dashboard's trip: a one-time code, useless without the verifier that stays in the dashboard's tab. */
export async function handOff(challenge: string, to: string, appOrigin: string): Promise<void> {
  await run(null, async () => {
    const { code } = await call<{ code: string }>("POST", "/api/auth/handoff", { challenge });
    location.replace(`${appOrigin}/signed-in#${new URLSearchParams({ code, to }).toString()}`);
  });
}
