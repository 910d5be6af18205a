/** One device of a gateway: how it stands, rename, cut with its receipt. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { mayDo } from "../core/trust/roles.ts";
import type { Device, Gateway, Receipt } from "../protocol/api.ts";
import { Told, call } from "./api.ts";
import { Act, Confirmed } from "./parts.tsx";
import { Ago, useNow } from "./shared.tsx";
import { ACCESS, DEVICE_STATE, TEXTS } from "./texts.ts";
import { ahead, clock } from "./time-texts.ts";

const RECEIPT_POLL_MS = 700;
const MINUTE_MS = 60_000;

function ReceiptView({ gateway: { id, role }, first }: { readonly gateway: Gateway; readonly first: Receipt }) {
  const [receipt, setReceipt] = useState(first);
  useEffect(() => {
    if (receipt.gateway.state !== "pending") return undefined;
    const timer = setTimeout(() => {
      call<Receipt>("GET", `/api/gateways/${id}/devices/${receipt.device}/cut`).then(setReceipt, () => setReceipt({ ...receipt }));
    }, RECEIPT_POLL_MS);
    return () => clearTimeout(timer);
  }, [receipt]);
  const { edge, gateway: side } = receipt;
  return (
    <div role="status">
      <p class="good">{TEXTS.socketsEnded(edge.socketsClosed, edge.tookMs)}</p>
      {side.state === "done" ? (
        <>
          <p class="good">{TEXTS.removed(side.entriesRemoved, side.tookMs)}</p>
          {receipt.isSigned && mayDo(role, "cut") && (
            <p>
              <a class="button" href={`/api/gateways/${id}/devices/${receipt.device}/receipt.json`} download>
                {TEXTS.saveReceipt}
              </a>
            </p>
          )}
        </>
      ) : (
        <p class="warn">{side.state === "superseded" ? TEXTS.removalSuperseded : TEXTS.notConfirmed[side.why ?? "asking"]}</p>
      )}
    </div>
  );
}

function NameForm({ id, name, close, save }: { id: string; name: string; close: () => void; save: (name: string) => Promise<void> }) {
  const [typed, setTyped] = useState(name);
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => input.current?.select(), []);
  const submit = (): Promise<void> => {
    if (typed.trim() !== "") return save(typed.trim());
    input.current?.focus();
    return Promise.reject(new Told(TEXTS.nameMissing));
  };
  return (
    <div onKeyDown={(event) => event.key === "Escape" && close()}>
      <label for={`name-${id}`}>{TEXTS.deviceName}</label>
      <input
        id={`name-${id}`}
        ref={input}
        maxLength={64}
        value={typed}
        autocomplete="off"
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <div class="row">
        <button type="button" onClick={close}>
          {TEXTS.cancel}
        </button>
        <Act label={TEXTS.saveName} run={submit} />
      </div>
    </div>
  );
}

export function DeviceCard({
  gateway,
  device,
  reload,
}: {
  readonly gateway: Gateway;
  readonly device: Device;
  readonly reload: () => void;
}) {
  const [isNaming, setNaming] = useState(false);
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const rename = useRef<HTMLButtonElement>(null);
  const wasNaming = useRef(false);
  useLayoutEffect(() => {
    // Back to where the person was before the form opened.
    if (wasNaming.current && !isNaming) rename.current?.focus();
    wasNaming.current = isNaming;
  }, [isNaming]);
  const nowMs = useNow(MINUTE_MS);
  const path = `/api/gateways/${gateway.id}/devices/${device.id}`;
  const { role } = gateway;
  const isLive = !["expired", "cut"].includes(device.state);
  const wasLive = useRef(isLive);
  useLayoutEffect(() => {
    // Its Cut now button is gone, and the focus with it.
    if (wasLive.current && !isLive && document.activeElement === document.body) rename.current?.focus();
    wasLive.current = isLive;
  }, [isLive]);
  const [tone, state] = DEVICE_STATE[device.state];
  return (
    <li>
      <h3>{device.name}</h3>
      <dl>
        <dt>{TEXTS.state}</dt>
        <dd>
          <span class={tone}>{state}</span>
          {device.connectedNow ? <strong class="badge">{TEXTS.connectedNow}</strong> : ""}
        </dd>
        <dt>{TEXTS.system}</dt>
        <dd>{[device.browser, device.platform].filter((each) => each !== "").join(TEXTS.on) || TEXTS.notTold}</dd>
        <dt>{TEXTS.access}</dt>
        <dd>{ACCESS[device.access]}</dd>
        <dt>{TEXTS.lastSeen}</dt>
        <dd>{device.connectedNow ? TEXTS.connectedNow : device.lastSeenMs === null ? TEXTS.never : <Ago ms={device.lastSeenMs} />}</dd>
        <dt>{device.state === "expired" ? TEXTS.ended : TEXTS.ends}</dt>
        <dd>{isLive ? `${ahead(device.notAfterMs, nowMs)} (${clock(device.notAfterMs)})` : clock(device.notAfterMs)}</dd>
      </dl>
      {receipt !== null && <ReceiptView gateway={gateway} first={receipt} />}
      {receipt === null && device.state === "cut" && (
        <div class="row">
          <Act label={TEXTS.showReceipt} run={async () => setReceipt(await call<Receipt>("GET", `${path}/cut`))} />
        </div>
      )}
      {isNaming ? (
        <NameForm
          id={device.id}
          name={device.name}
          close={() => setNaming(false)}
          save={async (name) => {
            await call("PATCH", path, { name });
            setNaming(false);
            reload();
          }}
        />
      ) : (
        <div class="row">
          {mayDo(role, "manage") && (
            <button type="button" ref={rename} onClick={() => setNaming(true)}>
              {TEXTS.rename}
            </button>
          )}
          {device.state === "suspended" && mayDo(role, "manage") && (
            <Act
              label={TEXTS.resume}
              run={async () => {
                await call("POST", `${path}/resume`);
                reload();
              }}
            />
          )}
          {isLive && mayDo(role, "cut") && (
            <Confirmed
              label={TEXTS.cut}
              title={TEXTS.cutTitle(device.name)}
              text={TEXTS.cutText}
              run={async () => {
                setReceipt(await call<Receipt>("POST", `${path}/cut`));
                reload();
              }}
            />
          )}
        </div>
      )}
    </li>
  );
}
