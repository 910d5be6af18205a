/** The connector as the last judge: what it admits, against keys that it pinned itself. Pure: files, clock and nonces are arguments. */
import type { OwnerRole } from "../../protocol/key-log.ts";
import type { Refusal } from "../../protocol/link-messages.ts";
import { ACTIVATION_MS, NONCE_MS, SESSION_MS } from "../../protocol/limits.ts";
import type { GrantStatement, Handover, OwnerKey, SignedByDevice, SignedByOwner } from "../../protocol/statements.ts";
import { verifySigned } from "./assertion.ts";
import { activationHash, grantId, keyThumbprint } from "./digests.ts";
import { CLOCK_SKEW_MS, grantProblem, isWithinRole } from "./grant-policy.ts";
import { verifyTagged } from "./public-key.ts";
import { readGrant, readSession } from "./statement.ts";
import type { ConnectorKey } from "../../protocol/statements.ts";

/** A passkey that a gateway trusts; without a role it is an owner's. */
export interface PinnedKey extends OwnerKey {
  readonly role?: OwnerRole;
}

/** A connector key that was replaced, and when. */
export interface PreviousKey {
  readonly key: ConnectorKey;
  readonly rotatedAtMs: number;
}

/**
 * Whether a session statement names this connector: by its key, or by the one before as long as a nonce lives that was handed out under it
 * (PROTOCOL.md SE1).
 *
 * @param named thumbprint in the statement
 */
export async function isNamed(
  connector: { readonly key: ConnectorKey; readonly previousKey: PreviousKey | null },
  named: string,
  nowMs: number,
): Promise<boolean> {
  if (named === (await keyThumbprint(connector.key))) return true;
  const { previousKey } = connector;
  return previousKey !== null && nowMs < previousKey.rotatedAtMs + NONCE_MS && named === (await keyThumbprint(previousKey.key));
}

/** What a connector knows about itself and its owner. */
export interface Pinned {
  readonly gateway: string;
  readonly account: string;
  readonly origin: string;
  readonly approveOrigin: string;
  readonly rpId: string;
  readonly key: ConnectorKey;
  /** The connector's key before the last rotation: statements that were begun with its nonce still name it. */
  readonly previousKey: PreviousKey | null;
  readonly ownerKeys: readonly PinnedKey[];
}

/** A grant that this connector verified. */
export interface HeldGrant {
  readonly id: string;
  readonly statement: GrantStatement;
  readonly isRevoked: boolean;
  /** Same-device grants: whether a first session has brought the code. */
  readonly isActivated: boolean;
}

export type Judged<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

function no(refusal: Refusal): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal };
}

/**
 * Judges a grant as it came over the link (PROTOCOL.md GR1-3).
 *
 * @param nowMs this machine's clock: the relay's never extends anything
 */
export async function judgeGrant(pinned: Pinned, signed: SignedByOwner, nowMs: number): Promise<Judged<HeldGrant>> {
  const read = readGrant(signed.statement);
  if (read === null) return no("bad-statement");
  const problem = await grantProblem(read.body, { gateway: pinned.gateway, nowMs });
  if (problem === "wrong-gateway") return no("wrong-gateway");
  if (problem === "expired" || problem === "too-late") return no(problem);
  if (problem !== null) return no("bad-statement");
  const { approveOrigin: origin, rpId, ownerKeys } = pinned;
  const owner = await verifySigned(signed, { type: "grant", body: read.bytes, origin, rpId, ownerKeys });
  if (typeof owner === "string") return no(owner === "unknown-owner-key" ? owner : "bad-signature");
  if (!isWithinRole(owner.role, read.body)) return no("over-ceiling");
  return {
    ok: true,
    value: {
      id: await grantId(read.bytes),
      statement: read.body,
      isRevoked: false,
      isActivated: read.body.kind !== "owner",
    },
  };
}

/** An admitted session, as streams cite it. */
export interface HeldSession {
  readonly session: string;
  readonly device: string;
  readonly grant: string;
  readonly expiresAtMs: number;
}

/** A session as it was judged, with what its device said of the page that comes next. */
export interface JudgedSession extends HeldSession {
  readonly handover: Handover;
}

export interface SessionInput {
  readonly session: string;
  readonly signed: SignedByDevice;
  readonly activationCode: string | undefined;
  /** Takes one of this connector's own nonces: true for the first caller only. */
  readonly takeNonce: (nonce: string) => boolean;
  readonly grant: (id: string) => HeldGrant | null;
  readonly nowMs: number;
}

/** Judges a session statement (PROTOCOL.md SE1): own nonce, own key, own origin, a live grant, and the device's signature. */
export async function judgeSession(pinned: Pinned, input: SessionInput): Promise<Judged<JudgedSession>> {
  const read = readSession(input.signed.statement);
  if (read === null) return no("bad-statement");
  const { body, bytes } = read;
  if (body.gateway !== pinned.gateway || body.origin !== pinned.origin) return no("wrong-gateway");
  if (!(await isNamed(pinned, body.connectorKey, input.nowMs))) return no("wrong-gateway");
  if (!input.takeNonce(body.connectorNonce)) return no("bad-nonce");
  const grant = input.grant(body.grant);
  if (grant === null || grant.statement.device !== body.device) return no("unknown-grant");
  if (grant.isRevoked) return no("revoked");
  const { nowMs } = input;
  const { statement } = grant;
  if (statement.notAfterMs <= nowMs || body.expMs <= body.iatMs) return no("expired");
  if (body.expMs > body.iatMs + SESSION_MS || body.expMs > statement.notAfterMs) return no("expired");
  if (!(await verifyTagged(statement.key, "session", bytes, input.signed.signature))) return no("bad-signature");
  if (!grant.isActivated) {
    const isRight = input.activationCode !== undefined && (await activationHash(input.activationCode)) === statement.activation;
    if (!isRight || nowMs > statement.issuedAtMs + ACTIVATION_MS + CLOCK_SKEW_MS) return no("bad-activation");
  }
  // The session's end counts on this machine's clock, from now, whatever the device's clock says.
  const expiresAtMs = Math.min(nowMs + (body.expMs - body.iatMs), statement.notAfterMs);
  return { ok: true, value: { session: input.session, device: body.device, grant: grant.id, expiresAtMs, handover: body.handover } };
}
