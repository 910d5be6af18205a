/** What a passkey is about to sign, in words made from the very statement (PROTOCOL.md PG3). */
import type { GrantStatement, OwnerKeyStatement, OwnerRemoveStatement, RecoveryKeyStatement } from "../protocol/statements.ts";
import { ACCESS_TEXTS, TEXTS } from "./texts.ts";

/** A statement that this page lets a passkey sign, with what its ids are called on the screen. */
export type Act =
  | { readonly type: "grant"; readonly body: GrantStatement; readonly gatewayName: string }
  | { readonly type: "owner-key"; readonly body: OwnerKeyStatement; readonly passkeyName: string; readonly isNew: boolean }
  | { readonly type: "owner-remove"; readonly body: OwnerRemoveStatement; readonly passkeyName: string }
  | { readonly type: "recovery-key"; readonly body: RecoveryKeyStatement };

function moment(ms: number): string {
  return new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** @returns one sentence: who gets or loses what, and until when */
export function actWords(act: Act): string {
  switch (act.type) {
    case "grant": {
      const { name, access, notAfterMs, kind } = act.body;
      const device = kind === "owner" ? TEXTS.signsThisDevice(name) : name;
      return TEXTS.signsGrant(device, ACCESS_TEXTS[access].label, act.gatewayName, moment(notAfterMs));
    }
    case "owner-key":
      return act.isNew ? TEXTS.signsOwnerKey(act.passkeyName) : TEXTS.signsOwnerKeyAgain(act.passkeyName);
    case "owner-remove":
      return TEXTS.signsOwnerRemove(act.passkeyName);
    case "recovery-key":
      return TEXTS.signsRecoveryKey;
  }
}
