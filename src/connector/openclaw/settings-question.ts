/** One settings diff that waits for a yes: from this machine's terminal or from the gateway's page, whichever comes first (PROTOCOL.md SA5). */
import type { SettingsQuestion } from "../../protocol/link-local-acts.ts";
import type { LocalActOutcome } from "../../protocol/words.ts";

/** `over`: the question is void, because the settings or the gateway changed meanwhile. */
export type SettingsAnswer = "yes" | "no" | "over";
/** What came of an answer. */
export type SettingsOutcome = Extract<LocalActOutcome, "done" | "over" | "gateway-away" | "not-taken" | "internal">;
/** Why the other places need not answer any more. */
export type QuestionEnd = "answered" | "over";

/** Asks the person at this machine. Resolves with yes or no, or never; `signal` aborts with a `QuestionEnd`. */
export type AskHere = (question: SettingsQuestion, signal: AbortSignal) => boolean | Promise<boolean>;

interface Open {
  readonly question: SettingsQuestion;
  readonly end: AbortController;
  readonly answered: Settled<SettingsAnswer>;
  readonly outcome: Settled<SettingsOutcome>;
}

/** A promise that is resolved from elsewhere, once. */
class Settled<T> {
  resolve: (value: T) => void = () => undefined;
  readonly promise = new Promise<T>((resolve) => {
    this.resolve = resolve;
  });
}

export class OpenQuestion {
  #open: Open | null = null;

  /** What waits for a yes now; null when nothing does. */
  get waiting(): SettingsQuestion | null {
    return this.#open?.question ?? null;
  }

  /**
   * Opens a question in the place of an older one, which is void.
   *
   * @param waits called when nobody has answered at once
   * @returns the first answer, and what the caller must say once a yes is carried out
   */
  async ask(
    question: SettingsQuestion,
    here: AskHere,
    waits: () => void,
  ): Promise<{ readonly answer: SettingsAnswer; readonly settle: (outcome: SettingsOutcome) => void }> {
    this.end("over");
    const open: Open = { question, end: new AbortController(), answered: new Settled(), outcome: new Settled() };
    this.#open = open;
    const said = here(question, open.end.signal);
    if (typeof said === "boolean") this.#answer(open, said ? "yes" : "no");
    else {
      waits();
      said.then(
        (isYes) => this.#answer(open, isYes ? "yes" : "no"),
        () => undefined,
      );
    }
    return { answer: await open.answered.promise, settle: (outcome) => open.outcome.resolve(outcome) };
  }

  /** An answer from elsewhere. @param hash of the diff that was answered @returns what came of it; `over` when that diff does not wait */
  answer(hash: string, isYes: boolean): Promise<SettingsOutcome> {
    const open = this.#open;
    if (open === null || open.question.hash !== hash) return Promise.resolve("over");
    this.#answer(open, isYes ? "yes" : "no");
    return isYes ? open.outcome.promise : Promise.resolve("done");
  }

  /** Nobody can answer any more what stood open. */
  end(why: QuestionEnd): void {
    if (this.#open !== null) this.#answer(this.#open, "over", why);
  }

  #answer(open: Open, answer: SettingsAnswer, why: QuestionEnd = "answered"): void {
    if (this.#open !== open) return;
    this.#open = null;
    open.answered.resolve(answer);
    if (answer !== "yes") open.outcome.resolve("over");
    open.end.abort(why);
  }
}
