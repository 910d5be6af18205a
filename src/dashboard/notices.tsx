/** What was granted and nobody has answered for yet: was this you? On every view, because every owner device must hear of it. */
import { useState } from "preact/hooks";
import type { BudgetNotice, Notice } from "../protocol/api.ts";
import { call } from "./api.ts";
import { Act } from "./parts.tsx";
import { Ago, useNow, useShared } from "./shared.tsx";
import { budgetText } from "./cost-texts.ts";
import { ProposalCard } from "./proposals.tsx";
import { REFUSAL, noticeQuestion, noticeText } from "./notice-texts.ts";
import { TEXTS } from "./texts.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

function NoticeCard({ notice, done }: { readonly notice: Notice; readonly done: (said: string) => void }) {
  const { answered } = useShared();
  const nowMs = useNow(MINUTE_MS);
  const path = `/api/gateways/${notice.gateway}/devices/${notice.device}`;
  const isLive = notice.state === "granted";
  const keep = async (): Promise<void> => {
    await call("POST", `${path}/keep`);
    done("");
    answered(notice);
  };
  const cut = async (): Promise<void> => {
    await call("POST", `${path}/cut`);
    done(TEXTS.noticeCut(notice.name));
    answered(notice);
  };
  return (
    <section class={`card notice ${isLive ? "" : "alert"}`} aria-label={TEXTS.noticeLabel(notice.name, notice.gatewayName)}>
      <p>
        {noticeText(notice)}{" "}
        <span class="small">
          <Ago ms={notice.atMs} />
        </span>
      </p>
      {notice.state === "refused" && <p>{REFUSAL[notice.refusal ?? "other"]}</p>}
      {isLive && <p>{noticeQuestion(notice, nowMs - notice.atMs > DAY_MS)}</p>}
      <div class="row">
        <Act label={isLive ? TEXTS.noticeKeep : TEXTS.noticeRead} run={keep} />
        {isLive && <Act label={TEXTS.noticeCutNow} kind="danger" run={cut} />}
      </div>
    </section>
  );
}

/** What the day's budget has come to; the gateway's page has the numbers. */
function BudgetCard({ notice }: { readonly notice: BudgetNotice }) {
  const { answered } = useShared();
  const read = async (): Promise<void> => {
    await call("POST", `/api/gateways/${notice.gateway}/budget/read`);
    answered(notice);
  };
  return (
    <section class="card notice alert" aria-label={TEXTS.budgetLabel(notice.gatewayName)}>
      <p>
        {budgetText(notice)}{" "}
        <span class="small">
          <Ago ms={notice.atMs} />
        </span>
      </p>
      <div class="row">
        <Act label={TEXTS.noticeRead} run={read} />
        <a class="button" href={`/gateways/${notice.gateway}#cost`}>
          {TEXTS.budgetShow}
        </a>
      </div>
    </section>
  );
}

export function Notices() {
  const { notices } = useShared();
  const [said, say] = useState("");
  return (
    <>
      <div role="status">{said !== "" && <p class="good">{said}</p>}</div>
      {notices.map((notice) =>
        "change" in notice ? (
          <ProposalCard key={notice.id} notice={notice} done={say} />
        ) : "untilMs" in notice ? (
          <BudgetCard key={notice.id} notice={notice} />
        ) : (
          <NoticeCard key={notice.id} notice={notice} done={say} />
        ),
      )}
    </>
  );
}
