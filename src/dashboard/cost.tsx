/** What a gateway costs this month, and the budget of its day. */
import { useState } from "preact/hooks";
import type { Usage } from "../protocol/usage.ts";
import { Told, call } from "./api.ts";
import { Act, Failure, Skeleton, useLoaded } from "./parts.tsx";
import { useShared } from "./shared.tsx";
import { COST_METER, budgetText, byteCount, money } from "./cost-texts.ts";
import { TEXTS } from "./texts.ts";

const MICRO = 1_000_000;
const GIGA = 1_000_000_000;
const SHOWN = ["messages", "exchanges", "upgrades", "wakes", "rowsWritten", "alarms"] as const;
const TONE = { ok: "good", warned: "warn", over: "bad" } as const;

function Counted({ usage }: { readonly usage: Usage }) {
  const number = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 });
  return (
    <details>
      <summary>{TEXTS.costDetails}</summary>
      <dl>
        {SHOWN.map((name) => (
          <>
            <dt>{TEXTS.counted[name]}</dt>
            <dd>{number(usage.counts[name])}</dd>
          </>
        ))}
        <dt>{TEXTS.counted.bytes}</dt>
        <dd>{byteCount(usage.counts.bytes)}</dd>
      </dl>
      <table>
        <thead>
          <tr>
            <th scope="col">{TEXTS.costItem}</th>
            <th scope="col">{TEXTS.costUnits}</th>
            <th scope="col">{TEXTS.costMoney}</th>
          </tr>
        </thead>
        <tbody>
          {usage.lines.map((line) => (
            <tr key={line.meter}>
              <th scope="row">{COST_METER[line.meter]}</th>
              <td>{number(line.units)}</td>
              <td>{money(line.microUsd)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="small">
        {TEXTS.costSmall(usage.prices.checked)}{" "}
        <a href={usage.prices.source} rel="noreferrer">
          {TEXTS.costSource}
        </a>
      </p>
    </details>
  );
}

/** @returns the typed number in whole units of what is stored, or null */
function typedNumber(text: string, factor: number, most: number): number | null {
  const value = Math.round(Number(text.trim().replace(",", ".")) * factor);
  return text.trim() !== "" && value >= 0 && value <= most ? value : null;
}

function BudgetForm({ gateway, usage, reload }: { readonly gateway: string; readonly usage: Usage; readonly reload: () => void }) {
  const [dollars, setDollars] = useState(String(usage.budget.microUsd / MICRO));
  const [gigabytes, setGigabytes] = useState(String(usage.budget.bytes / GIGA));
  const [said, say] = useState("");
  const save = async (): Promise<void> => {
    say("");
    const microUsd = typedNumber(dollars, MICRO, 1000 * MICRO);
    const bytes = typedNumber(gigabytes, GIGA, 100_000 * GIGA);
    if (microUsd === null || bytes === null) throw new Told(TEXTS.budgetWrong);
    await call("PUT", `/api/gateways/${gateway}/budget`, { microUsd, bytes });
    say(TEXTS.budgetSaved);
    reload();
  };
  const field = (id: string, label: string, value: string, set: (typed: string) => void) => (
    <>
      <label for={id}>{label}</label>
      <input
        id={id}
        inputMode="decimal"
        maxLength={12}
        value={value}
        autocomplete="off"
        onInput={(event) => set(event.currentTarget.value)}
      />
    </>
  );
  return (
    <>
      <p class="small">{TEXTS.budgetText}</p>
      {field("budget-money", TEXTS.budgetMoney, dollars, setDollars)}
      {field("budget-bytes", TEXTS.budgetBytes, gigabytes, setGigabytes)}
      <div class="row">
        <Act label={TEXTS.budgetSave} run={save} />
        <span role="status" class="small">
          {said}
        </span>
      </div>
    </>
  );
}

export function Cost({ gateway, name }: { readonly gateway: string; readonly name: string }) {
  const { changed } = useShared();
  const { value, problem, reload } = useLoaded(() => call<Usage>("GET", `/api/gateways/${gateway}/usage`), `${gateway} ${changed}`);
  return (
    <>
      <h2 id="cost">{TEXTS.costHeading}</h2>
      <Failure problem={problem} />
      <Skeleton isOver={value !== null || problem !== null} />
      {value !== null && (
        <div class="card">
          {value.level !== "ok" && (
            <p class={TONE[value.level]}>
              <strong>{budgetText({ gatewayName: name, state: value.level === "over" ? "budget-used-up" : "budget-warned" })}</strong>
            </p>
          )}
          <p>
            {TEXTS.costText(value.month, money(value.microUsd))}
            {value.lastMonthMicroUsd === null ? "" : ` ${TEXTS.costLast(money(value.lastMonthMicroUsd))}`}
          </p>
          <Counted usage={value} />
          <p>
            {TEXTS.budgetToday(
              money(value.today.microUsd),
              money(value.budget.microUsd),
              byteCount(value.today.bytes),
              byteCount(value.budget.bytes),
            )}
          </p>
          <progress aria-label={TEXTS.budgetBar} max={1} value={Math.min(1, value.share)} />
          <BudgetForm gateway={gateway} usage={value} reload={reload} />
        </div>
      )}
    </>
  );
}
