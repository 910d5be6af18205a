/** The pages where an owner signs an act on the gateway's machine (PROTOCOL.md SA). */
import { diffText, settingsHash } from "../core/trust/settings-diff.ts";
import type { LocalActAnswer, LocalActsView } from "../protocol/approval-api.ts";
import { LOCAL_ACT_MS } from "../protocol/limits.ts";
import type { LocalActStatement } from "../protocol/statements.ts";
import { LOCAL_ACT_TEXTS as T, OUTCOME_TEXTS } from "./local-act-texts.ts";
import { ApiFailure, Told, button, call, h, patientCall, say, view } from "./page.ts";
import { signAct } from "./passkey.ts";
import type { Me } from "./me.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

function result(title: string, text: string, back: string): void {
  view(title, h("p", {}, text), h("div", { class: "actions" }, h("a", { class: "button primary", href: back }, T.back)));
}

function pathOf(gateway: string): string {
  return `/api/decisions/${gateway}/local-acts`;
}

function statement({ gateway, head }: LocalActsView, act: LocalActStatement["act"], subject: string | null): LocalActStatement {
  if (head === null) throw new Told(T.noHistory);
  const issuedAtMs = Date.now();
  return { v: 1, gateway, act, subject, head, issuedAtMs, applyByMs: issuedAtMs + LOCAL_ACT_MS };
}

/** Signs, sends, and shows what came of it. */
async function carryOut(me: Me, act: Act, gateway: string, working: string): Promise<LocalActAnswer["outcome"]> {
  const signed = await signAct(act, me.passkeys.map((passkey) => passkey.credentialId)); // prettier-ignore
  say(working);
  try {
    return (await call<LocalActAnswer>("POST", pathOf(gateway), { signed })).outcome;
  } catch (error) {
    if (error instanceof ApiFailure && error.code === "gateway-away") return "gateway-away";
    throw error;
  }
}

function failed(outcome: Exclude<LocalActAnswer["outcome"], "done">, back: string): void {
  result(outcome === "unanswered" ? T.unansweredTitle : T.failedTitle, OUTCOME_TEXTS[outcome], back);
}

/** OpenClaw's settings that wait for a yes. @param path of the dashboard to go back to */
export async function applySettings(me: Me, gateway: string, path: string): Promise<void> {
  const back = me.appOrigin + path;
  const seen = await patientCall<LocalActsView>("GET", pathOf(gateway));
  const { settings, gatewayName } = seen;
  if (settings === null) return result(T.nothingTitle, T.nothingText, back);
  const { lines } = settings;
  // What is signed is what stands here, whatever the server calls it.
  if ((await settingsHash(lines)) !== settings.hash) throw new Told(T.hashDiffers);
  const act = (): Act => ({ type: "local-act", body: statement(seen, "apply-settings", settings.hash), gatewayName, lines: lines.length });
  const apply = button(T.apply, "primary", async () => {
    const outcome = await carryOut(me, act(), gateway, T.applying);
    if (outcome === "done") result(T.appliedTitle, T.appliedText, back);
    else failed(outcome, back);
  });
  view(
    T.settingsTitle(gatewayName),
    h("p", {}, T.settingsText),
    h("pre", { class: "command", tabindex: "0", "aria-label": T.settingsDiff }, diffText(lines)),
    h("p", { class: "words" }, actWords(act())),
    h("div", { class: "row" }, h("a", { class: "button", href: back }, T.back), apply),
  );
}

/** A new secret of OpenClaw. @param path of the dashboard to go back to */
export async function changeSecret(me: Me, gateway: string, path: string): Promise<void> {
  const back = me.appOrigin + path;
  const seen = await patientCall<LocalActsView>("GET", pathOf(gateway));
  const { gatewayName } = seen;
  const act = (): Act => ({ type: "local-act", body: statement(seen, "rotate-secret", null), gatewayName, lines: 0 });
  const change = button(T.change, "primary", async () => {
    const outcome = await carryOut(me, act(), gateway, T.changing);
    if (outcome === "done") result(T.changedTitle, T.changedText, back);
    else failed(outcome, back);
  });
  view(
    T.secretTitle(gatewayName),
    h("p", {}, T.secretText),
    h("p", {}, T.secretOthers),
    h("p", { class: "words" }, actWords(act())),
    h("div", { class: "row" }, h("a", { class: "button", href: back }, T.back), change),
  );
}
