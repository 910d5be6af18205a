/** Adding a gateway: the command and its progress, or a claim link from a terminal; check words in both. */
import { useEffect, useRef, useState } from "preact/hooks";
import { checkWords, claimTranscript, enrolmentCommitment } from "../core/check-words.ts";
import type { EnrolmentView, Gateway } from "../protocol/api.ts";
import { toBase64url } from "../protocol/statement-encoding.ts";
import { ApiFailure, call } from "./api.ts";
import { Act, Copy, Failure, Title } from "./parts.tsx";
import { claimMac } from "./session.ts";

interface Created {
  readonly gateway: Gateway;
  readonly enrolment: string;
  readonly code: string;
  readonly command: string;
  readonly expiresAtMs: number;
}

const POLL_MS = 700;

/** What the machine promised before the page drew its nonce. Later answers of the API must not replace any of it. */
type Promised = Omit<Parameters<typeof claimTranscript>[0], "pageNonce">;

function isPassing(reason: unknown): boolean {
  return reason instanceof ApiFailure && ["offline", "unavailable", "internal", "too-many"].includes(reason.code);
}

/** Plays the page's part of the ceremony; the nonce is drawn only after the commitment is seen. */
function useCeremony(
  enrolment: string | null,
  claimSecret: string | null,
  isActive: boolean,
): { view: EnrolmentView | null; words: string; error: string } {
  const [view, setView] = useState<EnrolmentView | null>(null);
  const [words, setWords] = useState("");
  const [error, setError] = useState("");
  const nonce = useRef("");
  const promised = useRef<Promised | null>(null);
  useEffect(() => {
    if (enrolment === null) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isCurrent = true;
    const step = async (): Promise<void> => {
      const seen = await call<EnrolmentView>("GET", `/api/enrolments/${enrolment}`);
      if (!isCurrent) return;
      setView(seen);
      setError("");
      const { gateway, connectorKey, commitment, ownerKeys, connectorNonce } = seen;
      if (
        isActive &&
        seen.state === "redeemed" &&
        nonce.current === "" &&
        gateway !== null &&
        connectorKey !== null &&
        commitment !== null
      ) {
        promised.current = { gateway, connectorKey, ownerKeys, commitment };
        nonce.current = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
        const transcript = claimTranscript({ ...promised.current, pageNonce: nonce.current });
        const mac = claimSecret === null ? {} : { mac: await claimMac(claimSecret, transcript) };
        await call("POST", `/api/enrolments/${enrolment}/nonce`, { nonce: nonce.current, ...mac });
      }
      const first = promised.current;
      if ((seen.state === "revealed" || seen.state === "done") && first !== null && connectorNonce !== null) {
        if ((await enrolmentCommitment(first.connectorKey, connectorNonce)) !== first.commitment)
          throw new Error("The machine's answer does not fit what it promised. Do not go on; get a new code.");
        setWords(await checkWords({ ...first, connectorNonce, pageNonce: nonce.current }));
      }
      if (!["done", "failed", "expired"].includes(seen.state)) timer = setTimeout(() => void guarded(), POLL_MS);
    };
    const guarded = (): Promise<void> =>
      step().catch((reason: unknown) => {
        if (!isCurrent) return;
        setError(reason instanceof Error ? reason.message : "That did not work.");
        if (isPassing(reason)) timer = setTimeout(() => void guarded(), POLL_MS);
      });
    void guarded();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [enrolment, isActive]);
  return { view, words, error };
}

function Progress({ view, words, isClaim }: { readonly view: EnrolmentView | null; readonly words: string; readonly isClaim: boolean }) {
  const machine = view?.machine;
  return (
    <div role="status">
      {(view === null || view.state === "open") && !isClaim && <p>Waiting for the machine …</p>}
      {machine !== null && machine !== undefined && view?.state !== "open" && (
        <p>
          Machine: <strong>{machine.name}</strong> ({machine.platform})
        </p>
      )}
      {words !== "" && (
        <>
          <p>{isClaim ? "The terminal shows the same four words:" : "Compare these words with the terminal, and answer there:"}</p>
          <p class="words">{words}</p>
        </>
      )}
      {view?.state === "done" && <p class="good">Connected. This machine now answers only to your passkeys.</p>}
      {view?.state === "failed" && <p class="bad">The words were not confirmed in the terminal. Nothing was connected; get a new code.</p>}
      {view?.state === "expired" && <p class="bad">The code is too old. Get a new one.</p>}
    </div>
  );
}

export function AddGateway() {
  const [name, setName] = useState("");
  const [created, setCreated] = useState<Created | null>(null);
  const { view, words, error } = useCeremony(created?.enrolment ?? null, null, true);
  if (created === null) {
    return (
      <>
        <Title>Add gateway</Title>
        <div class="card">
          <p>Give it a name. Then you run one command on the machine where OpenClaw runs; it needs no open port.</p>
          <label for="name">Name of the gateway</label>
          <input id="name" maxLength={64} value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />
          <div class="row">
            <Act
              label="Continue"
              kind="primary"
              run={async () => {
                if (name.trim() === "") throw new Error("Type a name first.");
                setCreated(await call<Created>("POST", "/api/gateways", { name: name.trim() }));
              }}
            />
          </div>
        </div>
      </>
    );
  }
  return (
    <>
      <Title>Connect “{created.gateway.name}”</Title>
      <div class="card">
        <p>
          Run this on the machine where OpenClaw runs, as the same user. It works once, until{" "}
          {new Date(created.expiresAtMs).toLocaleTimeString()}.
        </p>
        <pre tabIndex={0}>{created.command}</pre>
        <div class="row">
          <Copy text={created.command} label="Copy the command" />
        </div>
        <p class="small">
          Node 22.19 or newer is needed. In Docker, run it in the gateway's own network (network_mode: "service:…"), so that 127.0.0.1 is
          the gateway. Without a terminal, add --yes and confirm with --check-words.
        </p>
        <Progress view={view} words={words} isClaim={false} />
        <Failure text={error} />
        {view?.state === "done" && (
          <a class="button primary" href={`/gateways/${created.gateway.id}`}>
            Go on
          </a>
        )}
      </div>
    </>
  );
}

export function Claim({ fragment }: { readonly fragment: string }) {
  const [id = "", secret = ""] = fragment.split(".");
  const [gateway, setGateway] = useState<Gateway | null>(null);
  const { view, words, error } = useCeremony(id, secret, gateway !== null);
  const [name, setName] = useState<string | null>(null);
  const typed = name ?? view?.machine?.name ?? "";
  return (
    <>
      <Title>Add this gateway</Title>
      <div class="card">
        {gateway === null && view?.state === "open" && (
          <>
            <p>
              The machine <strong>{view.machine?.name}</strong> ({view.machine?.platform}) waits for its owner. Add it only if its terminal
              showed you this link.
            </p>
            <label for="name">Name of the gateway</label>
            <input id="name" maxLength={64} value={typed} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />
            <div class="row">
              <Act
                label="Add gateway"
                kind="primary"
                run={async () =>
                  setGateway(await call<Gateway>("POST", `/api/enrolments/${id}/claim`, { name: typed.trim() || "My gateway" }))
                }
              />
            </div>
          </>
        )}
        {gateway === null && view !== null && view.state !== "open" && (
          <p>This link has been used. Look at your gateways, or start Gatehouse on the machine again for a new link.</p>
        )}
        {gateway !== null && <Progress view={view} words={words} isClaim={true} />}
        <Failure text={error} />
        {gateway !== null && view?.state === "done" && (
          <a class="button primary" href={`/gateways/${gateway.id}`}>
            Go on
          </a>
        )}
      </div>
    </>
  );
}
