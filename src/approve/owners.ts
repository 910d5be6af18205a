/** Who may decide for the gateways, on the account page: what each gateway knows, and the ways for a passkey that none trusts. */
import { passkeyWords, writePasskey } from "../core/trust/passkey-text.ts";
import type { OwnerChangeAt, OwnersView } from "../protocol/approval-api.ts";
import type { OwnerKey } from "../protocol/statements.ts";
import { OWNER_TEXTS as T } from "./owner-texts.ts";
import { Told, button, h, say, view } from "./page.ts";
import { endorseExisting, mustBeHere, removePasskey } from "./passkeys.ts";
import { mustBeWhole, newRecoveryKey, pinRecoveryKey, recoverWith } from "./recovery-key.ts";
import type { Me } from "./me.ts";

type Passkey = Me["passkeys"][number];
type Again = () => Promise<void>;

const START_CHARS = 8;

function listed(gateways: readonly { readonly name: string }[]): string {
  return gateways.map(({ name }) => `“${name}”`).join(", ");
}

function small(text: string): HTMLElement {
  return h("span", { class: "small" }, text);
}

/** Gateways of a view, by how they stand to one passkey. */
function standing(seen: OwnersView, credentialId: string) {
  const of = (state: string, kind?: string) =>
    seen.gateways.filter((gateway) =>
      (gateway.keys ?? []).some(
        (key) => key.credentialId === credentialId && key.state === state && (kind === undefined || key.role.kind === kind),
      ),
    );
  return {
    owner: of("trusted", "owner"),
    approver: of("trusted", "approver"),
    adding: of("adding"),
    removing: of("removing"),
    none: seen.gateways.filter((gateway) => gateway.keys !== null && !gateway.keys.some((key) => key.credentialId === credentialId)),
  };
}

/** @returns lines about one passkey of the account, and whether a gateway does not take its word */
export function standingLines(seen: OwnersView, credentialId: string): { readonly lines: HTMLElement[]; readonly isMissing: boolean } {
  const { owner, approver, adding, removing, none } = standing(seen, credentialId);
  const lines = [
    ...(owner.length > 0 ? [small(T.decidesFor(listed(owner)))] : []),
    ...(approver.length > 0 ? [small(T.approverFor(listed(approver)))] : []),
    ...(adding.length > 0 ? [small(T.waitsFor(listed(adding)))] : []),
    ...(removing.length > 0 ? [small(T.leaving(listed(removing)))] : []),
    ...(none.length > 0 ? [small(T.notFor(listed(none)))] : []),
  ];
  return { lines: lines.flatMap((line) => [h("br"), line]), isMissing: none.length > 0 };
}

/** What every gateway answered; goes on when the person says so. */
export async function showResults(gateways: readonly OwnerChangeAt[], again: Again): Promise<void> {
  if (gateways.length === 0) return again();
  const rows = gateways.map(({ name, outcome }) => h("li", {}, T.outcome[outcome](`“${name}”`)));
  view(T.resultsTitle, h("ul", { class: "plain" }, ...rows), h("div", { class: "actions" }, button(T.goOn, "primary", again)));
}

/** Passkeys that gateways know and the account does not: removed without a trusted signature, or not everywhere yet. */
export function strangers(person: Me, seen: OwnersView, again: Again): HTMLElement[] {
  const own = new Set(person.passkeys.map((passkey) => passkey.credentialId));
  // Other persons' passkeys are looked after on the gateway's own page.
  const known = seen.gateways.flatMap((gateway) => (gateway.keys ?? []).filter((key) => key.person === null));
  const ids = new Set(known.map((key) => key.credentialId).filter((id) => !own.has(id)));
  const rows = (isLeaving: boolean): HTMLElement[] =>
    [...ids].flatMap((id) => {
      const { owner, approver, adding, removing } = standing(seen, id);
      const gateways = isLeaving ? removing : [...owner, ...approver, ...adding];
      if (gateways.length === 0) return [];
      const start = id.slice(0, START_CHARS);
      const text = isLeaving ? T.leaving(listed(gateways)) : T.trustedBy(listed(gateways));
      const act = button(
        T.takeOut(start),
        "danger",
        async () => await showResults(await removePasskey(person, id, T.stranger(start)), again),
      );
      const acts = isLeaving ? [] : [h("div", { class: "acts" }, act)];
      return [h("li", {}, h("span", {}, T.stranger(start), h("br"), small(text)), ...acts)];
    });
  const [trusted, leaving] = [rows(false), rows(true)];
  return [
    ...(trusted.length === 0 ? [] : [h("h2", {}, T.strangersTitle), h("p", {}, T.strangersText), h("ul", { class: "plain" }, ...trusted)]),
    ...(leaving.length === 0 ? [] : [h("h2", {}, T.leavingTitle), h("ul", { class: "plain" }, ...leaving)]),
  ];
}

/** The three ways: an earlier passkey, the recovery key, the machine itself. */
export async function ways(person: Me, seen: OwnersView, passkey: Passkey, again: Again): Promise<void> {
  const command = T.hostCommand(writePasskey(passkey));
  const copy = button(T.copy, "", async () => {
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      throw new Told(T.copyRefused);
    }
    say(T.copied);
  });
  const earlier = button(T.confirmEarlier, "", async () => showResults(await endorseExisting(person, passkey), again));
  const paper = button(T.useRecoveryKey, "", () => typeRecoveryKey(person, seen, passkey, again));
  view(
    T.waysTitle(passkey.name),
    h("p", {}, T.waysText),
    ...(person.passkeys.length > 1
      ? [h("h2", {}, T.wayEarlier), h("p", {}, T.wayEarlierText), h("div", { class: "actions" }, earlier)]
      : []),
    h("h2", {}, T.wayPaper),
    ...(seen.recoveryKey === null ? [h("p", {}, T.wayPaperMissing)] : [h("p", {}, T.wayPaperText), h("div", { class: "actions" }, paper)]),
    h("h2", {}, T.wayHost),
    h("p", {}, T.wayHostText),
    h("pre", { class: "codes one", tabindex: "0", "aria-label": T.hostCommandLabel }, command),
    h("p", { class: "codes one", tabindex: "0", "aria-label": T.hostWordsLabel }, await passkeyWords(passkey)),
    h("div", { class: "row" }, copy, button(T.back, "", again)),
  );
}

function typeRecoveryKey(person: Me, seen: OwnersView, passkey: Passkey, again: Again): void {
  const input = h("input", { id: "paper", type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  // Nobody loses another person's passkey.
  const ofAccount = seen.gateways.flatMap((gateway) => (gateway.keys ?? []).filter((key) => key.person === null));
  const known = new Set(ofAccount.map((key) => key.credentialId));
  const others = [...new Set([...person.passkeys.map((each) => each.credentialId), ...known])].filter((id) => id !== passkey.credentialId);
  const boxes = others.map((id) => {
    const name = person.passkeys.find((each) => each.credentialId === id)?.name ?? T.stranger(id.slice(0, START_CHARS));
    const box = h("input", { type: "checkbox", id: `lost-${id}`, checked: true });
    return { id, box, row: h("label", { class: "check", for: `lost-${id}` }, box, name) };
  });
  const use = async (): Promise<void> => {
    if (input.value.trim() === "") {
      input.focus();
      throw new Told(T.recoveryMissing);
    }
    await mustBeWhole(input.value);
    const trusted: OwnerKey = await mustBeHere(passkey);
    const lost = boxes.filter(({ box }) => box.checked).map(({ id }) => id);
    const told = await recoverWith(person, input.value, trusted, lost);
    input.value = "";
    await showResults(told, again);
  };
  view(
    T.typeTitle,
    h("p", {}, T.typeText(passkey.name)),
    h("label", { for: "paper" }, T.typeLabel),
    input,
    ...(boxes.length === 0 ? [] : [h("fieldset", {}, h("legend", {}, T.lostLegend), ...boxes.map(({ row }) => row))]),
    h("div", { class: "row" }, button(T.back, "", again), button(T.useRecoveryKey, "primary", use)),
  );
  input.focus();
}

/** The account page's section about the recovery key. */
export function recoverySection(person: Me, seen: OwnersView, again: Again): HTMLElement[] {
  const { recoveryKey, gateways } = seen;
  const make = button(recoveryKey === null ? T.makeRecoveryKey : T.newRecoveryKey, "", () => showNewKey(person, again));
  const by = (state: string | undefined) =>
    gateways.filter((each) => (each.recovery?.key.x === recoveryKey?.x ? each.recovery?.state : undefined) === state);
  const lines = ([[by("trusted"), T.recoveryPinned], [by("adding"), T.recoveryWaits], [by(undefined), T.recoveryUnknown]] as const)
    .filter(([which]) => which.length > 0)
    .map(([which, text]) => h("p", { class: "small" }, text(listed(which)))); // prettier-ignore
  return [
    h("h2", {}, T.recoveryHeading),
    h("p", {}, recoveryKey === null ? T.recoveryNone : T.recoveryHave),
    ...(recoveryKey === null ? [] : lines),
    h("div", { class: "actions" }, make),
  ];
}

/** Shown once; pinned only when the person says that it is written down. */
async function showNewKey(person: Me, again: Again): Promise<void> {
  const { key, text } = await newRecoveryKey();
  const kept = h("input", { type: "checkbox", id: "kept" });
  view(
    T.paperTitle,
    h("p", {}, T.paperText),
    h("p", { class: "codes one", tabindex: "0", "aria-label": T.paperLabel }, text),
    h("div", { class: "row" }, button(T.print, "", () => window.print())),
    h("label", { class: "check", for: "kept" }, kept, T.kept),
    h("div", { class: "row" }, button(T.back, "", again), button(T.goOn, "primary", async () => {
      if (!kept.checked) throw new Told(T.keepFirst);
      await showResults(await pinRecoveryKey(person, key), again);
    })),
  ); // prettier-ignore
}
