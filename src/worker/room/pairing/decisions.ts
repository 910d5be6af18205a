/** What the owner decides about devices: allow, deny, cut. Each verifies, commits in one transaction, then tells connector and devices. */
import { verifySigned } from "../../../core/trust/assertion.ts";
import { grantId } from "../../../core/trust/digests.ts";
import { grantProblem, isWithin, isWithinRole } from "../../../core/trust/grant-policy.ts";
import { mayDo } from "../../../core/trust/roles.ts";
import { readGrant } from "../../../core/trust/statement.ts";
import { CLOSE_SESSION_OVER } from "../../../protocol/close-codes.ts";
import { ACTIVATION_MS, MATCH_CODE_TRIES } from "../../../protocol/limits.ts";
import type { GrantStatement, SignedByOwner } from "../../../protocol/statements.ts";
import { isSameText } from "../../auth/session-cookie.ts";
import type { Admission } from "../context.ts";
import { endOf } from "../devices/access-ends.ts";
import { block, isBlocked } from "../devices/blocks.ts";
import { cut } from "../devices/cuts.ts";
import { noticeGrant } from "../devices/new-device-alerts.ts";
import { deliver, refusalOf } from "../pending-commands.ts";
import { trustedKeys } from "../members/owners.ts";
import { endRequest } from "./requests.ts";
import type { Decided, RoomResult } from "../rpc.ts";
import { byWhom, whoIs } from "../roles.ts";
import type { Who } from "../roles.ts";
import type { DeviceRow, GrantRow, RequestRow } from "../storage/rows.ts";

const REFUSED = { ok: false, failure: "grant-refused" } as const;

/** The owner has the request on the screen: the waiting device is told, once. */
export function ownerOpened(admission: Admission, row: RequestRow): void {
  if (row.isOwnerThere === true) return;
  admission.storage.put("requests", row.id, { ...row, isOwnerThere: true });
  admission.notices.device(row.device, { type: "waiting", request: row.id, matchCode: row.code, ownerSeen: true });
}

/** Counts a wrong match code; the third ends the request (PROTOCOL.md MC2). */
export function checkMatchCode(admission: Admission, requestId: string, code: string, who: Who): RoomResult<null> {
  const row = admission.storage.get<RequestRow>("requests", requestId);
  if (row === null) return { ok: false, failure: "request-over" };
  if (isSameText(code, row.code)) return { ok: true, value: null };
  const tries = row.tries + 1;
  admission.storage.transaction(() => {
    admission.audit(who.role, "wrong-match-code", row.device, { tries, ...byWhom(who) });
    if (tries < MATCH_CODE_TRIES) admission.storage.put("requests", row.id, { ...row, tries });
  });
  if (tries >= MATCH_CODE_TRIES) endRequest(admission, row, "wrong-code", { type: "ended", why: "wrong-code" });
  return { ok: false, failure: "match-code-wrong", triesLeft: MATCH_CODE_TRIES - tries };
}

/** Verifies signature and body; what it must match beyond that is the caller's. */
export async function verifiedGrant(admission: Admission, signed: SignedByOwner): Promise<{ id: string; body: GrantStatement } | null> {
  const statement = readGrant(signed.statement);
  if (statement === null) return null;
  const { config, now } = admission.options;
  const meta = admission.mustMeta();
  if ((await grantProblem(statement.body, { gateway: meta.gateway, nowMs: now() })) !== null) return null;
  const expected = {
    type: "grant",
    body: statement.bytes,
    origin: config.approveOrigin,
    rpId: config.rpId,
    ownerKeys: trustedKeys(admission),
  } as const;
  const owner = await verifySigned(signed, expected);
  if (typeof owner === "string" || !isWithinRole(owner.role, statement.body)) return null;
  return { id: await grantId(statement.bytes), body: statement.body };
}

/** One transaction: device, grant and what the connector is owed. Then the connector, whose answer makes it live. */
export async function commitGrant(
  admission: Admission,
  grant: { id: string; body: GrantStatement },
  signed: SignedByOwner,
  from: RequestRow | null,
  by: string | null,
  who: Who,
): Promise<Decided> {
  const { body, id } = grant;
  const message = { type: "grant", id: `grant-${id}`, grant: id, signed } as const;
  const before = admission.device(body.device);
  const isAgain = body.kind === "again";
  const device: DeviceRow = {
    id: body.device,
    key: body.key,
    name: isAgain ? (before?.name ?? body.name) : body.name,
    platform: from?.claims.platform ?? before?.platform ?? "",
    browser: from?.claims.browser ?? before?.browser ?? "",
    access: body.access,
    // Approved again it stays what it was: an owner's own device, or one that asked.
    kind: body.kind === "again" ? (before?.kind ?? "ask") : body.kind,
    grant: id,
    state: "waiting",
    createdAtMs: before?.createdAtMs ?? admission.options.now(),
    lastSeenMs: before?.lastSeenMs ?? null,
    notAfterMs: body.notAfterMs,
    token: null,
    activation: body.activation,
  };
  admission.storage.transaction(() => {
    const older = before === null ? null : admission.storage.get<GrantRow>("grants", before.grant);
    if (older !== null && older.id !== id) {
      admission.saveGrant({ ...older, state: "revoked" });
      admission.storage.delete("owed", `grant-${older.id}`);
    }
    // What an older grant opened ends with it, however much wider it was.
    admission.storage.deleteSessionsOf(body.device);
    admission.saveDevice(device);
    settleOwedCut(admission, body.device);
    admission.saveGrant({ id, device: body.device, signed, state: "owed" });
    admission.storage.owe(message);
    const { access, notAfterMs, kind } = body;
    admission.audit(who.role, "allow", body.device, { access, notAfterMs, kind, ...byWhom(who) });
  });
  noticeGrant(admission, grant, who.person?.name ?? by, who.person !== null);
  if (body.activation !== null) admission.options.wakeBy(body.issuedAtMs + ACTIVATION_MS);
  admission.relay.endDevice(body.device, CLOSE_SESSION_OVER, "allowed anew");
  if (from !== null) endRequest(admission, from, "allowed", { type: "allowed", live: false }, who);
  const result = await deliver(admission, message);
  admission.tellInbox();
  if (result === null || result.refusal === "internal") return { device: body.device, outcome: "waiting" };
  if (!result.ok) return { device: body.device, outcome: "refused", refusal: refusalOf(result) };
  return { device: body.device, outcome: "applied" };
}

/** A cut that the connector has not heard of yet is answered by the new grant, which revokes the old one there: sent after it, it would undo it. */
function settleOwedCut(admission: Admission, device: string): void {
  const { storage } = admission;
  const message = `cut-${device}`;
  const receipt = storage.receipt(device);
  if (!storage.owed().some((owed) => owed.id === message)) return;
  storage.delete("owed", message);
  if (receipt !== null) storage.saveReceipt({ ...receipt, asked: null, gateway: { ...receipt.gateway, state: "superseded", why: null } });
}

/** The signature was checked while others were answered: the person may have been removed in between. */
export function isStillHere(admission: Admission, who: Who): boolean {
  return mayDo(whoIs(admission.storage, who.account)?.role ?? null, "decide");
}

/** PROTOCOL.md GR1, GR2: exactly this request, this key, no wider access, and the match code once more. */
export async function allow(
  admission: Admission,
  input: { request: string; code: string; signed: SignedByOwner; by?: string | null },
  who: Who,
): Promise<RoomResult<Decided>> {
  const match = checkMatchCode(admission, input.request, input.code, who);
  if (!match.ok) return match;
  const grant = await verifiedGrant(admission, input.signed);
  if (!isStillHere(admission, who)) return { ok: false, failure: "not-found" };
  // The checks waited: the request may have ended, or been decided, in between.
  const row = admission.storage.get<RequestRow>("requests", input.request);
  if (row === null) return { ok: false, failure: "request-over" };
  if (grant === null) return REFUSED;
  const { body } = grant;
  if (body.kind !== "ask" || body.request !== row.id || body.device !== row.device || !isWithin(body.access, row.access)) return REFUSED;
  if (isBlocked(admission, row.device)) return REFUSED;
  admission.storage.delete("requests", row.id);
  return { ok: true, value: await commitGrant(admission, grant, input.signed, row, input.by ?? null, who) };
}

/** Same-device way: counts only once the first session brings the code behind its activation hash. */
export async function ownerGrant(
  admission: Admission,
  { signed, by = null }: { signed: SignedByOwner; by?: string | null },
  who: Who,
): Promise<RoomResult<Decided>> {
  const grant = await verifiedGrant(admission, signed);
  if (!isStillHere(admission, who)) return { ok: false, failure: "not-found" };
  if (grant === null || grant.body.kind !== "owner") return REFUSED;
  if (admission.storage.get("grants", grant.id) !== null) return { ok: false, failure: "conflict" };
  return { ok: true, value: await commitGrant(admission, grant, signed, null, by, who) };
}

export async function deny(
  admission: Admission,
  input: { request: string; block: boolean },
  who: Who,
): Promise<RoomResult<{ device: string }>> {
  const row = admission.storage.get<RequestRow>("requests", input.request);
  if (row === null) return { ok: false, failure: "request-over" };
  const { device } = row;
  if (input.block) admission.storage.transaction(() => block(admission, { device, name: row.claims.name }, who));
  endRequest(admission, row, "denied", { type: "refused", end: input.block ? endOf(admission, device) : null }, who);
  // What it had ends for good: the end of the block must not bring it back (PROTOCOL.md BL3).
  const before = admission.device(device);
  if (input.block && before !== null && before.state !== "cut") await cut(admission, device, who);
  return { ok: true, value: { device } };
}
