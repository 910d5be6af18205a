/** Devices that may not ask at one gateway. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { BlockedDevice } from "../protocol/blocks.ts";
import { call } from "./api.ts";
import { Act } from "./parts.tsx";
import { TEXTS } from "./texts.ts";
import { clock } from "./time-texts.ts";

export function Blocked({
  gateway,
  blocked,
  reload,
}: {
  readonly gateway: string;
  readonly blocked: readonly BlockedDevice[];
  readonly reload: () => void;
}) {
  const [said, say] = useState("");
  const status = useRef<HTMLParagraphElement>(null);
  // The button that was pressed goes away with its device.
  useEffect(() => {
    if (said !== "") status.current?.focus();
  }, [said]);
  const act = (device: string, what: "unblock" | "block-for-good", text: string) => async (): Promise<void> => {
    await call("POST", `/api/gateways/${gateway}/devices/${device}/${what}`);
    say(text);
    reload();
  };
  if (blocked.length === 0 && said === "") return null;
  return (
    <>
      <h2>{TEXTS.blockedHeading}</h2>
      <div class="card">
        <p role="status" tabIndex={-1} ref={status}>
          {said}
        </p>
        {blocked.length > 0 && <p>{TEXTS.blockedText}</p>}
        <ul class="plain">
          {blocked.map(({ device, name, sinceMs, untilMs }) => (
            <li key={device} aria-label={TEXTS.blockedLabel(name)}>
              <p class="heading">{name}</p>
              <p class="small">
                {TEXTS.blockedSince(clock(sinceMs))}, {untilMs === null ? TEXTS.blockedForGood : TEXTS.blockedUntil(clock(untilMs))}
              </p>
              <div class="row">
                <Act label={TEXTS.unblock} run={act(device, "unblock", TEXTS.unblocked(name))} />
                {untilMs !== null && (
                  <Act label={TEXTS.blockForGood} kind="danger" run={act(device, "block-for-good", TEXTS.blockedNow(name))} />
                )}
              </div>
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}
