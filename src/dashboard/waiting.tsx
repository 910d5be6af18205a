/** Cards of the devices that wait for a decision. */
import { shownAddress } from "../core/http/client-ip.ts";
import type { WaitingCard } from "../protocol/api.ts";
import { Ago, useShared } from "./shared.tsx";
import { ACCESS, TEXTS } from "./texts.ts";

/** @returns address and country; one machine's own network has neither */
function seenFrom({ address, country }: WaitingCard["observed"]): string {
  const shown = shownAddress(address);
  return shown === null ? TEXTS.thisNetwork : [shown, country].filter((each) => each !== null).join(", ");
}

export function WaitingCards() {
  const { cards, me } = useShared();
  return (
    <>
      {cards.map((card, i) => {
        const query = new URLSearchParams({ gateway: card.gateway, request: card.id, back: location.pathname });
        return (
          <section class="card waiting" key={card.id} aria-label={TEXTS.waitingLabel(card.claims.name, card.gatewayName)}>
            <h2>{TEXTS.waitingTitle(card.gatewayName)}</h2>
            <dl>
              <dt>{TEXTS.says}</dt>
              <dd>{card.claims.name}</dd>
              <dt>{TEXTS.seenFrom}</dt>
              <dd>{seenFrom(card.observed)}</dd>
              <dt>{TEXTS.wants}</dt>
              <dd>{ACCESS[card.requestedAccess]}</dd>
              <dt>{TEXTS.asked}</dt>
              <dd>
                <Ago ms={card.createdAtMs} />
              </dd>
            </dl>
            <a class={`button ${i === 0 ? "primary" : ""}`} href={`${me.approveOrigin}/decide?${query.toString()}`}>
              {TEXTS.review}
            </a>
          </section>
        );
      })}
    </>
  );
}
