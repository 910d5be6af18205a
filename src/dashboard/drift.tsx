/** What differs between the gateway's own pairing list and what is allowed here, with a button for each cure. */
import type { Device } from "../protocol/api.ts";
import type { Difference } from "../protocol/drift.ts";
import { call } from "./api.ts";
import { Act, Confirmed } from "./parts.tsx";
import { TEXTS } from "./texts.ts";
import { clock } from "./time-texts.ts";

export interface Drift {
  readonly atMs: number;
  readonly differences: readonly Difference[];
}

const SHOWN_CHARS = 12;

function DifferenceView({
  gateway,
  difference,
  device,
  reload,
}: {
  readonly gateway: string;
  readonly difference: Difference;
  readonly device: Device | null;
  readonly reload: () => void;
}) {
  const { kind, entry, client, platform, roles, scopes, approvedVia, approvedAtMs } = difference;
  const name = device?.name ?? (difference.name === "" ? entry.slice(0, SHOWN_CHARS) : difference.name);
  const mend = async (what: "remove" | "keep"): Promise<void> => {
    await call("POST", `/api/gateways/${gateway}/differences/${entry}`, { what });
    reload();
  };
  const isThere = kind !== "removed";
  return (
    <li aria-label={TEXTS.driftLabel(name)}>
      <h3>{name}</h3>
      <p class="warn">{TEXTS.drift[kind]}</p>
      {isThere && (
        <dl>
          <dt>{TEXTS.client}</dt>
          <dd>{[client, platform].filter((each) => each !== "").join(TEXTS.on) || TEXTS.notTold}</dd>
          <dt>{TEXTS.driftMay}</dt>
          <dd>{[...roles.filter((role) => role !== "operator"), ...scopes].join(", ") || TEXTS.notTold}</dd>
          <dt>{TEXTS.driftApproved}</dt>
          <dd>
            {approvedVia}
            {approvedAtMs === null ? "" : ` · ${clock(approvedAtMs)}`}
          </dd>
        </dl>
      )}
      <div class="row">
        {isThere && (
          <Confirmed
            label={TEXTS.driftRemove}
            title={TEXTS.driftRemoveTitle(name)}
            text={TEXTS.driftRemoveText}
            run={() => mend("remove")}
          />
        )}
        {kind === "removed" && device !== null && (
          <Confirmed
            label={TEXTS.cut}
            title={TEXTS.cutTitle(name)}
            text={TEXTS.cutText}
            run={async () => {
              await call("POST", `/api/gateways/${gateway}/devices/${device.id}/cut`);
              reload();
            }}
          />
        )}
        <Act label={TEXTS.driftKeep} run={() => mend("keep")} />
      </div>
    </li>
  );
}

export function DriftView({
  gateway,
  devices,
  drift,
  reload,
}: {
  readonly gateway: string;
  readonly devices: readonly Device[];
  readonly drift: Drift;
  readonly reload: () => void;
}) {
  if (drift.differences.length === 0) return <p class="small">{TEXTS.driftNone}</p>;
  return (
    <div class="card">
      <p>{TEXTS.driftText}</p>
      <ul class="plain">
        {drift.differences.map((difference) => (
          <DifferenceView
            key={`${difference.kind} ${difference.entry}`}
            gateway={gateway}
            difference={difference}
            device={devices.find((each) => each.id === difference.device) ?? null}
            reload={reload}
          />
        ))}
      </ul>
    </div>
  );
}
