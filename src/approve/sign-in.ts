/** Sign-up, sign-in and recovery, and the way back to whoever asked for it. */
import type { z } from "zod";
import type { meSchema, signedInSchema } from "../protocol/api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import { ApiFailure, button, call, h, run, say, view } from "./page.ts";
import { authenticate, freshNonce, register } from "./passkey.ts";

export type Me = z.infer<typeof meSchema>;
type SignedIn = z.infer<typeof signedInSchema>;

/** @returns the signed-in person, or null */
export async function me(): Promise<Me | null> {
  try {
    return await call<Me>("GET", "/api/auth/me");
  } catch (error) {
    if (error instanceof ApiFailure && error.code === "not-signed-in") return null;
    throw error;
  }
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
  const invitation = new URLSearchParams(location.hash.slice(1)).get("invite") ?? "";
  return new Promise((resolve) => {
    const finish = async (): Promise<void> => {
      const person = await me();
      if (person === null) throw new Error("This browser does not keep the sign-in. Allow cookies for this address.");
      resolve(person);
    };
    const showSignIn = (): void => {
      view(
        "Sign in",
        h("p", {}, why),
        h("div", { class: "actions" }, button("Sign in with a passkey", "primary", async () => {
          await call("POST", "/api/auth/sign-in", await authenticate());
          await finish();
        })),
        button("Make an account", "link", showSignUp),
        h("br"),
        button("Use a recovery code", "link", showRecovery),
      ); // prettier-ignore
    };
    const showSignUp = (): void => {
      const name = field("Your name", "name", { autocomplete: "name", maxlength: "64" });
      const code = field("Invitation code", "invitation", { autocomplete: "off", value: invitation });
      view(
        "Make an account",
        h("p", {}, "A passkey on this device signs you in. There is no password."),
        ...name.nodes,
        ...(signUp === "open" ? [] : code.nodes),
        h("div", { class: "actions" }, button("Make account with a passkey", "primary", async () => {
          const person = name.input.value.trim();
          if (person === "") {
            name.input.focus();
            throw new Error("Type your name first.");
          }
          const userHandle = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
          const made = await register(person, userHandle, []);
          const typed = code.input.value.trim();
          const body = { ...made, name: person, userHandle, ...(typed === "" ? {} : { invitation: typed }) };
          const { recoveryCodes } = await call<SignedIn>("POST", "/api/auth/sign-up", body);
          await showRecoveryCodes(recoveryCodes ?? []);
          await finish();
        })),
        button("I have an account", "link", showSignIn),
      ); // prettier-ignore
      name.input.focus();
    };
    const showRecovery = (): void => {
      const code = field("Recovery code", "recovery", { autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
      view(
        "Use a recovery code",
        h("p", {}, "Each code works once. Afterwards, add a passkey for this device."),
        ...code.nodes,
        h("div", { class: "actions" }, button("Sign in", "primary", async () => {
          await call("POST", "/api/auth/recover", { code: code.input.value });
          await finish();
        })),
        button("Back", "link", showSignIn),
      ); // prettier-ignore
      code.input.focus();
    };
    if (invitation !== "" || signUp === "open") showSignUp();
    else showSignIn();
  });
}

/** Ten codes, shown once; goes on when the person says that they are kept. */
export function showRecoveryCodes(codes: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const kept = h("input", { type: "checkbox", id: "kept" });
    view(
      "Keep these recovery codes",
      h("p", {}, "If you lose every passkey, each of these lets you in once. They are shown only now. Print them, or keep them with your other papers."),
      h("ul", { class: "codes", tabindex: "0", "aria-label": "Recovery codes" }, ...codes.map((code) => h("li", {}, code))),
      h("div", { class: "row" },
        button("Copy", "", async () => {
          await navigator.clipboard.writeText(codes.join("\n"));
          say("Copied.");
        }),
        button("Print", "", () => window.print()),
      ),
      h("label", { class: "check", for: "kept" }, kept, "I have kept them in a safe place"),
      h("div", { class: "actions" }, button("Continue", "primary", () => {
        if (!kept.checked) throw new Error("Keep the codes first, then tick the box.");
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
