/** One gateway: state, Open, devices with Cut now. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Device, Gateway, Receipt } from "../protocol/api.ts";
import { call } from "./api.ts";
import { Act, Copy, Failure, Title, useLoaded } from "./parts.tsx";
import { ACCESS, STATE, clock, stateText } from "./texts.ts";

interface Detail {
  readonly gateway: Gateway;
  readonly devices: readonly Device[];
}

const RECEIPT_POLL_MS = 700;
const DEVICE_STATE: Readonly<Record<Device["state"], string>> = {
  waiting: "Allowed, takes effect when the gateway is back",
  allowed: "Allowed",
  expired: "Ended",
  cut: "Cut",
};

function ReceiptView({ gateway, first }: { readonly gateway: string; readonly first: Receipt }) {
  const [receipt, setReceipt] = useState(first);
  useEffect(() => {
    if (receipt.gateway.state === "done") return undefined;
    const timer = setTimeout(() => {
      call<Receipt>("GET", `/api/gateways/${gateway}/devices/${receipt.device}/cut`).then(setReceipt, () => setReceipt({ ...receipt }));
    }, RECEIPT_POLL_MS);
    return () => clearTimeout(timer);
  }, [receipt]);
  const { edge, gateway: side } = receipt;
  return (
    <div role="status">
      <p class="good">
        ✓ Connections ended: {edge.socketsClosed}, in {Math.round(edge.tookMs)} ms.
      </p>
      {side.state === "done" ? (
        <p class="good">
          ✓ Removed on the gateway: {side.entriesRemoved} {side.entriesRemoved === 1 ? "entry" : "entries"}
          {side.tookMs === null ? "" : `, in ${Math.round(side.tookMs)} ms`}.
        </p>
      ) : (
        <p class="warn">… Removal on the gateway happens as soon as it is back. Through Gatehouse the device is already out.</p>
      )}
    </div>
  );
}

function DeviceCard({ gateway, device, reload }: { readonly gateway: string; readonly device: Device; readonly reload: () => void }) {
  const [name, setName] = useState<string | null>(null);
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const path = `/api/gateways/${gateway}/devices/${device.id}`;
  const isLive = device.state === "allowed" || device.state === "waiting";
  return (
    <li>
      {name === null ? (
        <h3>{device.name}</h3>
      ) : (
        <>
          <label for={`name-${device.id}`}>Name of the device</label>
          <input id={`name-${device.id}`} maxLength={64} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </>
      )}
      <dl>
        <dt>State</dt>
        <dd>
          {DEVICE_STATE[device.state]}
          {device.connectedNow ? ", connected now" : ""}
        </dd>
        <dt>System</dt>
        <dd>{[device.browser, device.platform].filter((each) => each !== "").join(" on ") || "not told"}</dd>
        <dt>Access</dt>
        <dd>{ACCESS[device.access]}</dd>
        <dt>Last seen</dt>
        <dd>{device.lastSeenMs === null ? "never" : clock(device.lastSeenMs)}</dd>
        <dt>Ends</dt>
        <dd>{clock(device.notAfterMs)}</dd>
      </dl>
      {receipt !== null && <ReceiptView gateway={gateway} first={receipt} />}
      <div class="row">
        {name === null ? (
          <button type="button" onClick={() => setName(device.name)}>
            Rename
          </button>
        ) : (
          <Act
            label="Save name"
            run={async () => {
              await call("PATCH", path, { name: name.trim() });
              setName(null);
              reload();
            }}
          />
        )}
        {isLive && (
          <button type="button" class="danger" onClick={() => dialog.current?.showModal()}>
            Cut now
          </button>
        )}
      </div>
      <dialog ref={dialog} aria-labelledby={`cut-${device.id}`}>
        <h3 id={`cut-${device.id}`}>Cut “{device.name}”?</h3>
        <p>Its connections end at once, and OpenClaw forgets it. To come back it must ask again.</p>
        <div class="row">
          <button type="button" onClick={() => dialog.current?.close()}>
            Keep it
          </button>
          <Act
            label="Cut now"
            kind="danger"
            run={async () => {
              setReceipt(await call<Receipt>("POST", `${path}/cut`));
              dialog.current?.close();
              reload();
            }}
          />
        </div>
      </dialog>
    </li>
  );
}

export function GatewayPage({ id, changed }: { readonly id: string; readonly changed: number }) {
  const { value, error, reload } = useLoaded(() => call<Detail>("GET", `/api/gateways/${id}`), `${id} ${changed}`);
  const [name, setName] = useState<string | null>(null);
  const [isAdding, setAdding] = useState(false);
  if (value === null) {
    return (
      <>
        <Title>Gateway</Title>
        <Failure text={error} />
        <div class="card skeleton" aria-busy={error === ""} />
      </>
    );
  }
  const { gateway, devices } = value;
  const [tone, word] = STATE[gateway.state];
  return (
    <>
      <Title>{gateway.name}</Title>
      <div class="card">
        <p role="status">
          <strong class={tone}>{word}</strong>
          {gateway.demo ? " · demo gateway" : ""}
        </p>
        <p>{stateText(gateway)}</p>
        <p class="small">
          {gateway.openclawVersion === null ? "" : `OpenClaw ${gateway.openclawVersion} · `}
          {gateway.connectorVersion === null ? "" : `Gatehouse ${gateway.connectorVersion} · `}
          {gateway.lastSeenMs === null ? "never seen" : `last seen ${clock(gateway.lastSeenMs)}`}
        </p>
        <div class="row">
          <a class="button primary" href={`${gateway.origin}/.gatehouse/#owner`}>
            Open
          </a>
          <button type="button" aria-expanded={isAdding} onClick={() => setAdding(!isAdding)}>
            Add device
          </button>
        </div>
        {isAdding && (
          <div>
            <p>Open this address on the other device and press “Ask the owner”. Its request appears here at once.</p>
            <pre tabIndex={0}>{gateway.origin}</pre>
            <Copy text={gateway.origin} label="Copy the address" />
          </div>
        )}
      </div>
      <h2>Devices</h2>
      {devices.length === 0 ? (
        <div class="card">
          <p>No device yet. Press Open to use this one, or Add device for another.</p>
        </div>
      ) : (
        <div class="card">
          <ul class="plain">
            {devices.map((device) => (
              <DeviceCard key={device.id} gateway={id} device={device} reload={reload} />
            ))}
          </ul>
        </div>
      )}
      <h2>Settings</h2>
      <div class="card">
        <label for="gateway-name">Name of the gateway</label>
        <input id="gateway-name" maxLength={64} value={name ?? gateway.name} onInput={(event) => setName(event.currentTarget.value)} />
        <div class="row">
          <Act
            label="Rename gateway"
            run={async () => {
              await call("PATCH", `/api/gateways/${id}`, { name: (name ?? gateway.name).trim() });
              reload();
            }}
          />
          <RemoveGateway id={id} name={gateway.name} />
        </div>
      </div>
    </>
  );
}

function RemoveGateway({ id, name }: { readonly id: string; readonly name: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button type="button" class="danger" onClick={() => dialog.current?.showModal()}>
        Remove gateway
      </button>
      <dialog ref={dialog} aria-labelledby="remove-title">
        <h3 id="remove-title">Remove “{name}”?</h3>
        <p>
          Its address stops working and every device is cut. OpenClaw itself stays as it is; run “gatehouse uninstall” on its machine to put
          its settings back.
        </p>
        <div class="row">
          <button type="button" onClick={() => dialog.current?.close()}>
            Keep it
          </button>
          <Act
            label="Remove gateway"
            kind="danger"
            run={async () => {
              await call("DELETE", `/api/gateways/${id}`);
              location.assign("/");
            }}
          />
        </div>
      </dialog>
    </>
  );
}
