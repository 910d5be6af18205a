/** The account: the way to passkeys, invitations, signing out. */
import { useState } from "preact/hooks";
import { call } from "./api.ts";
import { Act, Copy } from "./parts.tsx";
import { useShared } from "./shared.tsx";
import { TEXTS } from "./texts.ts";
import { Tokens } from "./tokens.tsx";
import { View } from "./view.tsx";

export function Account() {
  const { me } = useShared();
  const [url, setUrl] = useState("");
  const out = (everywhere: boolean) => async (): Promise<void> => {
    await call("POST", "/api/sign-out", { everywhere });
    location.assign("/");
  };
  return (
    <View title={me.account.name}>
      <div class="card">
        <p>{TEXTS.passkeysText}</p>
        <a class="button" href={`${me.approveOrigin}/account`}>
          {TEXTS.passkeys}
        </a>
      </div>
      <div class="card">
        <h2>{TEXTS.invitations}</h2>
        <p>{TEXTS.invitationsText}</p>
        {url !== "" && <pre tabIndex={0}>{url}</pre>}
        <div class="row">
          {url === "" ? (
            <Act label={TEXTS.invite} run={async () => setUrl((await call<{ url: string }>("POST", "/api/invitations")).url)} />
          ) : (
            <Copy text={url} label={TEXTS.copyInvitation} />
          )}
        </div>
      </div>
      <Tokens />
      <div class="card">
        <h2>{TEXTS.session}</h2>
        <p>{TEXTS.everywhereText}</p>
        <div class="row">
          <Act label={TEXTS.signOut} run={out(false)} />
          <Act label={TEXTS.signOutEverywhere} kind="danger" run={out(true)} />
        </div>
        <p class="small">{TEXTS.connector(me.version)}</p>
      </div>
    </View>
  );
}
