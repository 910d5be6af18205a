/** What an answer of the gateway says about its page once it leaves the room (PROTOCOL.md HD8 to HD10). */
import { fromGateway } from "./header-filter.ts";
import type { HeaderList } from "./header-filter.ts";
import { pathReadings } from "./gateway-paths.ts";

const OPENER_POLICY = "cross-origin-opener-policy";
const CONTENT_POLICY = "content-security-policy";

/** What agents write: documents of the canvas, widgets of the board. */
const AGENT_WRITTEN = /^\/__openclaw__\/(?:canvas|board)\//;
/** What the stock page gives their frames. The origin holds the key of the door, which such a document must not reach. */
const SANDBOX = "sandbox allow-scripts";

/**
 * The gateway's header fields as its visitor gets them.
 *
 * @param headers the gateway's, in any case
 * @param path path and query of the request
 */
export function pageAnswer(headers: HeaderList, path: string): [string, string][] {
  const passed = fromGateway(headers);
  const isSandboxed = pathReadings(path)?.some((reading) => AGENT_WRITTEN.test(reading)) === true;
  // A browser refuses a document that is sandboxed and has an opener policy (HTML, "obtain a cross-origin opener policy").
  if (isSandboxed) return [...passed.filter(([name]) => name !== OPENER_POLICY), [CONTENT_POLICY, SANDBOX]];
  const has = (wanted: string, value: RegExp): boolean => passed.some(([name, text]) => name === wanted && value.test(text));
  const needsPolicy = has("content-type", /^\s*(?:text\/html|application\/xhtml\+xml)\b/i) && !has(OPENER_POLICY, /./) && !has(CONTENT_POLICY, /\bsandbox\b/i); // prettier-ignore
  // Pop-ups of the page's own, a provider's sign-in for instance, may still report back.
  return needsPolicy ? [...passed, [OPENER_POLICY, "same-origin-allow-popups"]] : passed;
}
