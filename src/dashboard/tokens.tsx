/** The account's API tokens: made, shown once, listed, revoked. */
import { useState } from "preact/hooks";
import type { ApiToken } from "../protocol/api.ts";
import { Told, call } from "./api.ts";
import { Act, Confirmed, Copy, Failure, useLoaded } from "./parts.tsx";
import { Ago } from "./shared.tsx";
import { TEXTS } from "./texts.ts";
import { clock } from "./time-texts.ts";

const MAX_DAYS = 366;

function TokenItem({ token, reload }: { readonly token: ApiToken; readonly reload: () => void }) {
  return (
    <li>
      <h3>{token.name}</h3>
      <p class="small">
        {token.lastUsedAtMs === null ? (
          TEXTS.tokenNever
        ) : (
          <>
            {TEXTS.tokenUsed} <Ago ms={token.lastUsedAtMs} />
          </>
        )}
        {` · ${token.expiresAtMs <= Date.now() ? TEXTS.tokenEnded : TEXTS.tokenEnds(clock(token.expiresAtMs))}`}
      </p>
      <div class="row">
        <Confirmed
          label={TEXTS.tokenRevoke}
          title={TEXTS.tokenRevokeTitle(token.name)}
          text={TEXTS.tokenRevokeText}
          run={async () => {
            await call("DELETE", `/api/tokens/${token.id}`);
            reload();
          }}
        />
      </div>
    </li>
  );
}

export function Tokens() {
  const { value, problem, reload } = useLoaded(() => call<{ readonly tokens: ApiToken[] }>("GET", "/api/tokens"), "");
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const [made, setMade] = useState("");
  const make = async (): Promise<void> => {
    const wanted = { name: name.trim(), days: Number(days) };
    if (wanted.name === "" || !Number.isInteger(wanted.days) || wanted.days < 1 || wanted.days > MAX_DAYS)
      throw new Told(TEXTS.tokenMissing);
    setMade((await call<{ token: string }>("POST", "/api/tokens", wanted)).token);
    setName("");
    reload();
  };
  return (
    <div class="card">
      <h2>{TEXTS.tokens}</h2>
      <p>{TEXTS.tokensText}</p>
      <Failure problem={problem} />
      {value !== null && value.tokens.length > 0 && (
        <ul class="plain">
          {value.tokens.map((token) => (
            <TokenItem key={token.id} token={token} reload={reload} />
          ))}
        </ul>
      )}
      <div role="status">
        {made !== "" && (
          <>
            <p class="good">{TEXTS.tokenOnce}</p>
            <pre tabIndex={0}>{made}</pre>
            <Copy text={made} label={TEXTS.tokenCopy} />
          </>
        )}
      </div>
      <label for="token-name">{TEXTS.tokenName}</label>
      <input id="token-name" maxLength={64} value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />
      <label for="token-days">{TEXTS.tokenDays}</label>
      <input
        id="token-days"
        inputMode="numeric"
        maxLength={3}
        value={days}
        autocomplete="off"
        onInput={(event) => setDays(event.currentTarget.value)}
      />
      <div class="row">
        <Act label={TEXTS.tokenMake} run={make} />
      </div>
    </div>
  );
}
