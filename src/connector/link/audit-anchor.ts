/** Keeps the newest head of the room's audit chain on this machine's disk, where the room cannot reach it: a chain that was rewound is seen (PROTOCOL.md AU3). */
import { judgeAuditHead } from "../../core/trust/audit-chain.ts";
import type { AuditClaim } from "../../core/trust/audit-chain.ts";
import type { AuditHead } from "../../protocol/audit.ts";
import type { ToRoom } from "../../protocol/link-messages.ts";
import type { StateFiles } from "../state/state-files.ts";

export interface AuditAnchorOptions {
  readonly files: StateFiles;
  readonly gateway: string;
  readonly now: () => number;
  readonly send: (message: ToRoom) => void;
  /** Something was rewound: nobody new is admitted from here on. Called once per process and link. */
  readonly onRewound: () => void;
}

/** @returns the anchored head of this gateway's chain, or null before the first */
export function anchoredHead(files: StateFiles, gateway: string): (AuditHead & { readonly atMs: number }) | null {
  const kept = files.read("auditHead");
  return kept === null || kept.gateway !== gateway ? null : { seq: kept.seq, hash: kept.hash, atMs: kept.atMs };
}

export class AuditAnchor {
  readonly #options: AuditAnchorOptions;
  #isTold = false;

  constructor(options: AuditAnchorOptions) {
    this.#options = options;
  }

  /** A link came up: says what is anchored; the room answers with what came since, or gives itself away. */
  linkUp(): void {
    this.#isTold = false;
    this.#say();
  }

  /** A head of the room: kept when it extends the anchored one, else an alarm, and what is anchored stays. */
  take(claim: AuditClaim): void {
    const { files, gateway, now, onRewound } = this.#options;
    switch (judgeAuditHead(anchoredHead(files, gateway), claim)) {
      case "same":
        return;
      case "extends":
        files.write("auditHead", { gateway, ...claim.head, atMs: now() });
        return this.#say();
      case "rewound":
        if (this.#isTold) return;
        this.#isTold = true;
        return onRewound();
    }
  }

  #say(): void {
    const { files, gateway, send } = this.#options;
    const head = anchoredHead(files, gateway);
    send({ type: "audit-anchor", head: head === null ? null : { seq: head.seq, hash: head.hash } });
  }
}
