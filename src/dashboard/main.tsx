/** The owners' web app: what waits, gateways, devices, activity, account. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AuditEvent, Gateway, InboxMessage, WaitingCard } from "../protocol/api.ts";
import { ApiFailure, call, watchInbox } from "./api.ts";
import { AddGateway, Claim } from "./enrolment.tsx";
import { GatewayPage } from "./gateway-page.tsx";
import { Act, Copy, Failure, Title, useLoaded } from "./parts.tsx";
import { finishSignIn, signIn } from "./session.ts";
import { ACCESS, STATE, actionText, age, clock } from "./texts.ts";

interface Me {
  readonly account: { readonly id: string; readonly name: string };
  readonly approveOrigin: string;
  readonly version: string;
}

const CLAIM_ITEM = "gatehouse-claim";
const TICK_MS = 5_000;

function Mark() {
  return (
    <svg viewBox="0 0 40 40" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="3">
      <path d="M4 37V14l6-5 6 5M24 14l6-5 6 5v23M4 37h32M14 37V26a6 6 0 0 1 12 0v11M16 14h8" />
    </svg>
  );
}

/** Cards of devices that wait, in the order in which they asked. */
function applyInbox(cards: readonly WaitingCard[], message: InboxMessage): readonly WaitingCard[] {
  switch (message.type) {
    case "list":
      return message.requests;
    case "request":
      return cards.some((card) => card.id === message.request.id)
        ? cards.map((card) => (card.id === message.request.id ? message.request : card))
        : [...cards, message.request];
    case "request-gone":
      return cards.filter((card) => card.id !== message.request);
    default:
      return cards;
  }
}

function Waiting({ cards, me }: { readonly cards: readonly WaitingCard[]; readonly me: Me }) {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div role="status" aria-live="polite">
      {cards.map((card) => (
        <section class="card waiting" key={card.id} aria-label={`${card.claims.name} asks for ${card.gatewayName}`}>
          <h2>A device asks to use “{card.gatewayName}”</h2>
          <dl>
            <dt>It says</dt>
            <dd>{card.claims.name}</dd>
            <dt>Seen from</dt>
            <dd>
              {card.observed.address}
              {card.observed.country === null ? "" : `, ${card.observed.country}`}
            </dd>
            <dt>Wants</dt>
            <dd>{ACCESS[card.requestedAccess]}</dd>
            <dt>Asked</dt>
            <dd>{age(card.createdAtMs, nowMs)}</dd>
          </dl>
          <a
            class="button primary"
            href={`${me.approveOrigin}/decide?${new URLSearchParams({ gateway: card.gateway, request: card.id, back: location.pathname }).toString()}`}
          >
            Review
          </a>
        </section>
      ))}
    </div>
  );
}

function Overview({ changed }: { readonly changed: number }) {
  const { value, error } = useLoaded(() => call<{ gateways: Gateway[] }>("GET", "/api/gateways"), String(changed));
  const gateways = value?.gateways;
  return (
    <>
      <Title>Gateways</Title>
      <Failure text={error} />
      {gateways === undefined && error === "" && <div class="card skeleton" aria-busy="true" />}
      {gateways?.length === 0 && (
        <div class="card">
          <p>You have no gateway yet. Add the machine where OpenClaw runs: one command there, no open port, about two minutes.</p>
        </div>
      )}
      <div class="grid">
        {gateways?.map((gateway) => (
          <section class="card" key={gateway.id} aria-label={gateway.name}>
            <h2>
              <a href={`/gateways/${gateway.id}`}>{gateway.name}</a>
            </h2>
            <p>
              <strong class={STATE[gateway.state][0]}>{STATE[gateway.state][1]}</strong>
              {gateway.demo ? " · demo gateway" : ""}
            </p>
            <p class="small">
              {gateway.openclawVersion === null ? "" : `OpenClaw ${gateway.openclawVersion} · `}
              {gateway.deviceCount} {gateway.deviceCount === 1 ? "device" : "devices"}
              {gateway.waitingCount === 0 ? "" : ` · ${gateway.waitingCount} waiting`}
            </p>
          </section>
        ))}
      </div>
      {gateways !== undefined && (
        <div class="row">
          <a class={`button ${gateways.length === 0 ? "primary" : ""}`} href="/gateways/new">
            Add gateway
          </a>
        </div>
      )}
    </>
  );
}

function Activity() {
  const [events, setEvents] = useState<readonly AuditEvent[]>([]);
  const { value, error } = useLoaded(() => call<{ events: AuditEvent[] }>("GET", "/api/activity"), "");
  const all = [...(value?.events ?? []), ...events];
  return (
    <>
      <Title>Activity</Title>
      <Failure text={error} />
      <div class="card skeleton">
        {value !== null && all.length === 0 && <p>Nothing has happened yet.</p>}
        <ul class="plain">
          {all.map((event) => (
            <li key={event.id}>
              {actionText(event)}
              <br />
              <span class="small">
                {clock(event.atMs)}
                {event.gatewayName === null ? "" : ` · ${event.gatewayName}`} · by {event.actor}
              </span>
            </li>
          ))}
        </ul>
        {all.length >= 100 && (
          <Act
            label="Show older"
            run={async () => {
              const more = await call<{ events: AuditEvent[] }>("GET", `/api/activity?before=${all.at(-1)?.atMs ?? 0}`);
              setEvents([...events, ...more.events]);
            }}
          />
        )}
      </div>
    </>
  );
}

function Account({ me }: { readonly me: Me }) {
  const [url, setUrl] = useState("");
  const out = (everywhere: boolean) => async (): Promise<void> => {
    await call("POST", "/api/sign-out", { everywhere });
    location.assign("/");
  };
  return (
    <>
      <Title>{me.account.name}</Title>
      <div class="card">
        <p>Passkeys and recovery codes are kept on the page where you decide.</p>
        <a class="button" href={`${me.approveOrigin}/account`}>
          Passkeys and recovery codes
        </a>
      </div>
      <div class="card">
        <h2>Invitations</h2>
        <p>An invitation lets one more person make an account here. It works once, for seven days.</p>
        {url === "" ? (
          <Act label="Make an invitation" run={async () => setUrl((await call<{ url: string }>("POST", "/api/invitations")).url)} />
        ) : (
          <>
            <pre tabIndex={0}>{url}</pre>
            <Copy text={url} label="Copy the invitation" />
          </>
        )}
      </div>
      <div class="card">
        <div class="row">
          <Act label="Sign out" run={out(false)} />
          <Act label="Sign out everywhere" kind="danger" run={out(true)} />
        </div>
        <p class="small">Gatehouse {me.version}</p>
      </div>
    </>
  );
}

function Welcome({ to }: { readonly to: string }) {
  return (
    <main id="main">
      <Title>Gatehouse</Title>
      <div class="card">
        <p>
          Reach your OpenClaw gateways from anywhere, without an open port. New devices ask; you allow them with your passkey, wherever you
          are.
        </p>
        <Act label="Sign in" kind="primary" run={() => signIn(to)} />
      </div>
    </main>
  );
}

function Page({ path, changed, me }: { readonly path: string; readonly changed: number; readonly me: Me }) {
  if (path === "/gateways/new") return <AddGateway />;
  const gateway = /^\/gateways\/([a-z2-7]{23})$/.exec(path)?.[1];
  if (gateway !== undefined) return <GatewayPage id={gateway} changed={changed} />;
  if (path === "/activity") return <Activity />;
  if (path === "/account") return <Account me={me} />;
  if (path === "/claim") {
    const fragment = sessionStorage.getItem(CLAIM_ITEM) ?? "";
    return <Claim fragment={fragment} />;
  }
  return <Overview changed={changed} />;
}

const LINKS = [["/", "Gateways"], ["/activity", "Activity"], ["/account", "Account"]] as const; // prettier-ignore

function Shell({ me }: { readonly me: Me }) {
  const path = location.pathname;
  const [cards, setCards] = useState<readonly WaitingCard[]>([]);
  const [changed, setChanged] = useState(0);
  useEffect(
    () =>
      watchInbox((message) => {
        setCards((before) => applyInbox(before, message));
        if (message.type !== "list") setChanged((before) => before + 1);
      }),
    [],
  );
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header>
        <div class="bar">
          <a class="brand" href="/">
            <Mark />
            Gatehouse
          </a>
          <nav aria-label="Main">
            {LINKS.map(([href, label]) => (
              <a key={href} href={href} aria-current={path === href ? "page" : undefined}>
                {label}
              </a>
            ))}
          </nav>
        </div>
      </header>
      <main id="main">
        <Waiting cards={cards} me={me} />
        <Page path={path} changed={changed} me={me} />
      </main>
    </>
  );
}

async function start(root: Element): Promise<void> {
  if (location.pathname === "/signed-in") return location.replace(await finishSignIn());
  if (location.pathname === "/claim" && location.hash.length > 1) {
    // Kept for the trip to the sign-in; the link's secret stays out of the address from here on.
    sessionStorage.setItem(CLAIM_ITEM, location.hash.slice(1));
    history.replaceState(null, "", "/claim");
  }
  try {
    const me = await call<Me>("GET", "/api/me");
    render(<Shell me={me} />, root);
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== "not-signed-in") throw error;
    render(<Welcome to={location.pathname} />, root);
  }
}

const root = document.getElementById("app");
if (root !== null) {
  start(root).catch((error: unknown) => {
    render(
      <main id="main">
        <Title>That did not work</Title>
        <div class="card">
          <Failure text={error instanceof Error ? error.message : ""} />
          <a class="button" href="/">
            Try again
          </a>
        </div>
      </main>,
      root,
    );
  });
}
