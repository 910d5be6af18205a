/** The approval origin's page: sign-up, sign-in, decide. Small and static; the only third-party code is the passkey call. */
import { readOwnerTrip } from "../core/decision-view.ts";
import { account } from "./account.ts";
import { decide, ownerHere } from "./decide.ts";
import { button, call, h, inWords, view } from "./page.ts";
import { handOff, invitationCode, me, signIn } from "./sign-in.ts";
import type { Me } from "./sign-in.ts";
import { TEXTS } from "./texts.ts";

async function main(): Promise<void> {
  const query = new URLSearchParams(location.search);
  switch (location.pathname) {
    case "/decide": {
      const person = await signIn(TEXTS.whyDecide);
      const path = query.get("back") ?? "/";
      const back = person.appOrigin + (path.startsWith("/") && !path.startsWith("//") ? path : "/");
      return decide(person, query.get("gateway") ?? "", query.get("request") ?? "", back);
    }
    case "/owner": {
      const trip = readOwnerTrip(query);
      if (trip === null) return view(TEXTS.tripBrokenTitle, h("p", {}, TEXTS.tripBroken));
      return ownerHere(await signIn(TEXTS.whyOwner), trip);
    }
    case "/account":
      return account(await signIn(TEXTS.whyAccount));
    default: {
      const challenge = query.get("handoff");
      const known = challenge === null && invitationCode() !== "" ? await me() : null;
      if (known !== null) return invitedAlready(known);
      const person = await signIn(TEXTS.why);
      if (challenge !== null) return handOff(challenge, query.get("to") ?? "/", person.appOrigin);
      // The dashboard has a session of its own: it comes back here for it, and needs no further press.
      return location.replace(`${person.appOrigin}/start`);
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
