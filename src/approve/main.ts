/** The approval origin's page: sign-up, sign-in, decide. Small and static; the only third-party code is the passkey call. */
import { readOwnerTrip } from "../core/trust/decision-view.ts";
import { account } from "./account.ts";
import { approveAgain } from "./approve-again.ts";
import { APPROVE_AGAIN_TEXTS } from "./approve-again-texts.ts";
import { decide, ownerHere } from "./decide.ts";
import { claimPage, connectPage } from "./enrol.ts";
import { ENROL_TEXTS } from "./enrol-texts.ts";
import { invitePerson } from "./invite.ts";
import { join } from "./join.ts";
import { applySettings, changeSecret } from "./local-acts.ts";
import { LOCAL_ACT_TEXTS } from "./local-act-texts.ts";
import { PERSON_TEXTS } from "./member-texts.ts";
import { leave, person } from "./member.ts";
import { PROPOSAL_TEXTS } from "./proposal-texts.ts";
import { proposal } from "./proposal.ts";
import { button, call, h, inWords, view } from "./page.ts";
import { handOff, invitationCode, signIn } from "./sign-in.ts";
import { me } from "./me.ts";
import type { Me } from "./me.ts";
import { TEXTS } from "./texts.ts";

/** @returns the path of the dashboard that the person came from */
function backTo(query: URLSearchParams): string {
  const path = query.get("back") ?? "/";
  return path.startsWith("/") && !path.startsWith("//") ? path : "/";
}

async function main(): Promise<void> {
  const query = new URLSearchParams(location.search);
  switch (location.pathname) {
    case "/decide": {
      const signedIn = await signIn(TEXTS.whyDecide);
      return decide(signedIn, query.get("gateway") ?? "", query.get("request") ?? "", signedIn.appOrigin + backTo(query));
    }
    case "/claim":
      return claimPage(await signIn(ENROL_TEXTS.why));
    case "/enrol":
      return connectPage(await signIn(ENROL_TEXTS.why), query.get("enrolment") ?? "", query.get("gateway") ?? "");
    case "/owner": {
      const trip = readOwnerTrip(query);
      if (trip === null) return view(TEXTS.tripBrokenTitle, h("p", {}, TEXTS.tripBroken));
      return ownerHere(await signIn(TEXTS.whyOwner), trip);
    }
    case "/invite":
      return invitePerson(await signIn(PERSON_TEXTS.whyInvite), query.get("gateway") ?? "", backTo(query));
    case "/join":
      return join(await signIn(PERSON_TEXTS.whyJoin));
    case "/person":
      return person(await signIn(PERSON_TEXTS.whyPerson), query.get("gateway") ?? "", query.get("person") ?? "", backTo(query));
    case "/proposal":
      return proposal(await signIn(PROPOSAL_TEXTS.why), query.get("gateway") ?? "", query.get("proposal") ?? "", backTo(query));
    case "/approve-again":
      return approveAgain(await signIn(APPROVE_AGAIN_TEXTS.why), query.get("gateway") ?? "", backTo(query));
    case "/leave":
      return leave(await signIn(PERSON_TEXTS.whyLeave), query.get("gateway") ?? "", backTo(query));
    case "/apply-settings":
      return applySettings(await signIn(LOCAL_ACT_TEXTS.whySettings), query.get("gateway") ?? "", backTo(query));
    case "/rotate-secret":
      return changeSecret(await signIn(LOCAL_ACT_TEXTS.whySecret), query.get("gateway") ?? "", backTo(query));
    case "/account":
      return account(await signIn(TEXTS.whyAccount));
    default: {
      const challenge = query.get("handoff");
      const known = challenge === null && invitationCode() !== "" ? await me() : null;
      if (known !== null) return invitedAlready(known);
      const { appOrigin } = await signIn(TEXTS.why);
      if (challenge !== null) return handOff(challenge, query.get("to") ?? "/", appOrigin);
      // The dashboard has a session of its own: it comes back here for it, and needs no further press.
      return location.replace(`${appOrigin}/start`);
    }
  }
}

/** An invitation opened where somebody is signed in: making one more account must not happen by surprise. */
function invitedAlready(person: Me): void {
  const leave = button(TEXTS.invitedLeave, "", async () => {
    await call("POST", "/api/auth/sign-out", { everywhere: false });
    location.reload();
  });
  const back = h("a", { class: "button primary", href: person.appOrigin }, TEXTS.back);
  view(TEXTS.invitedTitle(person.account.name), h("p", {}, TEXTS.invited), h("div", { class: "actions" }, back, leave));
}

main().catch((error: unknown) => {
  view(
    TEXTS.failedTitle,
    h("p", { class: "bad", role: "alert" }, inWords(error)),
    // Not a link: to the same address with a fragment it would only scroll.
    button(TEXTS.tryAgain, "", () => location.reload()),
  );
});
