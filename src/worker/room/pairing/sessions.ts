/** The room's side of opening a session: challenges, proofs, device tokens (PROTOCOL.md SE, TK). */
import { activationHash, deviceId } from "../../../core/trust/digests.ts";
import { isNamed } from "../../../core/trust/judge.ts";
import { firstToken, judgeToken, recognised, rotatedToken } from "../../../core/trust/device-token-policy.ts";
import type { TokenState } from "../../../core/trust/device-token-policy.ts";
import { CLOCK_SKEW_MS } from "../../../core/trust/grant-policy.ts";
import { isSoundKey, verifyTagged } from "../../../core/trust/public-key.ts";
import { readGrant, readSession } from "../../../core/trust/statement.ts";
import type { ReadStatement } from "../../../core/trust/statement.ts";
import { BucketTable } from "../../../core/link/token-bucket.ts";
import { challengeRequestSchema, sessionRequestSchema } from "../../../protocol/door-messages.ts";
import type { DoorError } from "../../../protocol/door-messages.ts";
import {
  ACTIVATION_MS,
  FAILED_PROOFS_PER_DEVICE,
  FAILED_PROOFS_PER_GATEWAY,
  MAX_JSON_BODY_BYTES,
  NONCE_MS,
  SESSION_MS,
} from "../../../protocol/limits.ts";
import type { Refusal } from "../../../protocol/link-messages.ts";
import type { SessionStatement } from "../../../protocol/statements.ts";
import { toBase64url } from "../../../protocol/statement-encoding.ts";
import { DEVICE_TOKEN_COOKIE } from "../../../protocol/words.ts";
import { deviceTokenCookie, deviceTokenMacs, firstTokensOf, successorsOf } from "../../auth/device-token.ts";
import { readRoomNonce } from "../../auth/room-nonce.ts";
import { cookieValue, sealSessionCookie } from "../../auth/session-cookie.ts";
import { boundedText } from "../../bounded-body.ts";
import { standingAnswer } from "../devices/access-ends.ts";
import type { Admission } from "../context.ts";
import { isBlocked, unblockOpened } from "../devices/blocks.ts";
import { challengeAnswer } from "./challenge.ts";
import { doorRefusal } from "./door-errors.ts";
import type { DeviceRow, GrantRow, SessionRow } from "../storage/rows.ts";

/** Devices whose failed proofs are remembered one by one. */
const MAX_COUNTED_DEVICES = 200;

/** Refusals of the connector that a person at the door can do something about. */
const REFUSED_AT_MACHINE: Partial<Record<Refusal, DoorError>> = {
  "not-serving": "gateway-away",
};

/** What a device showed and what would follow it; the state that it is judged against may change meanwhile. MACs under each live secret, newest first. */
interface Presented {
  /** No session of the grant had opened yet when the device began: then no token is asked for. */
  readonly isFirst: boolean;
  readonly macs: readonly string[];
  readonly successors: readonly { readonly value: string; readonly macs: readonly string[] }[];
}

interface Renewed {
  readonly state: TokenState;
  /** The token that the device receives. */
  readonly value: string;
}

async function bodyOf(request: Request): Promise<unknown> {
  const text = await boundedText(request, MAX_JSON_BODY_BYTES);
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

export class DoorSessions {
  readonly #admission: Admission;
  readonly #failedByDevice = new BucketTable(FAILED_PROOFS_PER_DEVICE, MAX_COUNTED_DEVICES);
  readonly #failed = new BucketTable(FAILED_PROOFS_PER_GATEWAY, 1);

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Everything that the page needs to decide what to show, with fresh nonces of room and, for an allowed device, connector. Stores nothing. */
  async challenge(request: Request): Promise<Response> {
    const parsed = challengeRequestSchema.safeParse(await bodyOf(request));
    const admission = this.#admission;
    const meta = admission.storage.meta();
    if (!parsed.success || meta === null || !isSoundKey(parsed.data.key)) return doorRefusal("bad-request");
    const answer = await challengeAnswer(admission, await deviceId(meta.gateway, parsed.data.key));
    return Response.json(answer, { headers: { "cache-control": "no-store" } });
  }

  /** What keeps a device out that proves its key. */
  async standing(request: Request): Promise<Response> {
    return standingAnswer(this.#admission, await bodyOf(request));
  }

  /** PROTOCOL.md SE1: room first, then the connector; only its yes makes the cookie. */
  async session(request: Request): Promise<Response> {
    const parsed = sessionRequestSchema.safeParse(await bodyOf(request));
    const statement = parsed.success ? readSession(parsed.data.signed.statement) : null;
    if (!parsed.success || statement === null) return doorRefusal("bad-request");
    const admission = this.#admission;
    const { now, env } = admission.options;
    const checked = await this.#checkSession(statement, parsed.data.signed.signature, parsed.data.activationCode);
    if (typeof checked === "string") return this.#failedProof(statement.body.device, checked);
    const presented = await this.#presented(checked, cookieValue(request.headers.get("cookie"), DEVICE_TOKEN_COOKIE));
    const early = this.#renewed(checked, presented);
    if (typeof early === "string") return this.#failedProof(checked.id, early);
    // Everything that is the device's own is proven: from here on the nonce is used up.
    if (!this.#takeNonce(statement.body.roomNonce, now())) return doorRefusal("bad-request");
    const session = toBase64url(admission.options.random(24));
    const result = await admission.relay.command({
      type: "session",
      id: `session-${session}`,
      session,
      signed: parsed.data.signed,
      ...(parsed.data.activationCode === undefined ? {} : { activationCode: parsed.data.activationCode }),
    });
    if (result === null) return doorRefusal("gateway-away");
    if (!result.ok) {
      return doorRefusal(REFUSED_AT_MACHINE[result.refusal ?? "internal"] ?? "refused-by-gateway");
    }
    // The connector's answer took time: the owner may have cut, blocked or allowed the device anew, or its token may have moved on or been frozen.
    const current = admission.device(checked.id);
    const isStopped = admission.isCut(checked.id) || (current?.activation === null && isBlocked(admission, checked.id));
    if (current === null || current.state !== "allowed" || current.grant !== checked.grant || isStopped) return doorRefusal("not-allowed");
    const token = this.#renewed(current, presented);
    if (typeof token === "string") return doorRefusal(token);
    const expiresAtMs = statement.body.expMs;
    const row: SessionRow = { id: session, device: checked.id, grant: checked.grant, access: checked.access, expiresAtMs };
    admission.storage.transaction(() => {
      admission.storage.put("sessions", session, row);
      admission.saveDevice({ ...current, token: token.state, activation: null, lastSeenMs: now() });
      if (current.token?.current !== token.state.current)
        admission.audit("device", "token-rotated", checked.id, { isFirst: current.token === null });
      unblockOpened(admission, checked.id);
      admission.audit("device", "session-opened", checked.id, { access: checked.access });
    });
    admission.options.wakeBy(expiresAtMs);
    const headers = new Headers({ "cache-control": "no-store" });
    const { gateway } = admission.mustMeta();
    headers.append("set-cookie", await sealSessionCookie(env, { session, gateway, device: checked.id, expiresAtMs }, now()));
    headers.append("set-cookie", deviceTokenCookie(token.value, Math.floor((checked.notAfterMs - now()) / 1000)));
    return Response.json({ expiresAtMs, access: checked.access }, { headers });
  }

  async #checkSession(
    statement: ReadStatement<SessionStatement>,
    signature: string,
    activationCode: string | undefined,
  ): Promise<DeviceRow | DoorError> {
    const admission = this.#admission;
    const identity = admission.identity();
    const { body } = statement;
    const nowMs = admission.options.now();
    if (identity === null || body.gateway !== identity.gateway || body.origin !== identity.origin) return "bad-request";
    if ((await readRoomNonce(admission.options.env, identity.gateway, body.roomNonce, nowMs)) === null) return "bad-request";
    if (Math.abs(body.iatMs - nowMs) > CLOCK_SKEW_MS) return "clock";
    const row = admission.device(body.device);
    if (
      row === null ||
      row.state !== "allowed" ||
      row.suspendedAtMs !== undefined ||
      row.grant !== body.grant ||
      row.notAfterMs <= nowMs ||
      // The owner's own way ends a block, with the code that only this browser has.
      (row.activation === null && isBlocked(admission, row.id))
    )
      return "not-allowed";
    if (body.expMs > Math.min(row.notAfterMs, body.iatMs + SESSION_MS) || body.expMs <= nowMs) return "bad-request";
    if (!(await isNamed(identity, body.connectorKey, nowMs))) return "bad-request";
    if (!(await verifyTagged(row.key, "session", statement.bytes, signature))) return "not-allowed";
    if (row.activation !== null) {
      const grant = admission.storage.get<GrantRow>("grants", row.grant);
      if (activationCode === undefined || grant === null || (await activationHash(activationCode)) !== row.activation) return "not-allowed";
      const issuedAtMs = readGrant(grant.signed.statement)?.body.issuedAtMs ?? 0;
      if (nowMs > issuedAtMs + ACTIVATION_MS) return "not-allowed";
    }
    return row;
  }

  /** Its end was checked before; kept only until then, so that nothing is left of a nonce that can no longer be replayed. */
  #takeNonce(nonce: string, nowMs: number): boolean {
    const { storage, options } = this.#admission;
    options.wakeBy(nowMs + NONCE_MS);
    return storage.useNonce(nonce, nowMs + NONCE_MS);
  }

  /** Wrong proofs cost their sender's own budget and nobody else's: a right one is never refused for them. */
  #failedProof(device: string, why: DoorError): Response {
    const isProven = why === "token-missing" || why === "token-frozen";
    if (!isProven && why !== "not-allowed") return doorRefusal(why);
    const nowMs = this.#admission.options.now();
    const ownMs = this.#failedByDevice.take(`${why} ${device}`, nowMs);
    const waitMs = isProven ? ownMs : Math.max(ownMs, this.#failed.take("", nowMs));
    return waitMs === 0 ? doorRefusal(why) : doorRefusal("too-many", Math.ceil(waitMs / 1000));
  }

  async #presented(row: DeviceRow, shown: string | null): Promise<Presented> {
    const { env } = this.#admission.options;
    const { gateway } = this.#admission.mustMeta();
    const macsOf = (token: string): Promise<readonly string[]> => deviceTokenMacs(env, gateway, row.id, token);
    const macs = shown === null ? [] : await macsOf(shown);
    const isFirst = row.token === null;
    const values =
      shown === null || macs.length === 0 || isFirst
        ? await firstTokensOf(env, gateway, row.id, row.grant)
        : await successorsOf(env, shown);
    return { isFirst, macs, successors: await Promise.all(values.map(async (value) => ({ value, macs: await macsOf(value) }))) };
  }

  /** PROTOCOL.md TK1-3. @returns the state after this renewal and the token to hand out, or why there is none */
  #renewed(row: DeviceRow, presented: Presented): Renewed | DoorError {
    const admission = this.#admission;
    const nowMs = admission.options.now();
    const [newest] = presented.successors;
    const newestMac = newest?.macs[0];
    if (newest === undefined || newestMac === undefined) return "token-missing";
    if (row.token === null) return { state: firstToken(newestMac, nowMs), value: newest.value };
    if (row.token.isFrozen) return "token-frozen";
    const { token } = row;
    const again = (): Renewed | DoorError => {
      const given = presented.successors.find((each) => each.macs.includes(token.current));
      return given === undefined ? "token-missing" : { state: token, value: given.value };
    };
    // Two pages of the device opened the grant's first session side by side: both receive the one first token.
    if (presented.isFirst && presented.successors.some((each) => each.macs.includes(token.current))) return again();
    switch (judgeToken(recognised(presented.macs, token), token, nowMs).verdict) {
      case "rotate":
        return { state: rotatedToken(token, newestMac, nowMs), value: newest.value };
      case "repeat":
        return again();
      case "freeze":
        admission.freeze(row);
        return "token-frozen";
      case "refuse":
        return "token-missing";
    }
  }
}
