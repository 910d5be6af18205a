/** The approval origin's page: sign-up, sign-in, decide. Small and static; the only third-party code is the passkey call. */
import { account } from "./account.ts";
import { decide, ownerHere } from "./decide.ts";
import { h, inWords, view } from "./page.ts";
import { handOff, signIn } from "./sign-in.ts";

async function main(): Promise<void> {
  const query = new URLSearchParams(location.search);
  switch (location.pathname) {
    case "/decide": {
      const person = await signIn("Sign in to decide about a device.");
      const path = query.get("back") ?? "/";
      const back = person.appOrigin + (path.startsWith("/") && !path.startsWith("//") ? path : "/");
      return decide(person, query.get("gateway") ?? "", query.get("request") ?? "", back);
    }
    case "/owner":
      return ownerHere(await signIn("Sign in to open your gateway on this device."), query);
    case "/account":
      return account(await signIn("Sign in to see your passkeys."));
    default: {
      const person = await signIn("Gatehouse lets you reach your gateways and decide which devices may.");
      const challenge = query.get("handoff");
      if (challenge !== null) return handOff(challenge, query.get("to") ?? "/", person.appOrigin);
      return location.replace(person.appOrigin);
    }
  }
}

main().catch((error: unknown) => {
  view("That did not work", h("p", { role: "alert" }, inWords(error)), h("a", { class: "button", href: location.href }, "Try again"));
});
