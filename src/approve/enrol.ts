/**
 * Where the owner's passkey signs the genesis of a gateway's key log. What is signed comes from this page itself: its own origin, its own
 * passkey, the gateway that it named or was asked about. The server's view only brings the machine's key (PROTOCOL.md EN).
 */
import { verifySigned } from "../core/trust/assertion.ts";
import { checkWords } from "../core/trust/check-words.ts";
import { isSoundKey } from "../core/trust/public-key.ts";
import { claimMacBytes, enrolmentCommitment, genesisBytes, genesisOf } from "../core/trust/enrolment.ts";
import type { EnrolmentView } from "../protocol/enrolment-api.ts";
import { GENESIS_APPLY_MS } from "../protocol/limits.ts";
import { fromBase64url, toBase64url } from "../protocol/statement-encoding.ts";
import type { GenesisDraft, GenesisStatement } from "../protocol/statements.ts";
import { ENROL_TEXTS as T } from "./enrol-texts.ts";
import { ApiFailure, Told, button, call, facts, h, patientCall, say, view } from "./page.ts";
import { signAct } from "./passkey.ts";
import type { Me } from "./me.ts";

const POLL_MS = 700;
const NEVER_TAKEN: ReadonlySet<string> = new Set(["bad-request", "not-found", "not-owner-here"]);

/** What this tab fixed before the machine opened its commitment; a reload goes on with it, and nothing may replace it. */
interface Kept {
  readonly nonce: string;
  readonly draft: GenesisDraft;
  readonly commitment: string;
  readonly gatewayName: string;
  readonly machineName: string;
}

/** One enrolment as this page plays it. `secret`: of a claim link. */
interface Play {
  readonly person: Me;
  readonly id: string;
  readonly secret: string | null;
}

function itemOf(id: string): string {
  return `gatehouse-enrolment-${id}`;
}

function readKept(id: string): Kept | null {
  const text = sessionStorage.getItem(itemOf(id));
  return text === null ? null : (JSON.parse(text) as Kept);
}

/** The gateway that the person named here, before anything is signed. */
interface Named {
  readonly gateway: string;
  readonly gatewayOrigin: string;
  readonly gatewayName: string;
}

function leaveLink(person: Me): HTMLElement {
  return h("div", { class: "actions" }, h("a", { class: "button", href: person.appOrigin }, T.toGateways));
}

function ended(person: Me, text: string): void {
  view(T.title, h("p", {}, text), leaveLink(person));
}

async function look(id: string): Promise<EnrolmentView> {
  return patientCall<EnrolmentView>("GET", `/api/enrolments/${id}`);
}

/** Asks until the enrolment has come so far. @returns null when it ended; the person has read why */
async function until({ id, person }: Play, states: readonly EnrolmentView["state"][]): Promise<EnrolmentView | null> {
  for (;;) {
    const seen = await look(id);
    if (states.includes(seen.state)) return seen;
    if (seen.state === "failed" || seen.state === "expired") {
      ended(person, seen.state === "failed" ? T.failed : T.over);
      return null;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

/** Which of the person's passkeys decides: only asked where there is a choice. */
function passkeyChoice(person: Me): { readonly nodes: HTMLElement[]; readonly credentialId: () => string } {
  const [first] = person.passkeys;
  if (person.passkeys.length < 2) return { nodes: [], credentialId: () => first?.credentialId ?? "" };
  const newest = person.passkeys.toSorted((a, b) => (b.lastUsedAtMs ?? b.createdAtMs) - (a.lastUsedAtMs ?? a.createdAtMs))[0];
  const select = h(
    "select",
    { id: "passkey" },
    ...person.passkeys.map(({ credentialId, name }) =>
      h("option", { value: credentialId, selected: credentialId === newest?.credentialId }, name),
    ),
  );
  return { nodes: [h("label", { for: "passkey" }, T.passkey), select], credentialId: () => select.value };
}

/** Fixes everything that the passkey will sign, and sends it before the machine opens its commitment. */
async function propose(play: Play, seen: EnrolmentView, named: Named, credentialId: string): Promise<Kept> {
  const { person, id } = play;
  const { connectorKey, commitment, machine } = seen;
  const passkey = person.passkeys.find((each) => each.credentialId === credentialId);
  if (connectorKey === null || commitment === null || machine === null || passkey === undefined) throw new Told(T.differs);
  if (!isSoundKey(connectorKey)) throw new Told(T.differs);
  const nowMs = Date.now();
  const draft: GenesisDraft = {
    v: 1,
    gateway: named.gateway,
    gatewayOrigin: named.gatewayOrigin,
    appOrigin: person.appOrigin,
    approveOrigin: location.origin,
    rpId: location.hostname,
    connectorKey,
    account: person.account.id,
    ownerKey: { credentialId, key: passkey.key },
    issuedAtMs: nowMs,
    applyByMs: nowMs + GENESIS_APPLY_MS,
  };
  const nonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const kept = { nonce, draft, commitment, gatewayName: named.gatewayName, machineName: machine.name };
  // Before it is sent: after a reload the same must be sent again.
  sessionStorage.setItem(itemOf(id), JSON.stringify(kept));
  await send(play, kept);
  return kept;
}

async function send({ id }: Play, { nonce, draft }: Kept): Promise<void> {
  try {
    await patientCall("POST", `/api/enrolments/${id}/propose`, { nonce, draft });
  } catch (error) {
    // A try whose answer was lost has arrived already; whether it was this tab's shows the state that follows.
    if (error instanceof ApiFailure && error.code === "conflict") return;
    // These terms will never be taken; what only failed on the way is sent again after a reload.
    if (error instanceof ApiFailure && NEVER_TAKEN.has(error.code)) sessionStorage.removeItem(itemOf(id));
    throw error;
  }
}

/** Checks the opened commitment. @returns the statement that this tab, and nobody else, made the terms of */
async function opened({ person, id }: Play, kept: Kept, seen: EnrolmentView): Promise<GenesisStatement> {
  const { draft, commitment, nonce, gatewayName, machineName } = kept;
  const { connectorNonce } = seen;
  if (connectorNonce === null || (await enrolmentCommitment(draft.connectorKey, connectorNonce)) !== commitment) throw new Told(T.differs);
  const names = { gatewayName, accountName: person.account.name, machineName };
  return genesisOf(draft, { enrolment: id, commitment, connectorNonce, pageNonce: nonce, ...names });
}

async function claimMac(secret: string, genesis: Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = fromBase64url(secret) ?? new Uint8Array(0);
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return toBase64url(new Uint8Array(await crypto.subtle.sign("HMAC", key, claimMacBytes(genesis))));
}

/** Shows the lines to compare, and signs. */
async function compare(play: Play, kept: Kept, statement: GenesisStatement): Promise<void> {
  const { person, id, secret } = play;
  const genesis = genesisBytes(statement);
  const act = { type: "genesis", body: statement, gatewayName: kept.gatewayName, machineName: kept.machineName } as const;
  const sign = async (): Promise<void> => {
    const { ownerKey, approveOrigin: origin, rpId } = statement;
    const signed = await signAct(act, [ownerKey.credentialId]);
    // The list of passkeys is the server's: only the signature shows that the named one is this person's.
    const signer = await verifySigned(signed, { type: "genesis", body: genesis, origin, rpId, ownerKeys: [ownerKey] });
    if (typeof signer === "string") throw new Told(T.notThisPasskey);
    const mac = secret === null ? {} : { mac: await claimMac(secret, genesis) };
    await patientCall("POST", `/api/enrolments/${id}/sign`, { signed, ...mac });
    await finish(play, kept);
  };
  view(
    T.compareTitle,
    h("p", {}, secret === null ? T.compareByCode : T.compareByLink),
    facts([
      [T.gateway, kept.gatewayName],
      [T.account, person.account.name],
      [T.passkeys, T.onePasskey],
      [T.words, await checkWords(genesis)],
    ]),
    h("div", { class: "actions" }, button(T.sign, "primary", sign)),
  );
  // A no in the terminal ends the page, too.
  void until(play, ["signed", "done"]).catch(() => undefined);
}

async function finish(play: Play, { gatewayName, draft }: Kept): Promise<void> {
  say(play.secret === null ? T.confirmingByCode : T.confirming);
  if ((await until(play, ["done"])) === null) return;
  sessionStorage.removeItem(itemOf(play.id));
  const link = h("a", { class: "button primary", href: `${play.person.appOrigin}/start?to=/gateways/${draft.gateway}` }, T.goOn);
  view(T.doneTitle(gatewayName), h("p", {}, T.done), h("div", { class: "actions" }, link));
}

/** From the fixed terms on: the machine opens, the person compares and signs. */
async function goOn(play: Play, kept: Kept): Promise<void> {
  view(T.title, h("p", {}, T.waiting));
  const seen = await until(play, ["revealed", "signed", "done"]);
  if (seen === null) return;
  if (seen.state !== "revealed") return finish(play, kept);
  return compare(play, kept, await opened(play, kept, seen));
}

/** Where the enrolment stands for this tab. @param start what to do when the terms are not fixed yet */
async function play(input: Play, start: (seen: EnrolmentView) => Promise<void> | void): Promise<void> {
  const { person, id } = input;
  let seen: EnrolmentView;
  try {
    seen = await look(id);
  } catch (error) {
    if (error instanceof ApiFailure && error.code === "not-found") return ended(person, T.linkUsed);
    throw error;
  }
  if (seen.state === "failed") return ended(person, T.failed);
  if (seen.state === "expired") return ended(person, T.over);
  const kept = readKept(id);
  if (kept === null) return seen.state === "open" || seen.state === "redeemed" ? start(seen) : ended(person, T.elsewhere);
  if (seen.state === "redeemed") await send(input, kept);
  return goOn(input, kept);
}

/** The page behind a claim link: names the gateway, then signs. */
export async function claimPage(person: Me): Promise<void> {
  const [id = "", secret = ""] = location.hash.slice(1).split(".");
  if (id === "" || secret === "") return ended(person, T.linkMissing);
  const input = { person, id, secret };
  await play(input, (seen) => {
    const { machine } = seen;
    if (machine === null) return ended(person, T.over);
    const name = h("input", { id: "name", type: "text", maxlength: "64", autocomplete: "off", value: seen.gatewayName || machine.name });
    const choice = passkeyChoice(person);
    const add = async (): Promise<void> => {
      const gatewayName = name.value.trim() || T.defaultName;
      // Claimed by this account before, and reloaded: the name stands.
      const claimed =
        seen.gateway !== null && seen.gatewayOrigin !== null
          ? { gateway: seen.gateway, gatewayOrigin: seen.gatewayOrigin, gatewayName: seen.gatewayName }
          : { ...(await call<{ gateway: string; gatewayOrigin: string }>("POST", `/api/enrolments/${id}/claim`, { name: gatewayName })), gatewayName }; // prettier-ignore
      await goOn(input, await propose(input, seen, claimed, choice.credentialId()));
    };
    view(
      T.title,
      h("p", {}, T.waits(machine.name, machine.platform)),
      h("p", {}, T.onlyYours),
      ...(seen.gateway === null ? [h("label", { for: "name" }, T.gatewayName), name] : []),
      ...choice.nodes,
      h("div", { class: "actions" }, button(T.add, "primary", add)),
    );
  });
}

/** The page behind an enrolment code. @param gateway as the dashboard that made the code names it */
export async function connectPage(person: Me, id: string, gateway: string): Promise<void> {
  const input = { person, id, secret: null };
  await play(input, async (first) => {
    view(T.title, h("p", {}, T.waiting));
    const seen = first.state === "redeemed" ? first : await until(input, ["redeemed"]);
    if (seen === null) return;
    if (seen.gateway === null || seen.gatewayOrigin === null || seen.gateway !== gateway) return ended(person, T.otherGateway);
    const named = { gateway, gatewayOrigin: seen.gatewayOrigin, gatewayName: seen.gatewayName };
    const start = async (credentialId: string): Promise<void> => goOn(input, await propose(input, seen, named, credentialId));
    const choice = passkeyChoice(person);
    if (choice.nodes.length === 0) return start(choice.credentialId());
    view(
      T.title,
      ...choice.nodes,
      h(
        "div",
        { class: "actions" },
        button(T.add, "primary", () => start(choice.credentialId())),
      ),
    );
  });
}
