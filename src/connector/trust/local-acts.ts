/** Acts that an owner signed elsewhere, on this machine: judged against the pinned keys, used once, carried out, answered (PROTOCOL.md SA). */
import { judgeLocalAct } from "../../core/trust/local-act.ts";
import { MAX_SPENT_ACTS } from "../../protocol/limits.ts";
import type { ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import type { SignedByOwner } from "../../protocol/statements.ts";
import { readLocalAct } from "../../core/trust/statement.ts";
import type { LocalAct, LocalActOutcome } from "../../protocol/words.ts";
import type { Admitted } from "./admissions.ts";
import type { KeyLog } from "./key-log-file.ts";
import type { OpenclawGateway } from "../openclaw/openclaw-port.ts";
import type { StateFiles } from "../state/state-files.ts";

export interface LocalActsOptions {
  readonly files: StateFiles;
  readonly log: KeyLog;
  readonly admitted: Pick<Admitted, "alarm">;
  readonly gateway: OpenclawGateway;
  readonly now: () => number;
  readonly send: (message: ToRoom) => void;
}

export class LocalActs {
  readonly #options: LocalActsOptions;

  constructor(options: LocalActsOptions) {
    this.#options = options;
  }

  /** Judges one and answers it once it is carried out, which the next command does not wait for. @returns once it is judged */
  async take({ id, signed }: Extract<ToConnector, { type: "local-act" }>): Promise<void> {
    const { send } = this.#options;
    // Of what cannot be read nothing was asked: the room knows by the id which act it was.
    const act = readLocalAct(signed.statement)?.body.act ?? "apply-settings";
    const begun = await this.#begin(signed);
    const answer = (outcome: LocalActOutcome): void => send({ type: "local-act-done", id, act, outcome });
    if (typeof begun === "string") return answer(begun);
    begun().then(answer, () => answer("internal"));
  }

  /** The person at this machine did it: the room's history says so. */
  doneHere(act: LocalAct, outcome: LocalActOutcome): void {
    this.#options.send({ type: "local-act-done", id: null, act, outcome });
  }

  /** @returns what carries it out, once its signature is spent on disk; or why it is refused */
  async #begin(signed: SignedByOwner): Promise<LocalActOutcome | (() => Promise<LocalActOutcome>)> {
    const { files, log, admitted, gateway, now } = this.#options;
    // Who may decide is in doubt until somebody at the machine has looked.
    if (admitted.alarm() !== null) return "alarm";
    const nowMs = now();
    const spent = (files.read("spentActs") ?? []).filter(({ applyByMs }) => applyByMs >= nowMs);
    const judged = await judgeLocalAct(
      {
        ...log.state,
        knowsHead: (hash) => log.state.hashes.includes(hash),
        settings: gateway.settings?.hash ?? null,
        isSpent: (id) => spent.some((each) => each.id === id),
        nowMs,
      },
      signed,
    );
    if (!judged.ok) return judged.outcome;
    if (spent.length >= MAX_SPENT_ACTS) return "internal";
    // On disk before anything is done: a restart in between must not let it be used again.
    try {
      files.write("spentActs", [...spent, { id: judged.id, applyByMs: judged.applyByMs }]);
    } catch {
      return "internal";
    }
    const subject = readLocalAct(signed.statement)?.body.subject ?? "";
    switch (judged.act) {
      case "apply-settings":
        return () => gateway.answerSettings(subject, true);
      case "rotate-secret":
        return () => gateway.rotateSecret();
    }
  }
}
