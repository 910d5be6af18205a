/** Following an invitation to a gateway: what one joins and as what, in words, before a passkey is named to it (PROTOCOL.md PE3). */
import { invitationProof } from "../core/trust/invitation-proof.ts";
import { passkeyWords } from "../core/trust/passkey-text.ts";
import type { InvitationView } from "../protocol/members.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { ApiFailure, Told, button, call, h, patientCall, say, view } from "./page.ts";
import { provenHere } from "./passkey.ts";
import { PERSON_TEXTS as T, ROLE_TEXTS, roleWords } from "./member-texts.ts";
import { invitationCode } from "./sign-in.ts";
import type { Me } from "./me.ts";

function toDashboard(person: Me): HTMLAnchorElement {
  return h("a", { class: "button primary", href: `${person.appOrigin}/start` }, T.toGatehouse);
}

async function otherAccount(): Promise<void> {
  await call("POST", "/api/auth/sign-out", { everywhere: false });
  location.reload();
}

/** The words that the owner may ask for, of the passkey that was named. */
async function showAccepted(person: Me, seen: InvitationView, passkey: OwnerKey): Promise<void> {
  view(
    T.acceptedTitle,
    h("p", {}, T.acceptedText(seen.gatewayName)),
    h("p", {}, T.wordsText),
    h("p", { class: "codes one", tabindex: "0", "aria-label": T.wordsLabel }, await passkeyWords(passkey)),
    h("div", { class: "actions" }, toDashboard(person)),
  );
}

/** The page behind an invitation's link, for somebody who is signed in. */
export async function join(person: Me): Promise<void> {
  const code = invitationCode();
  if (code === "") return view(T.overTitle, h("p", {}, T.codeMissing), h("div", { class: "actions" }, toDashboard(person)));
  let seen: InvitationView;
  try {
    seen = await patientCall<InvitationView>("POST", "/api/auth/invitations/look", { code });
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== "code-invalid") throw error;
    const row = h("div", { class: "row" }, button(T.otherAccount, "", otherAccount), toDashboard(person));
    return view(T.overTitle, h("p", {}, T.overText), row);
  }
  const { gateway, gatewayName, role, state } = seen;
  if (state === "confirmed") {
    return view(
      T.confirmedTitle(gatewayName),
      h("p", {}, ROLE_TEXTS[role.kind].means),
      h("div", { class: "actions" }, toDashboard(person)),
    );
  }
  if (state === "already-here") {
    const row = h("div", { class: "row" }, button(T.otherAccount, "", otherAccount), toDashboard(person));
    return view(T.hereTitle, h("p", {}, T.hereText(gatewayName)), row);
  }
  const own = person.passkeys.map(({ credentialId, key }) => ({ credentialId, key }));
  /** @throws Told when none of the listed keys is the one that just signed: the list is the server's word */
  const use = async (): Promise<OwnerKey> => {
    if (own.length === 0) throw new Told(T.noPasskey);
    say(T.accepting);
    const passkey = await provenHere(own);
    if (passkey === null) throw new Told(T.notThisKey);
    return passkey;
  };
  if (state === "accepted") {
    const [only] = own;
    if (only !== undefined && own.length === 1) return showAccepted(person, seen, only);
    const show = async (): Promise<void> => showAccepted(person, seen, await use());
    return view(
      T.acceptedTitle,
      h("p", {}, T.acceptedText(gatewayName)),
      h("div", { class: "row" }, button(T.wordsLabel, "", show), toDashboard(person)),
    );
  }
  const accept = async (): Promise<void> => {
    const passkey = await use();
    const secret = new URLSearchParams(location.hash.slice(1)).get("seal") ?? "";
    const proof = await invitationProof(secret, gateway, passkey);
    await call("POST", "/api/auth/invitations/accept", { code, passkey, proof });
    await showAccepted(person, seen, passkey);
  };
  view(
    T.joinTitle(gatewayName),
    h("p", {}, T.joinText(roleWords(role), gatewayName)),
    h("p", {}, ROLE_TEXTS[role.kind].means),
    h("p", { class: "small" }, T.joinAs(person.account.name)),
    h("div", { class: "row" }, button(T.otherAccount, "", otherAccount), button(T.accept, "primary", accept)),
  );
}
