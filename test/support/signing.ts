/** What a page lets its passkey sign, and whether that is what it showed. */
import { createHash } from "node:crypto";
import type { Page } from "playwright-core";
import { fromBase64url, tagged } from "../../src/protocol/statement-encoding.ts";

/** Notes what each passkey call is asked for, and what the page says at that moment. */
export async function watchSigning(page: Page): Promise<() => Promise<readonly { challenge: string; text: string }[]>> {
  await page.addInitScript(() => {
    const plain = navigator.credentials.get.bind(navigator.credentials);
    const seen: { challenge: string; text: string }[] = [];
    (globalThis as unknown as { signing: typeof seen }).signing = seen;
    navigator.credentials.get = (options) => {
      const bytes = new Uint8Array(options?.publicKey?.challenge as ArrayBuffer);
      seen.push({ challenge: btoa(String.fromCharCode(...bytes)), text: document.body.textContent ?? "" });
      return plain(options);
    };
  });
  return () => page.evaluate(() => (globalThis as unknown as { signing?: { challenge: string; text: string }[] }).signing ?? []);
}

/** @returns the challenge of a passkey that signs this statement alone, base64 */
export function challengeOf(type: "grant" | "owner-key" | "owner-remove" | "local-act", statement: string): string {
  const hash = createHash("sha256")
    .update(tagged(type, fromBase64url(statement) ?? new Uint8Array()))
    .digest();
  return createHash("sha256").update(tagged("list", hash)).digest("base64");
}
