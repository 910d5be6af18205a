/** Plays the page's part of an enrolment against the API, and goes on after a reload. */
import { useEffect, useState } from "preact/hooks";
import { checkWords, claimTranscript, enrolmentCommitment } from "../core/check-words.ts";
import type { EnrolmentView } from "../protocol/enrolment-api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import { ApiFailure, Told, call, isPassing, isSignedOut } from "./api.ts";
import { isFinal, nextMove } from "./enrolment-steps.ts";
import type { Kept } from "./enrolment-steps.ts";
import { keep, forget, readKept } from "./kept.ts";
import { claimMac } from "./session.ts";
import { useShared } from "./shared.tsx";
import { TEXTS } from "./texts.ts";

const POLL_MS = 700;

export interface Ceremony {
  readonly view: EnrolmentView | null;
  readonly words: string;
  /** Another tab of this browser, or another device, plays the page's part. */
  readonly isElsewhere: boolean;
  readonly problem: unknown;
}

const NOTHING_YET: Ceremony = { view: null, words: "", isElsewhere: false, problem: null };

/** One enrolment as seen from this tab. */
class Player {
  readonly #enrolment: string;
  readonly #claimSecret: string | null;
  readonly #item: string;
  #kept: Kept | null;
  /** A send whose answer was lost may have arrived: a conflict afterwards is no rival. */
  #mayHaveArrived: boolean;
  #isElsewhere = false;

  constructor(enrolment: string, claimSecret: string | null) {
    this.#enrolment = enrolment;
    this.#claimSecret = claimSecret;
    this.#item = `gatehouse-ceremony-${enrolment}`;
    this.#kept = readKept<Kept>(this.#item);
    this.#mayHaveArrived = this.#kept !== null;
  }

  /** One look, and what follows from it. @throws ApiFailure, or Told when the machine's answer is wrong */
  async step(): Promise<Ceremony> {
    const view = await call<EnrolmentView>("GET", `/api/enrolments/${this.#enrolment}`);
    const move = nextMove(view, this.#kept);
    let words = "";
    if (move.do === "refuse") throw new Told(TEXTS.answerDiffers);
    if (move.do === "draw") {
      this.#kept = { promised: move.promised, nonce: toBase64url(crypto.getRandomValues(new Uint8Array(32))) };
      // Before it is sent: a reload in between must send the same one.
      keep(this.#item, this.#kept);
    }
    if ((move.do === "draw" || move.do === "send") && this.#kept !== null) await this.#send(this.#kept);
    if (move.do === "words") {
      const { promised, nonce } = move.kept;
      const { connectorNonce } = move;
      if ((await enrolmentCommitment(promised.connectorKey, connectorNonce)) !== promised.commitment) throw new Told(TEXTS.answerDiffers);
      words = await checkWords({ ...promised, connectorNonce, pageNonce: nonce });
    }
    return { view, words, isElsewhere: this.#isElsewhere || move.do === "elsewhere", problem: null };
  }

  async #send({ nonce, promised }: Kept): Promise<void> {
    const transcript = claimTranscript({ ...promised, pageNonce: nonce });
    const mac = this.#claimSecret === null ? {} : { mac: await claimMac(this.#claimSecret, transcript) };
    try {
      await call("POST", `/api/enrolments/${this.#enrolment}/nonce`, { nonce, ...mac });
    } catch (reason) {
      if (reason instanceof ApiFailure && reason.code === "conflict") {
        if (this.#mayHaveArrived) return;
        this.#kept = null;
        this.#isElsewhere = true;
        forget(this.#item);
        return;
      }
      this.#mayHaveArrived = true;
      throw reason;
    }
  }
}

/**
 * @param enrolment its id, or null while there is none
 * @param claimSecret of a claim link; null for an enrolment by code
 */
export function useCeremony(enrolment: string | null, claimSecret: string | null): Ceremony {
  const { signedOut } = useShared();
  const [seen, setSeen] = useState<Ceremony>(NOTHING_YET);
  useEffect(() => {
    setSeen(NOTHING_YET);
    if (enrolment === null) return undefined;
    const player = new Player(enrolment, claimSecret);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isCurrent = true;
    const look = async (): Promise<void> => {
      try {
        const next = await player.step();
        if (!isCurrent) return;
        setSeen(next);
        if (next.view !== null && isFinal(next.view)) return;
      } catch (problem) {
        if (!isCurrent) return;
        setSeen((before) => ({ ...before, problem }));
        if (isSignedOut(problem)) signedOut(false);
        if (!isPassing(problem)) return;
      }
      timer = setTimeout(() => void look(), POLL_MS);
    };
    void look();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [enrolment]);
  return seen;
}
