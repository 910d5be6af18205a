/** A change that the gateway's machine asks for: an owner's passkey lets it take effect (PROTOCOL.md LP2). */
import { passkeyWords } from "../core/trust/passkey-text.ts";
import type { ProposalNotice, ProposalOutcome } from "../protocol/proposals-api.ts";
import { ApiFailure, button, call, h, patientCall, view } from "./page.ts";
import { signAct } from "./passkey.ts";
import { PROPOSAL_TEXTS as T } from "./proposal-texts.ts";
import type { Me } from "./me.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

function over(back: string): void {
  view(T.overTitle, h("p", {}, T.overText), h("div", { class: "actions" }, h("a", { class: "button primary", href: back }, T.back)));
}

/** Shows one change and lets a passkey sign it. @param path of the dashboard to go back to */
export async function proposal(me: Me, gateway: string, id: string, path: string): Promise<void> {
  const back = me.appOrigin + path;
  const base = `/api/decisions/${gateway}/proposals/${id}`;
  const asked = await patientCall<ProposalNotice>("GET", base).catch((error: unknown) => {
    if (error instanceof ApiFailure && error.code === "not-found") return null;
    throw error;
  });
  if (asked === null) return over(back);
  const { change, gatewayName } = asked;
  const act = (): Act => ({ type: "widening", body: { v: 1, gateway, proposal: id, change, issuedAtMs: Date.now() }, gatewayName });
  const approve = button(T.approve, "primary", async () => {
    const ids = me.passkeys.map((passkey) => passkey.credentialId);
    const signed = await signAct(act(), ids);
    const answer = await call<ProposalOutcome>("POST", `${base}/approve`, { signed }).catch((error: unknown) => {
      if (error instanceof ApiFailure && error.code === "conflict") return null;
      throw error;
    });
    if (answer === null) return over(back);
    const link = h("a", { class: "button primary", href: back }, T.back);
    view(T.outcomeTitle[answer.outcome], h("p", {}, T.outcome[answer.outcome]), h("div", { class: "actions" }, link));
  });
  const words =
    change.kind === "owner-add"
      ? [h("p", {}, T.compare), h("p", { class: "codes one", tabindex: "0", "aria-label": T.wordsLabel }, await passkeyWords(change.key))]
      : [];
  view(
    T.title(gatewayName),
    h("p", {}, T.text),
    ...(asked.isEarly ? [h("p", { class: "bad", role: "alert" }, T.early)] : []),
    h("p", { class: "words" }, actWords(act())),
    ...words,
    h("p", { class: "small" }, T.unasked),
    h("div", { class: "row" }, h("a", { class: "button", href: back }, T.back), approve),
  );
}
