/** All gateways of the account, or how to begin. */
import type { Gateway } from "../protocol/api.ts";
import { call } from "./api.ts";
import { Failure, Skeleton, useLoaded } from "./parts.tsx";
import { useShared } from "./shared.tsx";
import { STATE, TEXTS, alarmTitle } from "./texts.ts";
import { View } from "./view.tsx";

function facts(gateway: Gateway): string {
  return [
    gateway.openclawVersion === null ? "" : TEXTS.openclaw(gateway.openclawVersion),
    TEXTS.devices(gateway.deviceCount),
    gateway.waitingCount === 0 ? "" : TEXTS.waiting(gateway.waitingCount),
  ]
    .filter((each) => each !== "")
    .join(" · ");
}

function FirstRun() {
  return (
    <div class="card">
      <p>{TEXTS.firstRun}</p>
      <ol>
        {TEXTS.firstRunSteps.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ol>
    </div>
  );
}

export function Overview() {
  const { cards, changed } = useShared();
  const { value, problem } = useLoaded(() => call<{ gateways: Gateway[] }>("GET", "/api/gateways"), String(changed));
  const gateways = value?.gateways;
  return (
    <View title={TEXTS.overviewTitle}>
      <Failure problem={problem} />
      <Skeleton isOver={gateways !== undefined || problem !== null} />
      {gateways?.length === 0 && <FirstRun />}
      <div class="grid">
        {gateways?.map((gateway) => (
          <section class="card" key={gateway.id} aria-label={gateway.name}>
            <h2>
              <a href={`/gateways/${gateway.id}`}>{gateway.name}</a>
            </h2>
            <p>
              <strong class={STATE[gateway.state][0]}>{STATE[gateway.state][1]}</strong>
              {gateway.demo ? ` · ${TEXTS.demo}` : ""}
            </p>
            {!gateway.isOwn && <p class="small">{TEXTS.person.youAre[gateway.role]}</p>}
            {gateway.alarm !== null && (
              <p class="bad">
                <strong>{alarmTitle(gateway.alarm.kind)}</strong>
              </p>
            )}
            {gateway.personsWaiting > 0 && <p class="warn">{TEXTS.person.waiting(gateway.personsWaiting)}</p>}
            <p class="small">{facts(gateway)}</p>
          </section>
        ))}
      </div>
      {gateways !== undefined && (
        <div class="row">
          <a class={`button ${gateways.length === 0 && cards.length === 0 ? "primary" : ""}`} href="/gateways/new">
            {TEXTS.addGateway}
          </a>
        </div>
      )}
    </View>
  );
}
