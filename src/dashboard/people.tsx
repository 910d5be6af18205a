/** The people of one gateway, for its owners: who is invited, who waits to be confirmed, who has joined. */
import type { Gateway } from "../protocol/api.ts";
import type { PersonsView } from "../protocol/members.ts";
import { call } from "./api.ts";
import { Confirmed, Failure, Skeleton, useLoaded } from "./parts.tsx";
import { Ago, useNow, useShared } from "./shared.tsx";
import { TEXTS, roleText } from "./texts.ts";
import { ahead } from "./time-texts.ts";

const MINUTE_MS = 60_000;

function Invitation({ gateway, row, reload }: { gateway: string; row: PersonsView["invitations"][number]; reload: () => void }) {
  const nowMs = useNow(MINUTE_MS);
  return (
    <li>
      <h3>{row.name}</h3>
      <p>
        <span class="warn">{TEXTS.person.invited}</span> {roleText(row.role)}
      </p>
      <p class="small">{TEXTS.person.linkEnds(ahead(row.expiresAtMs, nowMs))}</p>
      <div class="row">
        <Confirmed
          label={TEXTS.person.withdraw}
          title={TEXTS.person.withdrawTitle(row.name)}
          text={TEXTS.person.withdrawText}
          run={() => call("DELETE", `/api/gateways/${gateway}/persons/${row.id}`).then(reload)}
        />
      </div>
    </li>
  );
}

function PersonRow({ gateway, row, reload }: { gateway: string; row: PersonsView["persons"][number]; reload: () => void }) {
  const { me } = useShared();
  const query = new URLSearchParams({ gateway, person: row.id, back: `/gateways/${gateway}` });
  const page = `${me.approveOrigin}/person?${query.toString()}`;
  const waits = row.state === "accepted";
  return (
    <li>
      <h3>{row.name}</h3>
      <p>
        {waits && <span class="warn">{TEXTS.person.accepted(row.name)} </span>}
        {roleText(row.role)}
      </p>
      {row.isRefused && <p class="bad">{TEXTS.person.refused}</p>}
      <p class="small">
        {TEXTS.person.account(row.accountName)} <Ago ms={row.acceptedAtMs} />
      </p>
      <div class="row">
        {waits && (
          <a class="button" href={page}>
            {TEXTS.person.confirm}
          </a>
        )}
        {!waits && row.role.kind === "viewer" && (
          <Confirmed
            label={TEXTS.person.remove}
            title={TEXTS.person.removeTitle(row.name)}
            text={TEXTS.person.removeViewer}
            keep={TEXTS.person.keep}
            run={() => call("DELETE", `/api/gateways/${gateway}/persons/${row.id}`).then(reload)}
          />
        )}
        {!waits && row.role.kind !== "viewer" && (
          <a class="button danger" href={page}>
            {TEXTS.person.remove}
          </a>
        )}
      </div>
    </li>
  );
}

export function Persons({ gateway }: { readonly gateway: Gateway }) {
  const { me, changed } = useShared();
  const path = `/api/gateways/${gateway.id}/persons`;
  const { value, problem, reload } = useLoaded(() => call<PersonsView>("GET", path), `${gateway.id} ${changed}`);
  const query = new URLSearchParams({ gateway: gateway.id, back: `/gateways/${gateway.id}` });
  const isNobody = value !== null && value.persons.length === 0 && value.invitations.length === 0;
  return (
    <div class="card">
      <Failure problem={problem} />
      <Skeleton isOver={value !== null || problem !== null} />
      {isNobody && <p>{TEXTS.person.nobody}</p>}
      {value !== null && !isNobody && (
        <ul class="plain">
          {value.persons.map((row) => (
            <PersonRow key={row.id} gateway={gateway.id} row={row} reload={reload} />
          ))}
          {value.invitations.map((row) => (
            <Invitation key={row.id} gateway={gateway.id} row={row} reload={reload} />
          ))}
        </ul>
      )}
      <div class="row">
        <a class="button" href={`${me.approveOrigin}/invite?${query.toString()}`}>
          {TEXTS.person.invite}
        </a>
      </div>
    </div>
  );
}

/** What somebody is here who did not claim the gateway, and the way out. */
export function OwnPlace({ gateway }: { readonly gateway: Gateway }) {
  const { me } = useShared();
  const query = new URLSearchParams({ gateway: gateway.id, back: `/gateways/${gateway.id}` });
  return (
    <div class="card">
      <p>{TEXTS.person.youAre[gateway.role]}</p>
      <div class="row">
        <a class="button" href={`${me.approveOrigin}/leave?${query.toString()}`}>
          {TEXTS.person.leave}
        </a>
      </div>
    </div>
  );
}
