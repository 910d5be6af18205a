/** The approval origin's page: sign-up, sign-in, decide. Small and static; the only third-party code is the passkey call. */
import { readOwnerTrip } from "../core/decision-view.ts";
import { account } from "./account.ts";
import { decide, ownerHere } from "./decide.ts";
import { h, inWords, view } from "./page.ts";
import { handOff, signIn } from "./sign-in.ts";
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
      const person = await signIn(TEXTS.why);
      const challenge = query.get("handoff");
      if (challenge !== null) return handOff(challenge, query.get("to") ?? "/", person.appOrigin);
      return location.replace(person.appOrigin);
    }
  }
}

main().catch((error: unknown) => {
  view(
    TEXTS.failedTitle,
    h("p", { class: "bad", role: "alert" }, inWords(error)),
    h("a", { class: "button", href: location.href }, TEXTS.tryAgain),
  );
});
