/** What a passkey is about to sign, in words made from the very statement (PROTOCOL.md PG3). */
import type { WideningStatement } from "../protocol/key-log.ts";
import type {
  GenesisStatement,
  GrantStatement,
  LocalActStatement,
  OwnerKeyStatement,
  OwnerRemoveStatement,
  RecoveryKeyStatement,
} from "../protocol/statements.ts";
import { ENROL_TEXTS } from "./enrol-texts.ts";
import { LOCAL_ACT_TEXTS } from "./local-act-texts.ts";
import { roleWords, timeWords } from "./member-texts.ts";
import { PROPOSAL_TEXTS } from "./proposal-texts.ts";
import { ACCESS_TEXTS, TEXTS } from "./texts.ts";

/** A statement that this page lets a passkey sign, with what its ids are called on the screen. */
export type Act =
  | { readonly type: "grant"; readonly body: GrantStatement; readonly gatewayName: string }
  | { readonly type: "genesis"; readonly body: GenesisStatement; readonly gatewayName: string; readonly machineName: string }
  | { readonly type: "owner-key"; readonly body: OwnerKeyStatement; readonly passkeyName: string; readonly isNew: boolean }
  | {
      readonly type: "owner-key";
      readonly body: OwnerKeyStatement;
      readonly joins: { readonly name: string; readonly gatewayName: string };
    }
  | { readonly type: "owner-remove"; readonly body: OwnerRemoveStatement; readonly passkeyName: string }
  /** `name` null: the person that signs goes itself. */
  | {
      readonly type: "owner-remove";
      readonly body: OwnerRemoveStatement;
      readonly leaves: { readonly name: string | null; readonly gatewayName: string };
    }
  | { readonly type: "recovery-key"; readonly body: RecoveryKeyStatement }
  | { readonly type: "local-act"; readonly body: LocalActStatement; readonly gatewayName: string; readonly lines: number }
  | { readonly type: "widening"; readonly body: WideningStatement; readonly gatewayName: string };

const ID_CHARS = 12;

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
    case "genesis":
      return ENROL_TEXTS.signs(act.gatewayName, act.machineName);
    case "owner-key":
      if ("joins" in act) {
        const { person } = act.body;
        // Without a person in it the statement would be about every gateway of the account.
        if (person === undefined) throw new Error("no person in the statement");
        return TEXTS.signsPerson(act.joins.name, roleWords(person.role), act.joins.gatewayName);
      }
      return act.isNew ? TEXTS.signsOwnerKey(act.passkeyName) : TEXTS.signsOwnerKeyAgain(act.passkeyName);
    case "owner-remove":
      if ("leaves" in act) {
        if (act.body.gateway === undefined) throw new Error("no gateway in the statement");
        const { name, gatewayName } = act.leaves;
        return name === null ? TEXTS.signsLeave(gatewayName) : TEXTS.signsPersonRemove(name, gatewayName);
      }
      return TEXTS.signsOwnerRemove(act.passkeyName);
    case "recovery-key":
      return TEXTS.signsRecoveryKey;
    case "local-act":
      return act.body.act === "rotate-secret"
        ? LOCAL_ACT_TEXTS.signsSecret(act.gatewayName)
        : LOCAL_ACT_TEXTS.signsSettings(act.gatewayName, act.lines);
    case "widening":
      return wideningWords(act.body, act.gatewayName);
  }
}

function wideningWords({ change }: WideningStatement, gatewayName: string): string {
  switch (change.kind) {
    case "policy": {
      const { maxAccess, maxExpiryMs } = change.policy;
      return PROPOSAL_TEXTS.policy(gatewayName, ACCESS_TEXTS[maxAccess].label, timeWords(maxExpiryMs));
    }
    case "owner-add":
      return PROPOSAL_TEXTS.ownerAdd(gatewayName, `${change.key.credentialId.slice(0, ID_CHARS)}…`, roleWords(change.role));
    case "owner-role":
      return PROPOSAL_TEXTS.ownerRole(gatewayName, `${change.credentialId.slice(0, ID_CHARS)}…`, roleWords(change.role));
    case "resume":
      return PROPOSAL_TEXTS.resume(gatewayName);
  }
}
