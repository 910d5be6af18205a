/** Small pieces that several views share. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiFailure } from "./api.ts";

/** Loads something now and whenever `key` changes. A signed-out answer goes to the sign-in. */
export function useLoaded<T>(
  load: () => Promise<T>,
  key: string,
): { readonly value: T | null; readonly error: string; readonly reload: () => void } {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    load().then(
      (loaded) => {
        if (!isCurrent) return;
        setValue(loaded);
        setError("");
      },
      (reason: unknown) => {
        if (isCurrent) setError(reason instanceof Error ? reason.message : "That did not work.");
        if (reason instanceof ApiFailure && reason.code === "not-signed-in") location.assign("/");
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [key, round]);
  return { value, error, reload: () => setRound((before) => before + 1) };
}

/** Heading of a view; takes the focus when the view appears. */
export function Title({ children }: { readonly children: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    ref.current?.focus();
    document.title = `${ref.current?.textContent ?? ""} · Gatehouse`;
  }, []);
  return (
    <h1 tabIndex={-1} ref={ref}>
      {children}
    </h1>
  );
}

export function Failure({ text }: { readonly text: string }) {
  return text === "" ? null : (
    <p class="bad" role="alert">
      {text}
    </p>
  );
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
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const act = (): void => {
    setBusy(true);
    setError("");
    run()
      .catch((reason: unknown) => setError(reason instanceof Error ? reason.message : "That did not work."))
      .finally(() => setBusy(false));
  };
  return (
    <>
      <button type="button" class={kind} disabled={isBusy} onClick={act}>
        {label}
      </button>
      <Failure text={error} />
    </>
  );
}

export function Copy({ text, label }: { readonly text: string; readonly label: string }) {
  const [done, setDone] = useState("");
  return (
    <>
      <button type="button" onClick={() => void navigator.clipboard.writeText(text).then(() => setDone("Copied."))}>
        {label}
      </button>
      <span role="status" class="small">
        {done}
      </span>
    </>
  );
}
