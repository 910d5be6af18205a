/** The owners' web app: what waits, gateways, devices, activity, account. */
import { render } from "preact";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { InboxMessage, InboxNotice, WaitingCard } from "../protocol/api.ts";
import { Account } from "./account.tsx";
import { Activity } from "./activity.tsx";
import { call, inWords, inboxList, isSignedOut, watchInbox } from "./api.ts";
import { AddGateway, Connect } from "./enrolment.tsx";
import { GatewayPage } from "./gateway-page.tsx";
import { applyInbox, applyNotices } from "./inbox.ts";
import type { LineState } from "./inbox.ts";
import { Overview } from "./overview.tsx";
import { Title } from "./parts.tsx";
import { readPath, safePath } from "./paths.ts";
import type { Path } from "./paths.ts";
import { finishSignIn, signIn } from "./session.ts";
import { ShareProvider } from "./shared.tsx";
import type { Me } from "./shared.tsx";
import { budgetText } from "./cost-texts.ts";
import { changeText } from "./proposal-texts.ts";
import { announcement, noticeText } from "./notice-texts.ts";
import { TEXTS } from "./texts.ts";
import { NotFound } from "./view.tsx";

function Mark() {
  return (
    <svg viewBox="0 0 40 40" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="3">
      <path d="M4 37V14l6-5 6 5M24 14l6-5 6 5v23M4 37h32M14 37V26a6 6 0 0 1 12 0v11M16 14h8" />
    </svg>
  );
}

function Page({ path }: { readonly path: Path }) {
  switch (path.view) {
    case "overview":
    case "start":
      return <Overview />;
    case "add-gateway":
      return <AddGateway />;
    case "gateway":
      return <GatewayPage id={path.gateway} />;
    case "connect":
      return <Connect gateway={path.gateway} />;
    case "activity":
      return <Activity />;
    case "account":
      return <Account />;
    case "not-found":
      return <NotFound />;
  }
}

/** Leads to the approval origin; what goes wrong on the way is said beside the button. */
function SignIn({ label, to, takesFocus = false }: { readonly label: string; readonly to: string; readonly takesFocus?: boolean }) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    if (takesFocus) button.current?.focus();
  }, []);
  const go = (): void => {
    setBusy(true);
    setError("");
    signIn(to).catch((reason: unknown) => {
      setBusy(false);
      setError(inWords(reason));
    });
  };
  return (
    <>
      <button type="button" class="primary" ref={button} aria-disabled={isBusy} onClick={() => isBusy || go()}>
        {label}
      </button>
      {error !== "" && (
        <p class="bad" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

const LINKS = [["/", TEXTS.links.overview], ["/activity", TEXTS.links.activity], ["/account", TEXTS.links.account]] as const; // prettier-ignore

/** Header and frame of every page; without links before somebody is signed in. */
function Frame({ hasLinks, children }: { readonly hasLinks: boolean; readonly children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#main">
        {TEXTS.skip}
      </a>
      <header>
        <div class="bar">
          <a class="brand" href="/">
            <Mark />
            {TEXTS.brand}
          </a>
          {hasLinks && (
            <nav aria-label={TEXTS.navigation}>
              {LINKS.map(([href, label]) => (
                <a key={href} href={href} aria-current={location.pathname === href ? "page" : undefined}>
                  {label}
                </a>
              ))}
            </nav>
          )}
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** Is somebody typing? A button that takes the focus then would get the next space. */
function isTyping(): boolean {
  return document.activeElement instanceof HTMLInputElement || document.activeElement instanceof HTMLTextAreaElement;
}

interface Waiting {
  readonly requests: readonly WaitingCard[];
  readonly notices: readonly InboxNotice[];
}

function Shell({ me, waiting, path }: { readonly me: Me; readonly waiting: Waiting; readonly path: Path }) {
  const [cards, setCards] = useState(waiting.requests);
  const [notices, setNotices] = useState(waiting.notices);
  const [changed, setChanged] = useState(0);
  const [line, setLine] = useState<LineState>("connecting");
  const [out, setOut] = useState({ times: 0, takesFocus: false });
  const signedOut = (hasPressed: boolean): void => {
    const takesFocus = hasPressed || !isTyping();
    // What was pressed gets its answer each time; what the page finds out by itself is said once.
    setOut((before) => (hasPressed || before.times === 0 ? { times: before.times + 1, takesFocus } : before));
  };
  // Filled after the first rendering: a live region that starts with its text is not read.
  const [spoken, speak] = useState("");
  useEffect(() => speak(announcement(cards)), [cards]);
  // A line of its own: what stops waiting must not silence what was allowed.
  const [told, tell] = useState("");
  const wasHere = useRef(notices);
  useEffect(() => {
    const newest = notices[0];
    // Those that were here already are read with the page.
    if (newest !== undefined && !wasHere.current.some((each) => each.id === newest.id))
      tell("change" in newest ? changeText(newest) : "untilMs" in newest ? budgetText(newest) : noticeText(newest));
    wasHere.current = notices;
  }, [notices]);
  useEffect(() => {
    return watchInbox({
      message: (message: InboxMessage) => {
        setCards((before) => applyInbox(before, message));
        setNotices((before) => applyNotices(before, message));
        // The first list, too: what changed between the view's own loading and this socket was told to nobody.
        setChanged((before) => before + 1);
      },
      state: setLine,
      signedOut: () => signedOut(false),
    });
  }, []);
  const answered = ({ gateway, id }: InboxNotice): void => {
    setNotices((before) => applyNotices(before, { type: "notice-gone", gateway, id }));
    // The button that was pressed is gone, and the focus with it.
    document.querySelector("h1")?.focus();
  };
  return (
    <ShareProvider value={{ me, cards, notices, answered, changed, signedOut }}>
      <Frame hasLinks={true}>
        <p role="status" class="unseen">
          {spoken}
        </p>
        <p role="status" class="unseen">
          {told}
        </p>
        <div role="status">{line === "offline" && <p class="banner">{TEXTS.offline}</p>}</div>
        {out.times > 0 && (
          <div class="banner" role="alert" key={out.times}>
            <p>{TEXTS.signedOut}</p>
            <SignIn label={TEXTS.signInAgain} to={location.pathname} takesFocus={out.takesFocus} />
          </div>
        )}
        <Page path={path} />
      </Frame>
    </ShareProvider>
  );
}

/** A page for somebody who is not signed in, or whose page could not be loaded. */
function Plain({ title, text, children }: { readonly title: string; readonly text: string; readonly children: ComponentChildren }) {
  return (
    <Frame hasLinks={false}>
      <Title>{title}</Title>
      <div class="card">
        <p>{text}</p>
        {children}
      </div>
    </Frame>
  );
}

async function start(root: Element): Promise<void> {
  if (location.pathname === "/signed-in") return location.replace(await finishSignIn());
  const path = readPath(location.pathname);
  // From the approval page, where the person signed in: on to the page that it names.
  const onward = path.view === "start" ? safePath(new URLSearchParams(location.search).get("to")) : null;
  try {
    // Together, so that nothing moves when what waits is known.
    const [me, waiting] = await Promise.all([call<Me>("GET", "/api/me"), inboxList()]);
    if (onward !== null) history.replaceState(null, "", onward);
    render(<Shell me={me} waiting={waiting} path={onward === null ? path : readPath(onward)} />, root);
  } catch (error) {
    if (!isSignedOut(error)) throw error;
    if (onward !== null) return signIn(onward);
    render(
      <Plain title={TEXTS.brand} text={TEXTS.welcome}>
        <SignIn label={TEXTS.signIn} to={location.pathname} />
      </Plain>,
      root,
    );
  }
}

const root = document.getElementById("app");
if (root !== null) {
  start(root).catch((error: unknown) => {
    // Back from a sign-in that went wrong, the same address cannot work a second time.
    const again = location.pathname === "/signed-in" ? "/" : location.href;
    render(
      <Plain title={TEXTS.failedTitle} text={inWords(error)}>
        <a class="button" href={again}>
          {TEXTS.tryAgain}
        </a>
      </Plain>,
      root,
    );
  });
}
