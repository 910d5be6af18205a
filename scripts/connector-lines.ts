/** What `npm start` shows of the connector, which runs with `--json` beside it. */
import type { SettingsEvent, SettingsPrompt } from "./settings-prompt.ts";

type ConnectorEvent = SettingsEvent & {
  readonly url?: string;
  readonly words?: string;
  readonly gatewayName?: string;
  readonly accountName?: string;
  readonly passkeys?: number;
  readonly approvalHost?: string;
  readonly origin?: string;
  readonly error?: string;
  readonly level?: string;
  readonly text?: string;
  readonly report?: { readonly state: string; readonly reason?: string; readonly version?: string };
};

/**
 * @param say prints one line for people, after the answer to a question that is open
 * @returns what takes each line that the connector prints
 */
export function connectorLines(say: (line: string) => void, prompt: Pick<SettingsPrompt, "take">): (line: string) => void {
  return (line) => {
    if (!line.startsWith("{")) return say(line);
    const event = JSON.parse(line) as ConnectorEvent;
    prompt.take(event);
    if (event.event === "claim-link") say(`Claim this gateway: ${event.url ?? ""}`);
    else if (event.event === "check-words") {
      say(`Compare with the page at ${event.approvalHost ?? ""}:`);
      say(`  Gateway      ${event.gatewayName ?? ""}`);
      say(`  Account      ${event.accountName ?? ""}`);
      say(`  Passkeys     ${event.passkeys ?? 0} will decide`);
      say(`  Check words  ${event.words ?? ""}`);
    } else if (event.event === "enrolled") say(`Claimed. The gateway's address: ${event.origin ?? ""}`);
    else if (event.event === "openclaw") {
      const { version, state = "", reason } = event.report ?? {};
      say(`Gateway${version === undefined ? "" : ` ${version}`}: ${state}${reason === undefined ? "" : ` (${reason})`}`);
    } else if (event.error !== undefined) say(event.error);
    else if (event.level === "error") say(event.text ?? event.event);
  };
}
