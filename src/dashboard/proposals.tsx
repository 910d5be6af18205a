/** A change that a gateway's machine asks for: every owner sees it, and one Cancel ends it (PROTOCOL.md LP3). */
import type { ProposalNotice, ProposalOutcome } from "../protocol/proposals-api.ts";
import { call } from "./api.ts";
import { Act } from "./parts.tsx";
import { changeText } from "./proposal-texts.ts";
import { Ago, useNow, useShared } from "./shared.tsx";
import { TEXTS } from "./texts.ts";
import { ahead, clock } from "./time-texts.ts";

const MINUTE_MS = 60_000;

export function ProposalCard({ notice, done }: { readonly notice: ProposalNotice; readonly done: (said: string) => void }) {
  const { answered, me } = useShared();
  const nowMs = useNow(MINUTE_MS);
  const { gateway, gatewayName, id, effectAtMs, isEarly } = notice;
  const query = new URLSearchParams({ gateway, proposal: id, back: `/gateways/${gateway}` });
  const cancel = async (): Promise<void> => {
    const { outcome } = await call<ProposalOutcome>("POST", `/api/gateways/${gateway}/proposals/${id}/cancel`);
    done(outcome === "done" ? TEXTS.proposal.cancelled : TEXTS.proposal.cancelledLater);
    answered(notice);
  };
  const by = effectAtMs === null ? TEXTS.proposal.waits : TEXTS.proposal.until(ahead(effectAtMs, nowMs), clock(effectAtMs));
  return (
    <section class="card notice alert" aria-label={TEXTS.proposal.label(gatewayName)}>
      <p>
        {changeText(notice)}{" "}
        <span class="small">
          <Ago ms={notice.atMs} />
        </span>
      </p>
      <p>{isEarly ? TEXTS.proposal.early : by}</p>
      <div class="row">
        <Act label={TEXTS.proposal.cancel} kind="danger" run={cancel} />
        <a class="button" href={`${me.approveOrigin}/proposal?${query.toString()}`}>
          {TEXTS.proposal.approve}
        </a>
      </div>
    </section>
  );
}
