/** One person of a gateway: confirmed or turned down, removed, or leaving, each with the words of what is signed (PROTOCOL.md PE4, PE5). */
import { judgeAcceptance } from "../core/trust/invitation-proof.ts";
import { passkeyWords } from "../core/trust/passkey-text.ts";
import type { Leaving, Person, PersonChange, PersonsView } from "../protocol/members.ts";
import { dropSecret, secretOf } from "./invitation-secrets.ts";
import { personsOf } from "./invite.ts";
import { Told, button, call, h, patientCall, view } from "./page.ts";
import { signAct } from "./passkey.ts";
import { PERSON_TEXTS as T, roleWords } from "./member-texts.ts";
import type { Me } from "./me.ts";
import { actWords } from "./words.ts";
import type { Act } from "./words.ts";

function idsOf(me: Me): string[] {
  return me.passkeys.map((passkey) => passkey.credentialId);
}

function result(title: string, { outcome }: PersonChange, back: string): void {
  const text = { done: [], waiting: [h("p", {}, T.machineAway)], refused: [h("p", {}, T.machineRefused)] }[outcome];
  const link = h("a", { class: "button primary", href: back }, T.back);
  view(outcome === "refused" ? T.machineRefusedTitle : title, ...text, h("div", { class: "actions" }, link));
}

async function confirm(me: Me, seen: PersonsView, row: Person, back: string): Promise<void> {
  const { gateway, gatewayName, account, head } = seen;
  const base = `/api/decisions/${gateway}/persons/${row.id}`;
  const check = await judgeAcceptance(secretOf(row.id), gateway, row.passkey, row.proof);
  const compared = h("input", { type: "checkbox", id: "compared" });
  const act = (): Act => ({
    type: "owner-key",
    body: { v: 1, account, ...row.passkey, issuedAtMs: Date.now(), person: { gateway, role: row.role, head } },
    joins: { name: row.name, gatewayName },
  });
  const yes = button(T.confirm, "primary", async () => {
    if (check === "words" && !compared.checked) throw new Told(T.compareFirst);
    const change = await call<PersonChange>("POST", `${base}/confirm`, { signed: await signAct(act(), idsOf(me)) });
    if (change.outcome !== "refused") dropSecret(row.id);
    result(T.confirmedText(row.name), change, back);
  });
  const no = button(T.turnDown, "danger", async () => {
    // Nothing of theirs counts yet, so there is nothing to sign away.
    const change = await call<PersonChange>("POST", `${base}/remove`, { signed: null });
    dropSecret(row.id);
    result(T.turnedDown(row.name), change, back);
  });
  const words = [
    h("p", {}, T.compareText(row.name)),
    h("p", { class: "codes one", tabindex: "0", "aria-label": T.wordsLabel }, await passkeyWords(row.passkey)),
    h("label", { class: "check", for: "compared" }, compared, T.compared),
  ];
  const said = {
    proven: [h("p", { class: "good" }, T.proven)],
    "not-proven": [h("p", { class: "bad", role: "alert" }, T.notProven)],
    words,
  };
  view(
    T.confirmTitle(row.name),
    h(
      "dl",
      {},
      ...[
        [T.accountName, row.accountName],
        [T.asRole, roleWords(row.role)],
        [T.acceptedAt, new Date(row.acceptedAtMs).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })],
      ].flatMap(([term = "", text = ""]) => [h("dt", {}, term), h("dd", {}, text)]),
    ),
    ...(row.isRefused ? [h("p", { class: "bad" }, T.refusedBefore)] : []),
    ...said[check],
    ...(check === "not-proven" ? [] : [h("p", { class: "words" }, actWords(act()))]),
    h("div", { class: "row" }, no, ...(check === "not-proven" ? [] : [yes])),
  );
}

function removal({ gateway, gatewayName, account }: PersonsView, row: Person): Act {
  const body = { v: 1, account, credentialId: row.passkey.credentialId, issuedAtMs: Date.now(), gateway } as const;
  return { type: "owner-remove", body, leaves: { name: row.name, gatewayName } };
}

function remove(me: Me, seen: PersonsView, row: Person, back: string): void {
  const act = button(T.remove, "danger", async () => {
    const signed = await signAct(removal(seen, row), idsOf(me));
    const change = await call<PersonChange>("POST", `/api/decisions/${seen.gateway}/persons/${row.id}/remove`, { signed });
    result(T.removed(row.name), change, back);
  });
  view(
    T.removeTitle(row.name),
    h("p", {}, T.removeText(row.name)),
    h("p", { class: "words" }, actWords(removal(seen, row))),
    h("div", { class: "row" }, h("a", { class: "button", href: back }, T.back), act),
  );
}

/** An owner decides about one person. @param path of the dashboard to go back to */
export async function person(me: Me, gateway: string, id: string, path: string): Promise<void> {
  const seen = await personsOf(gateway);
  const back = me.appOrigin + path;
  const row = seen.persons.find((each) => each.id === id);
  if (row === undefined) return view(T.nobody, h("div", { class: "actions" }, h("a", { class: "button primary", href: back }, T.back)));
  return row.state === "accepted" ? confirm(me, seen, row, back) : remove(me, seen, row, back);
}

/** Somebody leaves by itself. @param path of the dashboard to go back to */
export async function leave(me: Me, gateway: string, path: string): Promise<void> {
  const base = `/api/decisions/${gateway}/leave`;
  const seen = await patientCall<Leaving>("GET", base);
  const { gatewayName, account, credentialId } = seen;
  const stay = h("a", { class: "button", href: me.appOrigin + path }, T.back);
  if (!seen.mayLeave) return view(T.leaveTitle(gatewayName), h("p", {}, T.cannotLeave), h("div", { class: "actions" }, stay));
  const act = (): Act | null =>
    credentialId === null
      ? null
      : {
          type: "owner-remove",
          body: { v: 1, account, credentialId, issuedAtMs: Date.now(), gateway },
          leaves: { name: null, gatewayName },
        };
  const go = button(T.leave, "danger", async () => {
    const signing = act();
    const signed = signing === null || credentialId === null ? null : await signAct(signing, [credentialId]);
    result(T.left, await call<PersonChange>("POST", base, { signed }), me.appOrigin);
  });
  const shown = act();
  view(
    T.leaveTitle(gatewayName),
    h("p", {}, T.leaveText),
    ...(shown === null ? [] : [h("p", { class: "words" }, actWords(shown))]),
    h("div", { class: "row" }, stay, go),
  );
}
