/** The page's part of an enrolment: what to do after each answer, also after a reload in the middle. */
import type { claimTranscript } from "../core/check-words.ts";
import { isSoundKey } from "../core/public-key.ts";
import type { EnrolmentView } from "../protocol/enrolment-api.ts";

/** What the machine promised before the page drew its nonce. Later answers of the API must not replace any of it. */
export type Promised = Omit<Parameters<typeof claimTranscript>[0], "pageNonce">;

/** What this tab keeps of a ceremony; a reload goes on with it. */
export interface Kept {
  readonly nonce: string;
  readonly promised: Promised;
}

/**
 * `draw`: keep what is promised, then draw a nonce and send it. `send`: send the kept nonce (again). `words`: the machine has opened its
 * commitment, show the words. `elsewhere`: another tab plays this ceremony. `over`: nothing more happens.
 * `refuse`: a key that may not be used at all.
 */
export type Move =
  | { readonly do: "wait" | "send" | "elsewhere" | "over" | "refuse" }
  | { readonly do: "draw"; readonly promised: Promised }
  | { readonly do: "words"; readonly connectorNonce: string; readonly kept: Kept };

/** @param kept this tab's part so far; null when it has drawn no nonce */
export function nextMove(view: EnrolmentView, kept: Kept | null): Move {
  switch (view.state) {
    case "open":
      return { do: "wait" };
    case "redeemed": {
      if (kept !== null) return { do: "send" };
      const { gateway, connectorKey, ownerKeys, commitment } = view;
      // The nonce is drawn only after the commitment is seen.
      if (gateway === null || connectorKey === null || commitment === null) return { do: "wait" };
      if (!isSoundKey(connectorKey) || !ownerKeys.every((owner) => isSoundKey(owner.key))) return { do: "refuse" };
      return { do: "draw", promised: { gateway, connectorKey, ownerKeys, commitment } };
    }
    case "nonce-given":
      return { do: kept === null ? "elsewhere" : "wait" };
    case "revealed":
      if (kept === null) return { do: "elsewhere" };
      return view.connectorNonce === null ? { do: "wait" } : { do: "words", connectorNonce: view.connectorNonce, kept };
    case "done":
      return kept === null || view.connectorNonce === null ? { do: "over" } : { do: "words", connectorNonce: view.connectorNonce, kept };
    case "failed":
    case "expired":
      return { do: "over" };
  }
}

export function isFinal(view: EnrolmentView): boolean {
  return view.state === "done" || view.state === "failed" || view.state === "expired";
}

/** @returns minutes and seconds, `9:05` */
export function countdown(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** What is worth saying aloud about a code's end; a clock that speaks every second would drown everything else. */
export function expiryNotice(leftMs: number): "" | "soon" | "over" {
  if (leftMs <= 0) return "over";
  return leftMs <= 60_000 ? "soon" : "";
}
