/** The terminal's part of the question for OpenClaw's settings: the diff, a yes or no, and that it was answered elsewhere (PROTOCOL.md SA5). */
import { diffText } from "../../core/trust/settings-diff.ts";
import type { AskHere, QuestionEnd } from "../openclaw/settings-question.ts";
import type { Terminal } from "./terminal.ts";

const OVER: Readonly<Record<QuestionEnd, string>> = {
  answered: "Somebody answered on the gateway's page or in another terminal.",
  over: "The question is over: OpenClaw or its settings changed.",
};

/**
 * @param yes whether the person said yes when the program was started
 * @param page the gateway's page, where an owner can answer, too
 * @returns how this terminal asks; without a person at it the page alone answers
 */
export function askForSettings(terminal: Terminal, { yes, page }: { readonly yes: boolean; readonly page: string }): AskHere {
  return (question, signal) => {
    const { hash, lines } = question;
    terminal.say("settings-needed", `OpenClaw needs these settings:\n${diffText(lines)}`, { hash, lines, asked: !yes, page });
    if (yes) return true;
    let isAnsweredHere = false;
    signal.addEventListener("abort", () => {
      if (isAnsweredHere) return;
      const why = signal.reason as QuestionEnd;
      terminal.say("settings-over", OVER[why], { hash, why });
    });
    terminal.say("settings-wait", `Nothing is served until they are applied: here, or on the gateway's page ${page}`, { page });
    if (!terminal.isInteractive) return new Promise(() => undefined);
    return terminal.confirm("Apply them now? `gatehouse uninstall` puts them back.", signal).then((isYes) => {
      isAnsweredHere = !signal.aborted;
      return isYes;
    });
  };
}
