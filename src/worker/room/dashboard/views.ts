/** What a person sees of the room: the gateway, a request, and what an opening needs; each shows no more than the role may see. */
import { mayDo } from "../../../core/trust/roles.ts";
import type { Device } from "../../../protocol/api.ts";
import type { PairingRequest } from "../../../protocol/approval-api.ts";
import { MATCH_CODE_TRIES } from "../../../protocol/limits.ts";
import type { Admission } from "../context.ts";
import { blockedDevices } from "../devices/blocks.ts";
import { ownerOpened } from "../pairing/decisions.ts";
import { driftView } from "../devices/drift.ts";
import { cardOf, decisionOf, requestLastSeenMs } from "../pairing/requests.ts";
import { ceilingOf } from "../members/members.ts";
import { earlyAlarm } from "../members/proposals.ts";
import type { RoomOpening, RoomResult, RoomSnapshot } from "../rpc.ts";
import type { Who } from "../roles.ts";
import type { DeviceRow, RequestRow } from "../storage/rows.ts";

/** @returns every device, also those that were cut */
export function devicesOf({ storage, relay, options }: Admission): Device[] {
  const connected = relay.connectedDevices();
  const nowMs = options.now();
  return storage.all<DeviceRow>("devices").map((row) => ({
    id: row.id,
    name: row.name,
    platform: row.platform,
    browser: row.browser,
    access: row.access,
    state: stateOf(row, nowMs),
    kind: row.kind,
    createdAtMs: row.createdAtMs,
    lastSeenMs: row.lastSeenMs,
    notAfterMs: row.notAfterMs,
    connectedNow: connected.has(row.id),
  }));
}

/** @returns how a device stands for its owner */
function stateOf(row: DeviceRow, nowMs: number): Device["state"] {
  if (row.state === "cut") return "cut";
  if (row.notAfterMs <= nowMs) return "expired";
  return row.suspendedAtMs === undefined ? row.state : "suspended";
}

/** What the room found itself comes first: it is about what the machine does now. */
function alarmView(admission: Admission): RoomSnapshot["alarm"] {
  const alarm = earlyAlarm(admission) ?? admission.storage.alarm();
  return alarm === null ? null : { kind: alarm.kind, atMs: alarm.atMs };
}

/** @returns the gateway with its devices; what the role may not manage is left out */
export function snapshotFor(admission: Admission, { role, person }: Who): RoomSnapshot {
  const { gateway, name, connectorVersion, lastSeenMs } = admission.mustMeta();
  const { storage } = admission;
  const waitingCount = mayDo(role, "decide") ? storage.all("requests").length : 0;
  return {
    gateway,
    name,
    state: admission.state(),
    report: admission.report(),
    settings: mayDo(role, "manage") ? (admission.report()?.settings ?? null) : null,
    connectorVersion,
    lastSeenMs,
    linkSinceMs: admission.linkSinceMs(),
    lastBreak: admission.lastBreak(),
    head: admission.keyLog.head(),
    devices: devicesOf(admission),
    drift: mayDo(role, "manage") ? driftView(admission) : null,
    blocked: mayDo(role, "block") ? blockedDevices(admission) : [],
    waitingCount,
    alarm: alarmView(admission),
    copyWaiting: mayDo(role, "manage") && !admission.isQuarantined() && admission.isCopyWaiting(),
    personsWaiting: mayDo(role, "persons") ? storage.persons().filter((row) => row.state === "accepted").length : 0,
    role,
    isOwn: person === null,
  };
}

/** Shows one request, and tells the waiting device that somebody looks. @returns why not, when it is over */
export function requestFor(admission: Admission, request: string, { person }: Who): RoomResult<PairingRequest> {
  const row = admission.storage.get<RequestRow>("requests", request);
  if (row === null) {
    const decided = decisionOf(admission.storage, request);
    return { ok: false, failure: decided === null ? "request-over" : (`already-${decided}` as const) };
  }
  ownerOpened(admission, row);
  const card = cardOf(admission, { ...row, lastSeenMs: requestLastSeenMs(admission, row) });
  return {
    ok: true,
    value: {
      ...card,
      key: row.key,
      roomNonce: row.nonce,
      head: admission.keyLog.head()?.hash ?? null,
      ceiling: ceilingOf(person),
      triesLeft: MATCH_CODE_TRIES - row.tries,
    },
  };
}

/** @returns what the page needs to sign a grant for its own device */
export function openingFor(admission: Admission, { person }: Who): RoomOpening {
  const head = admission.keyLog.head()?.hash ?? null;
  return { name: admission.mustMeta().name, state: admission.state(), head, ceiling: ceilingOf(person) };
}
