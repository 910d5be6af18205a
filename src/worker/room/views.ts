/** What a person sees of the room: the gateway, a request, and what an opening needs; each shows no more than the role may see. */
import { mayDo } from "../../core/person-roles.ts";
import type { PairingRequest } from "../../protocol/approval-api.ts";
import { MATCH_CODE_TRIES } from "../../protocol/limits.ts";
import type { Admission } from "./admission.ts";
import { ownerOpened } from "./decisions.ts";
import { driftView } from "./drift.ts";
import { cardOf, decisionOf, requestLastSeenMs } from "./pairing-requests.ts";
import { ceilingOf } from "./persons.ts";
import type { RoomOpening, RoomResult, RoomSnapshot } from "./room-rpc.ts";
import type { Who } from "./standing.ts";
import type { RequestRow } from "./room-rows.ts";

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
    connectorVersion,
    lastSeenMs,
    linkSinceMs: admission.linkSinceMs(),
    lastBreak: admission.lastBreak(),
    head: admission.keyLog.head(),
    devices: admission.devices(),
    drift: mayDo(role, "manage") ? driftView(admission) : null,
    waitingCount,
    alarm: storage.alarm(),
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
