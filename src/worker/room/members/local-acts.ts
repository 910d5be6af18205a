/** The room's part of owner-signed acts on the gateway's machine: it refuses early, hands on, and keeps what came of it (PROTOCOL.md SA). */
import { judgeLocalAct } from "../../../core/trust/local-act.ts";
import type { RoleKind } from "../../../core/trust/roles.ts";
import type { AuditDetail } from "../../../protocol/audit.ts";
import type { LocalActDone } from "../../../protocol/link-local-acts.ts";
import { toBase64url } from "../../../protocol/statement-encoding.ts";
import type { SignedByOwner } from "../../../protocol/statements.ts";
import type { LocalAct, LocalActOutcome } from "../../../protocol/words.ts";
import type { Admission } from "../context.ts";
import { trustedKeys } from "./owners.ts";
import type { RoomLocalActs, RoomResult } from "../rpc.ts";
import { byWhom } from "../roles.ts";
import type { Who } from "../roles.ts";

/** What the activity calls an act that was done, and one that was not. */
const EVENTS: Readonly<Record<LocalAct, readonly [done: string, failed: string]>> = {
  "apply-settings": ["settings-applied", "settings-not-applied"],
  "rotate-secret": ["secret-rotated", "secret-not-rotated"],
};

interface Asked {
  readonly by: { readonly role: RoleKind; readonly detail: AuditDetail };
  readonly resolve: (outcome: LocalActOutcome) => void;
}

export class LocalActs {
  readonly #room: Admission;
  readonly #asked = new Map<string, Asked>();

  constructor(room: Admission) {
    this.#room = room;
  }

  /** @returns what an owner's page needs to sign an act */
  view(): RoomLocalActs {
    const room = this.#room;
    const { name } = room.mustMeta();
    return { name, state: room.state(), head: room.keyLog.head()?.hash ?? null, settings: room.report()?.settings ?? null };
  }

  /** Verifies an act and hands it to the connector. @returns what came of it; `gateway-away` when nothing was sent */
  async take(signed: SignedByOwner, who: Who): Promise<RoomResult<LocalActOutcome>> {
    const { options, relay } = this.#room;
    const { approveOrigin, rpId } = options.config;
    const judged = await judgeLocalAct(
      {
        gateway: this.#room.mustMeta().gateway,
        approveOrigin,
        rpId,
        ownerKeys: trustedKeys(this.#room),
        // The log itself, and what was used, are at the machine, which judges again.
        knowsHead: () => true,
        isSpent: () => false,
        settings: this.#room.report()?.settings?.hash ?? null,
        nowMs: options.now(),
      },
      signed,
    );
    if (!judged.ok) return { ok: true, value: judged.outcome };
    const id = toBase64url(options.random(12));
    const outcome = await new Promise<LocalActOutcome | null>((resolve) => {
      if (!relay.send({ type: "local-act", id, signed })) return resolve(null);
      this.#asked.set(id, { by: { role: who.role, detail: byWhom(who) }, resolve });
    });
    return outcome === null ? { ok: false, failure: "gateway-away" } : { ok: true, value: outcome };
  }

  /** What the machine says. One that nobody waits for any more is news for the history all the same. */
  answered({ id, act, outcome }: LocalActDone): void {
    const asked = id === null ? undefined : this.#asked.get(id);
    if (id !== null) this.#asked.delete(id);
    const [done, failed] = EVENTS[act];
    const actor = asked?.by.role ?? (id === null ? "host" : "gateway");
    this.#room.audit(actor, outcome === "done" ? done : failed, null, {
      ...asked?.by.detail,
      ...(outcome === "done" ? {} : { why: outcome }),
    });
    this.#room.tellInbox();
    asked?.resolve(outcome);
  }

  /** Nobody answers any more: whether it was done is not known. */
  linkGone(): void {
    for (const { resolve } of this.#asked.values()) resolve("unanswered");
    this.#asked.clear();
  }
}
