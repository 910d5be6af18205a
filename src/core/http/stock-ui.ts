/**
 * What the stock Control UI sends beyond reading: the one table that another OpenClaw release changes (PROTOCOL.md HD7, GP3).
 * `test/e2e/stock-ui.test.ts` compares it with the installed release's bundle and with a recorded run of it in Chromium.
 */

/** The release that the table was read from. */
export const STOCK_UI_RELEASE = "2026.9.6";

/** Requests that may change something. `path` is matched against every reading of the path. */
export const STOCK_UI_WRITES: readonly { readonly method: string; readonly path: RegExp }[] = [
  // "Show this image" in a chat; the gateway asks for operator.admin itself.
  { method: "POST", path: /^\/__openclaw__\/assistant-media$/ },
  // An MCP app on a page of its own calls its tools.
  { method: "POST", path: /^\/__openclaw__\/mcp-app\/view$/ },
  // Talk: the offer of a WebRTC call (Content-Type: application/sdp).
  { method: "POST", path: /^\/plugins\/openai\/realtime\/calls$/ },
  // Channels: the profile of a Nostr account.
  { method: "PUT", path: /^\/api\/channels\/nostr\/[^/]+\/profile$/ },
  { method: "POST", path: /^\/api\/channels\/nostr\/[^/]+\/profile\/import$/ },
];

/** Header fields of its own, in lower case. */
export const STOCK_UI_HEADERS: readonly string[] = [
  // On pictures below /api/chat/media/outgoing/: the chat that asks.
  "x-openclaw-requester-session-key",
];
