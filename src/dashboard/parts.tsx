/** Small pieces that several views share. */
import { useEffect, useRef, useState } from "preact/hooks";
import { inWords, isSignedOut } from "./api.ts";
import { useShared } from "./shared.tsx";
import { TEXTS } from "./texts.ts";

export interface Loaded<T> {
  readonly value: T | null;
  /** Why nothing newer could be loaded. */
  readonly problem: unknown;
  readonly reload: () => void;
}

/** Loads something now and whenever `key` changes. */
export function useLoaded<T>(load: () => Promise<T>, key: string): Loaded<T> {
  const { signedOut } = useShared();
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    load().then(
      (loaded) => {
        if (!isCurrent) return;
        setValue(loaded);
        setProblem(null);
      },
      (reason: unknown) => {
        if (!isCurrent) return;
        setProblem(reason);
        if (isSignedOut(reason)) signedOut(false);
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [key, round]);
  return { value, problem, reload: () => setRound((before) => before + 1) };
}

/** Heading of a view, and the name of the browser's tab. */
export function Title({ children }: { readonly children: string }) {
  useEffect(() => {
    document.title = TEXTS.title(children);
  }, [children]);
  return <h1 tabIndex={-1}>{children}</h1>;
}

export function Failure({ problem }: { readonly problem: unknown }) {
  // The shell says that the person is signed out, with the way to sign in.
  return problem === null || isSignedOut(problem) ? null : (
    <p class="bad" role="alert">
      {inWords(problem)}
    </p>
  );
}

/** Keeps the place of what is being loaded. */
export function Skeleton({ isOver }: { readonly isOver: boolean }) {
  return isOver ? null : <div class="card skeleton" aria-busy="true" />;
}

/** A button that is busy while its act runs and shows what went wrong. */
export function Act({
  label,
  kind = "",
  run,
}: {
  readonly label: string;
  readonly kind?: "primary" | "danger" | "";
  readonly run: () => Promise<void>;
}) {
  const { signedOut } = useShared();
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const act = (): void => {
    setBusy(true);
    setProblem(null);
    run()
      .catch((reason: unknown) => {
        setProblem(reason);
        if (isSignedOut(reason)) signedOut(true);
      })
      .finally(() => setBusy(false));
  };
  return (
    <>
      <button type="button" class={kind} aria-disabled={isBusy} onClick={() => isBusy || act()}>
        {label}
      </button>
      <Failure problem={problem} />
    </>
  );
}

export function Copy({ text, label }: { readonly text: string; readonly label: string }) {
  const [said, say] = useState("");
  const copy = async (): Promise<void> => {
    say("");
    try {
      await navigator.clipboard.writeText(text);
      say(TEXTS.copied);
    } catch {
      say(TEXTS.copyRefused);
    }
  };
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>
      <span role="status" class="small">
        {said}
      </span>
    </>
  );
}

/** A button that asks before it acts. @param keep what the button says that leaves all as it is */
export function Confirmed({
  label,
  title,
  text,
  run,
  keep = TEXTS.keepIt,
}: {
  readonly label: string;
  readonly title: string;
  readonly text: string;
  readonly run: () => Promise<void>;
  readonly keep?: string;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = (): void => dialog.current?.close();
  return (
    <>
      <button type="button" class="danger" onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} aria-label={title}>
        <p class="heading">{title}</p>
        <p>{text}</p>
        <div class="row">
          <button type="button" onClick={close}>
            {keep}
          </button>
          <Act label={label} kind="danger" run={() => run().then(close)} />
        </div>
      </dialog>
    </>
  );
}
