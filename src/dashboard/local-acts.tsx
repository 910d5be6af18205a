/** What an owner can have done on the gateway's machine: the diff that waits there, and the way to the page where a passkey signs. */
import { diffText } from "../core/trust/settings-diff.ts";
import type { SettingsQuestion } from "../protocol/link-local-acts.ts";
import { LOCAL_ACT } from "./local-act-texts.ts";
import { useShared } from "./shared.tsx";

/** OpenClaw's settings that wait for a yes. */
export function NeededSettings({ gateway, question }: { readonly gateway: string; readonly question: SettingsQuestion }) {
  const { me, cards } = useShared();
  const query = new URLSearchParams({ gateway, back: `/gateways/${gateway}` });
  return (
    <section class="card" aria-label={LOCAL_ACT.settingsHeading}>
      <h2>{LOCAL_ACT.settingsHeading}</h2>
      <p>{LOCAL_ACT.settingsText}</p>
      <pre tabIndex={0} aria-label={LOCAL_ACT.settingsDiff}>
        {diffText(question.lines)}
      </pre>
      <div class="row">
        <a class={`button ${cards.length === 0 ? "primary" : ""}`} href={`${me.approveOrigin}/apply-settings?${query.toString()}`}>
          {LOCAL_ACT.apply}
        </a>
      </div>
    </section>
  );
}

/** The way to a new secret of OpenClaw. */
export function ChangeSecret({ gateway }: { readonly gateway: string }) {
  const { me } = useShared();
  const query = new URLSearchParams({ gateway, back: `/gateways/${gateway}` });
  return (
    <>
      <p class="small">{LOCAL_ACT.secretText}</p>
      <div class="row">
        <a class="button" href={`${me.approveOrigin}/rotate-secret?${query.toString()}`}>
          {LOCAL_ACT.secret}
        </a>
      </div>
    </>
  );
}
