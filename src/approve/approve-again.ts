/** One gesture approves the devices of a gateway whose machine was replaced: one grant and one sentence for each (PROTOCOL.md EN12). */
import { againBody, judgeFormer } from "../core/trust/approve-again.ts";
import type { FormerGrant } from "../core/trust/approve-again.ts";
import type { ApproveAgainView, DecidedAgain } from "../protocol/approval-api.ts";
import { MAX_SIGNED_TOGETHER } from "../protocol/limits.ts";
import { APPROVE_AGAIN_TEXTS as T } from "./approve-again-texts.ts";
import { Told, button, call, h, patientCall, say, view } from "./page.ts";
import { signActs } from "./passkey.ts";
import type { Me } from "./me.ts";
import { REFUSAL_TEXTS } from "./texts.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

/** A device that this page found approved before by a passkey of the account. */
interface Offered {
  /** As the owner calls it; what it is signed as stands in the sentence. */
  readonly name: string;
  readonly lastSeenMs: number | null;
  readonly former: FormerGrant;
}

async function sorted(person: Me, { gateway, devices }: ApproveAgainView, nowMs: number) {
  const expected = { gateway, nowMs, origin: location.origin, rpId: location.hostname, ownerKeys: person.passkeys };
  const offered: Offered[] = [];
  const unproven: string[] = [];
  for (const { device, name, lastSeenMs, former } of devices) {
    const judged = await judgeFormer(former, expected);
    if (judged?.statement.device === device) offered.push({ name, lastSeenMs, former: judged });
    else unproven.push(name);
  }
  return { offered, unproven };
}

/** Tells two devices of one name apart. */
function lastSeen({ lastSeenMs }: Offered): string {
  return lastSeenMs === null
    ? T.neverSeen
    : T.lastSeen(new Date(lastSeenMs).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
}

function list(names: readonly string[]): HTMLElement {
  return h("ul", { class: "plain" }, ...names.map((name) => h("li", {}, name)));
}

/** What became of each. @param again shows the devices that are left */
function decided(
  names: readonly string[],
  results: readonly DecidedAgain[],
  isMore: boolean,
  back: string,
  again: () => Promise<void>,
): void {
  const isAll = results.every(({ outcome }) => outcome !== "refused");
  const rows = results.map(({ outcome, refusal }, at) => T.outcome[outcome](names[at] ?? "", REFUSAL_TEXTS[refusal ?? "other"]));
  const link = h("a", { class: isMore ? "button" : "button primary", href: back }, T.back);
  view(
    isAll ? T.doneTitle : T.partTitle,
    list(rows),
    h("div", { class: "row" }, link, ...(isMore ? [button(T.more, "primary", again)] : [])),
  );
}

/** @param path of the dashboard to go back to */
export async function approveAgain(person: Me, gateway: string, path: string): Promise<void> {
  const back = person.appOrigin + path;
  const url = `/api/decisions/${gateway}/approve-again`;
  const seen = await patientCall<ApproveAgainView>("GET", url);
  const { offered, unproven } = await sorted(person, { ...seen, gateway }, Date.now());
  const link = h("a", { class: "button", href: back }, T.back);
  const others = unproven.length === 0 ? [] : [h("p", {}, T.unproven), list(unproven)];
  if (offered.length === 0) return view(T.nothingTitle, ...(others.length === 0 ? [h("p", {}, T.nothing)] : others), h("div", { class: "actions" }, link)); // prettier-ignore
  const { head, ceiling, gatewayName, gatewayState, signers } = seen;
  // After another machine only the passkey that connected it counts, until others are added.
  const own = person.passkeys.map((passkey) => passkey.credentialId);
  const ids = own.some((id) => signers.includes(id)) ? own.filter((id) => signers.includes(id)) : own;
  const terms = { head, ceiling, isOnline: gatewayState === "online" };
  const actOf = ({ former }: Offered): Act => ({ type: "grant", body: againBody(former, terms, Date.now()), gatewayName });
  const shown = offered.slice(0, MAX_SIGNED_TOGETHER);
  const rows = shown.map((each, at) => {
    const box = h("input", { type: "checkbox", id: `device-${at}`, checked: true });
    const sentence = h("span", { class: "small" }, lastSeen(each), h("br"), actWords(actOf(each)));
    return { each, box, row: h("label", { class: "check", for: `device-${at}` }, box, h("span", {}, each.name, h("br"), sentence)) };
  });
  const ticked = (): Offered[] => rows.filter(({ box }) => box.checked).map(({ each }) => each);
  const approve = button(T.approve(rows.length), "primary", async () => {
    const chosen = ticked();
    if (chosen.length === 0) throw new Told(T.none);
    const signed = await signActs(chosen.map(actOf), ids);
    say(T.approving);
    const { results } = await call<{ readonly results: readonly DecidedAgain[] }>("POST", url, signed);
    decided(chosen.map(({ name }) => name), results, offered.length > shown.length, back, () => approveAgain(person, gateway, path)); // prettier-ignore
  });
  for (const { box } of rows)
    box.addEventListener("change", () => {
      approve.textContent = T.approve(ticked().length);
    });
  const left = offered.length - shown.length;
  view(
    T.title(gatewayName),
    h("p", {}, T.text),
    ...(left > 0 ? [h("p", {}, T.rest(shown.length, left))] : []),
    ...rows.map(({ row }) => row),
    ...others,
    h("div", { class: "row" }, link, approve),
  );
}
