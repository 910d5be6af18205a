/** One gateway: state, Open, devices, settings. */
import { useRef, useState } from "preact/hooks";
import { aheadText } from "../core/measure/clock-difference.ts";
import { mayDo } from "../core/trust/roles.ts";
import type { Device, Gateway } from "../protocol/api.ts";
import { ApiFailure, Told, call } from "./api.ts";
import type { BlockedDevice } from "../protocol/blocks.ts";
import { Blocked } from "./blocked.tsx";
import { ApproveAgain } from "./approve-again.tsx";
import { Connection } from "./connection.tsx";
import { CONNECTION } from "./connection-texts.ts";
import { CopyWaiting } from "./copy-waiting.tsx";
import { Cost } from "./cost.tsx";
import { DeviceCard } from "./device-card.tsx";
import { DriftView } from "./drift.tsx";
import type { Drift } from "./drift.tsx";
import { ChangeSecret, NeededSettings } from "./local-acts.tsx";
import { OwnPlace, Persons } from "./people.tsx";
import { Act, Confirmed, Copy, Failure, Skeleton, useLoaded } from "./parts.tsx";
import { Ago, useShared } from "./shared.tsx";
import { ALARM, STATE, TEXTS, stateText, alarmTitle } from "./texts.ts";
import { clock } from "./time-texts.ts";
import { NotFound, View } from "./view.tsx";

interface Detail {
  readonly gateway: Gateway;
  readonly devices: readonly Device[];
  readonly drift: Drift | null;
  readonly blocked: readonly BlockedDevice[];
}

function isOver(device: Device): boolean {
  return device.state === "cut" || device.state === "expired";
}

function StateCard({ gateway, reload }: { readonly gateway: Gateway; readonly reload: () => void }) {
  const { cards } = useShared();
  const [isAdding, setAdding] = useState(false);
  const [tone, word] = STATE[gateway.state];
  const isClaimed = gateway.state !== "unclaimed";
  const versions = [
    gateway.openclawVersion === null ? "" : TEXTS.openclaw(gateway.openclawVersion),
    gateway.connectorVersion === null ? "" : TEXTS.connector(gateway.connectorVersion),
  ].filter((each) => each !== "");
  const { role } = gateway;
  // What waits comes first: its Review is the one primary button then.
  const isCopied = gateway.reason === "connector-copied";
  // Nobody gets in while it is closed for safety: that is settled first.
  const primary = cards.length === 0 && !isCopied && gateway.settings === null ? "primary" : "";
  return (
    <div class="card">
      <div role="status">
        <p>
          <strong class={tone}>{word}</strong>
          {gateway.demo ? ` · ${TEXTS.demo}` : ""}
        </p>
        <p>{stateText(gateway)}</p>
        {gateway.clockAheadMs !== null && <p class="warn">{TEXTS.machineClock(aheadText(gateway.clockAheadMs, "ours"))}</p>}
        {gateway.machineFaults.map((fault) => (
          <p key={fault} class={fault === "shared-user" ? "small" : "warn"}>
            {TEXTS.machineFault[fault]}
          </p>
        ))}
      </div>
      <p class="small">
        {versions.map((each) => `${each} · `)}
        {gateway.linkSinceMs !== null ? (
          TEXTS.connectedSince(clock(gateway.linkSinceMs))
        ) : gateway.lastSeenMs === null ? (
          TEXTS.neverSeen
        ) : (
          <>
            {TEXTS.lastSeenAt("")}
            <Ago ms={gateway.lastSeenMs} />
          </>
        )}
      </p>
      {isCopied && mayDo(role, "manage") && (
        <div class="row">
          <Confirmed
            label={TEXTS.settle}
            title={TEXTS.settleTitle}
            text={TEXTS.settleText}
            keep={TEXTS.settleKeep}
            run={async () => {
              await call("POST", `/api/gateways/${gateway.id}/settle`);
              reload();
            }}
          />
        </div>
      )}
      <div class="row">
        {isClaimed ? (
          <>
            {mayDo(role, "decide") && gateway.state !== "needs-settings" && (
              <a class={`button ${primary}`} href={`${gateway.origin}/.gatehouse/#owner`}>
                {TEXTS.open}
              </a>
            )}
            {mayDo(role, "decide") && gateway.state === "needs-settings" && (
              <button type="button" disabled>
                {TEXTS.open}
              </button>
            )}
            <button type="button" aria-expanded={isAdding} onClick={() => setAdding(!isAdding)}>
              {TEXTS.addDevice}
            </button>
          </>
        ) : (
          gateway.isOwn && (
            <a class={`button ${primary}`} href={`/gateways/${gateway.id}/connect`}>
              {TEXTS.connectMachine}
            </a>
          )
        )}
      </div>
      {isAdding && (
        <div>
          <p>{TEXTS.addDeviceText}</p>
          <pre tabIndex={0}>{gateway.origin}</pre>
          <Copy text={gateway.origin} label={TEXTS.copyAddress} />
        </div>
      )}
    </div>
  );
}

function AlarmBanner({ alarm }: { readonly alarm: NonNullable<Gateway["alarm"]> }) {
  return (
    <div class="banner alert" role="alert">
      <p class="heading">{alarmTitle(alarm.kind)}</p>
      <p>
        {ALARM[alarm.kind]} <span class="small">{clock(alarm.atMs)}</span>
      </p>
      {alarm.kind !== "early-effect" && (
        <>
          <p>{TEXTS.alarmText}</p>
          <pre tabIndex={0}>{TEXTS.alarmCommands}</pre>
        </>
      )}
    </div>
  );
}

function Records({ gateway }: { readonly gateway: Gateway }) {
  const path = `/api/gateways/${gateway.id}`;
  return (
    <div class="card">
      <p>{TEXTS.recordsText}</p>
      <div class="row">
        <a class="button" href={`${path}/key-log.jsonl`} download>
          {TEXTS.exportKeyLog}
        </a>
        <a class="button" href={`${path}/audit.jsonl`} download>
          {TEXTS.exportAudit}
        </a>
      </div>
    </div>
  );
}

function NoDevice({ gateway }: { readonly gateway: Gateway }) {
  return (
    <div class="card">
      <p>{TEXTS.noDevice}</p>
      {gateway.state === "unclaimed" && <p>{TEXTS.noDeviceOffline}</p>}
      {gateway.state !== "unclaimed" && mayDo(gateway.role, "decide") && (
        <ul>
          {TEXTS.noDeviceSteps.map((each) => (
            <li key={each}>{each}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Devices({
  gateway,
  devices,
  reload,
}: {
  readonly gateway: Gateway;
  readonly devices: readonly Device[];
  readonly reload: () => void;
}) {
  // What had ended before the page was opened is folded away; what ends now stays where the person looks.
  const [folded, setFolded] = useState(() => new Set(devices.filter(isOver).map((each) => each.id)));
  const shown = devices.filter((each) => !folded.has(each.id) || !isOver(each));
  const hidden = devices.length - shown.length;
  if (devices.length === 0) return <NoDevice gateway={gateway} />;
  return (
    <>
      {shown.length === 0 ? (
        <NoDevice gateway={gateway} />
      ) : (
        <div class="card">
          <ul class="plain">
            {shown.map((device) => (
              <DeviceCard key={device.id} gateway={gateway} device={device} reload={reload} />
            ))}
          </ul>
        </div>
      )}
      {hidden > 0 && (
        <button type="button" onClick={() => setFolded(new Set())}>
          {TEXTS.showEnded(hidden)}
        </button>
      )}
    </>
  );
}

function Settings({ gateway, reload }: { readonly gateway: Gateway; readonly reload: () => void }) {
  const [name, setName] = useState(gateway.name);
  const [said, say] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const rename = async (): Promise<void> => {
    say("");
    if (name.trim() === "") {
      input.current?.focus();
      throw new Told(TEXTS.nameMissing);
    }
    await call("PATCH", `/api/gateways/${gateway.id}`, { name: name.trim() });
    say(TEXTS.renamed);
    reload();
  };
  return (
    <div class="card">
      <label for="gateway-name">{TEXTS.gatewayName}</label>
      <input
        id="gateway-name"
        ref={input}
        maxLength={64}
        value={name}
        autocomplete="off"
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <div class="row">
        <Act label={TEXTS.renameGateway} run={rename} />
        <span role="status" class="small">
          {said}
        </span>
      </div>
      {gateway.state !== "unclaimed" && <ChangeSecret gateway={gateway.id} />}
      {gateway.state !== "unclaimed" && gateway.isOwn && (
        <>
          <p class="small">{TEXTS.connectAgainText}</p>
          <div class="row">
            <a class="button" href={`/gateways/${gateway.id}/connect`}>
              {TEXTS.connectAgain}
            </a>
          </div>
        </>
      )}
      <div class="row">
        <Confirmed
          label={TEXTS.removeGateway}
          title={TEXTS.removeTitle(gateway.name)}
          text={TEXTS.removeText}
          run={async () => {
            await call("DELETE", `/api/gateways/${gateway.id}`);
            location.assign("/");
          }}
        />
      </div>
    </div>
  );
}

export function GatewayPage({ id }: { readonly id: string }) {
  const { changed } = useShared();
  const { value, problem, reload } = useLoaded(() => call<Detail>("GET", `/api/gateways/${id}`), `${id} ${changed}`);
  if (problem instanceof ApiFailure && problem.code === "not-found") return <NotFound />;
  if (value === null) {
    return (
      <View title={TEXTS.gatewayTitle}>
        <Failure problem={problem} />
        <Skeleton isOver={problem !== null} />
      </View>
    );
  }
  const { gateway, devices, drift, blocked } = value;
  return (
    <View title={gateway.name}>
      <Failure problem={problem} />
      {gateway.alarm !== null && <AlarmBanner alarm={gateway.alarm} />}
      <StateCard gateway={gateway} reload={reload} />
      {gateway.copyWaiting && <CopyWaiting gateway={gateway.id} reload={reload} />}
      {gateway.settings !== null && <NeededSettings gateway={gateway.id} question={gateway.settings} />}
      {mayDo(gateway.role, "decide") && <ApproveAgain gateway={gateway.id} devices={devices} />}
      <h2>{TEXTS.devicesHeading}</h2>
      <Devices gateway={gateway} devices={devices} reload={reload} />
      <Blocked gateway={gateway.id} blocked={blocked} reload={reload} />
      {mayDo(gateway.role, "manage") && gateway.state !== "unclaimed" && (
        <>
          <h2>{CONNECTION.heading}</h2>
          <Connection gateway={gateway} />
        </>
      )}
      {drift !== null && (
        <>
          <h2>{TEXTS.driftHeading}</h2>
          <DriftView gateway={gateway.id} devices={devices} drift={drift} reload={reload} />
        </>
      )}
      {mayDo(gateway.role, "persons") && gateway.state !== "unclaimed" && (
        <>
          <h2>{TEXTS.personsHeading}</h2>
          <Persons gateway={gateway} />
        </>
      )}
      {!gateway.isOwn && (
        <>
          <h2>{TEXTS.placeHeading}</h2>
          <OwnPlace gateway={gateway} />
        </>
      )}
      {mayDo(gateway.role, "manage") && gateway.state !== "unclaimed" && (
        <>
          <h2>{TEXTS.recordsHeading}</h2>
          <Records gateway={gateway} />
        </>
      )}
      {mayDo(gateway.role, "manage") && (
        <>
          <h2>{TEXTS.settingsHeading}</h2>
          <Settings gateway={gateway} reload={reload} />
          {/* Last: it loads by itself, and nothing below it may move. */}
          <Cost gateway={gateway.id} name={gateway.name} />
        </>
      )}
    </View>
  );
}
