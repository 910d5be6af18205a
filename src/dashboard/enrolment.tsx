/** Adding a gateway: the command and its progress. The owner compares and signs on the approval page. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type * as z from "zod";
import { ENROLMENT_CODE_MS } from "../protocol/limits.ts";
import type { Gateway, gatewayCreatedSchema } from "../protocol/api.ts";
import type { EnrolmentProgress } from "../protocol/enrolment-api.ts";
import { Told, call } from "./api.ts";
import { connectWays } from "./connect-ways.ts";
import type { Way } from "./connect-ways.ts";
import { useEnrolment } from "./enrolment-progress.ts";
import { countdown, expiryNotice, needsOwner } from "./enrolment-steps.ts";
import { keep, readKept } from "./tab-storage.ts";
import { Act, Copy, Failure, Skeleton, useLoaded } from "./parts.tsx";
import { useNow, useShared } from "./shared.tsx";
import { ENROLMENT, TEXTS } from "./texts.ts";
import { NotFound, View } from "./view.tsx";

type Created = z.infer<typeof gatewayCreatedSchema>;

/** A code that this tab asked for. `endsAtMs` is of this device's clock, which may differ from the server's. */
interface KeptCode extends Created {
  readonly endsAtMs: number;
}

function codeItem(gateway: string): string {
  return `gatehouse-code-${gateway}`;
}

function keepCode(created: Created): KeptCode {
  const code = { ...created, endsAtMs: Date.now() + ENROLMENT_CODE_MS };
  keep(codeItem(created.gateway.id), code);
  return code;
}

function Progress({ code, progress }: { readonly code: KeptCode; readonly progress: EnrolmentProgress | null }) {
  const { me } = useShared();
  const machine = progress?.state === "open" ? null : (progress?.machine ?? null);
  const [tone, text] = ENROLMENT[progress?.state ?? "open"];
  const page = new URLSearchParams({ enrolment: code.enrolment, gateway: code.gateway.id });
  return (
    <>
      <div role="status" class="progress">
        {machine !== null && (
          <p>
            {TEXTS.machine} <strong>{machine.name}</strong> ({machine.platform})
          </p>
        )}
        <p class={tone}>{text}</p>
      </div>
      {progress !== null && needsOwner(progress) && (
        <div class="row">
          <a class="button primary" href={`${me.approveOrigin}/enrol?${page.toString()}`}>
            {TEXTS.compareWords}
          </a>
        </div>
      )}
    </>
  );
}

function Ways({ command }: { readonly command: string }) {
  const ways = connectWays(command);
  const [shown, show] = useState<Way["id"]>("npx");
  const tabs = useRef(new Map<string, HTMLButtonElement | null>());
  const way = ways.find((each) => each.id === shown) ?? ways[0];
  const move = (event: KeyboardEvent): void => {
    const at = ways.findIndex((each) => each.id === shown);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + ways.length, Home: 0, End: ways.length - 1 }[event.key];
    const next = to === undefined ? undefined : ways[to % ways.length];
    if (next === undefined) return;
    event.preventDefault();
    show(next.id);
    tabs.current.get(next.id)?.focus();
  };
  return (
    <>
      <div role="tablist" class="tabs" aria-label={TEXTS.waysLabel} onKeyDown={move}>
        {ways.map(({ id, label }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`tab-${id}`}
            aria-selected={id === shown}
            aria-controls="way"
            tabIndex={id === shown ? 0 : -1}
            ref={(element) => void tabs.current.set(id, element)}
            onClick={() => show(id)}
          >
            {label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="way" aria-labelledby={`tab-${shown}`}>
        {way?.steps.map(({ text, code, copy }) => (
          <div key={`${shown} ${text}`}>
            <p class={code === undefined ? "small" : ""}>{text}</p>
            {code !== undefined && (
              <>
                <pre tabIndex={0}>{code}</pre>
                <div class="row">
                  <Copy text={code} label={copy ?? TEXTS.ways.copyCommand} />
                </div>
              </>
            )}
          </div>
        ))}
      </div>
    </>
  );
}

/** A code's remaining time: shown every second, spoken only when it is short and when it is over. */
function CodeLife({ leftMs }: { readonly leftMs: number }) {
  const notice = expiryNotice(leftMs);
  return (
    <>
      {notice !== "over" && <p class="small">{TEXTS.codeLeft(countdown(leftMs))}</p>}
      <p role="status" class={notice === "over" ? "bad" : "unseen"}>
        {notice === "" ? "" : notice === "soon" ? TEXTS.codeSoon : TEXTS.codeOver}
      </p>
    </>
  );
}

function CodeCard({ code, renew }: { readonly code: KeptCode; readonly renew: () => Promise<void> }) {
  const { progress, problem } = useEnrolment(code.enrolment);
  const state = progress?.state ?? "open";
  // One clock for all of the card: the command goes in the moment that says so.
  const leftMs = code.endsAtMs - useNow(state === "open" ? 1_000 : null);
  const isOver = leftMs <= 0;
  const isUsable = state === "open" && !isOver;
  return (
    <div class="card">
      {isUsable && (
        <>
          <p>{TEXTS.codeText}</p>
          <Ways command={code.command} />
        </>
      )}
      {state === "open" && <CodeLife leftMs={leftMs} />}
      {!(state === "open" && isOver) && <Progress code={code} progress={progress} />}
      <Failure problem={problem} />
      <div class="row">
        {state === "done" ? (
          <a class="button primary" href={`/gateways/${code.gateway.id}`}>
            {TEXTS.goOn}
          </a>
        ) : (
          <Act label={TEXTS.newCode} kind={isUsable ? "" : "primary"} run={renew} />
        )}
      </div>
    </div>
  );
}

/** Connects a machine to a gateway that exists: with the code that this tab holds already, or with a new one. */
export function Connect({ gateway }: { readonly gateway: string }) {
  const [code, setCode] = useState(() => readKept<KeptCode>(codeItem(gateway)));
  const { value, problem } = useLoaded(() => call<{ gateway: Gateway }>("GET", `/api/gateways/${gateway}`), gateway);
  const renew = async (): Promise<void> => setCode(keepCode(await call<Created>("POST", `/api/gateways/${gateway}/enrolment`)));
  if (value === null && problem !== null) return <NotFound />;
  const name = value?.gateway.name ?? code?.gateway.name;
  return (
    <View title={name === undefined ? TEXTS.connectPlain : TEXTS.connectTitle(name)}>
      {code !== null ? (
        <CodeCard key={code.enrolment} code={code} renew={renew} />
      ) : value === null ? (
        <Skeleton isOver={false} />
      ) : (
        <div class="card">
          <p>{TEXTS.getCodeText}</p>
          {value.gateway.state !== "unclaimed" && <p>{TEXTS.connectAnewText}</p>}
          <Act label={TEXTS.getCode} kind="primary" run={renew} />
        </div>
      )}
    </View>
  );
}

export function AddGateway() {
  const [name, setName] = useState("");
  const [gateway, setGateway] = useState<string | null>(null);
  const heading = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (gateway !== null) heading.current?.querySelector("h1")?.focus();
  }, [gateway]);
  const add = async (): Promise<void> => {
    if (name.trim() === "") throw new Told(TEXTS.nameMissing);
    const { gateway } = keepCode(await call<Created>("POST", "/api/gateways", { name: name.trim() }));
    // From here on the address names the gateway: a reload goes on instead of beginning again.
    history.replaceState(null, "", `/gateways/${gateway.id}/connect`);
    setGateway(gateway.id);
  };
  if (gateway !== null) {
    return (
      <div ref={heading}>
        <Connect gateway={gateway} />
      </div>
    );
  }
  return (
    <View title={TEXTS.addTitle}>
      <div class="card">
        <p>{TEXTS.addText}</p>
        <label for="name">{TEXTS.gatewayName}</label>
        <input id="name" maxLength={64} value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />
        <div class="row">
          <Act label={TEXTS.goOnToCode} kind="primary" run={add} />
        </div>
      </div>
    </View>
  );
}
