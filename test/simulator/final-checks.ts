/** What must be true when the faults are over and everybody had time: liveness, and that all ends tell the same story. */
import { HEARTBEAT_AGAIN_MS, HEARTBEAT_IDLE_MS, HEARTBEAT_MISSES } from "../../src/protocol/limits.ts";
import { isAuditFault, verifyAudit } from "../../src/core/trust/audit-chain.ts";
import type { ConnectorProcess } from "./connector-host.ts";
import type { Device } from "./devices.ts";
import type { Row } from "./room-sqlite.ts";
import { sim } from "./sim.ts";
import { GATEWAY, at } from "./world.ts";
import type { World } from "./world.ts";

/** A heartbeat in which the link dies, the misses, and a redial. */
const IDLE_LINK_BACK_MS = HEARTBEAT_IDLE_MS + HEARTBEAT_MISSES * HEARTBEAT_AGAIN_MS + 5_000;

/**
 * A half-open link that nobody needs is noticed by its idle heartbeat alone (PROTOCOL.md LINK5), which takes longer than everything else.
 * @returns ms after the last fault at which it must be back; null when it is back, or a minute was enough
 */
export function idleLinkBackMs(world: World): number | null {
  if (world.isLinkWhole || world.devices.some((device) => device.isWanted && !device.isStranger)) return null;
  return at() - world.halfOpenAtMs < IDLE_LINK_BACK_MS ? IDLE_LINK_BACK_MS : null;
}

/** Everybody whom the owner wants in is in, a minute after the last fault. @param back were in a moment ago already */
export function checkBack(world: World, back: ReadonlySet<Device>): void {
  const { connector } = world;
  // Each had a reason when it was raised: nobody new is let in until the person at the machine has looked.
  const isAlarmed = connector.alarms.length > 0;
  if (connector.stopped !== null) sim.fail("liveness", `the only connector stopped: ${connector.stopped}`);
  if (connector.failure !== null) sim.fail("liveness", `the connector does not start: ${connector.failure}`);
  if (!world.isLinkWhole) sim.fail("liveness", "no link although everybody had time");
  for (const device of world.devices) {
    if (device.isStranger || !device.isWanted) {
      if (device.main?.isOpen === true) sim.fail("I3", `${device.name} is connected although the owner does not want it`);
    } else if (!device.isConnected && !back.has(device) && !isAlarmed)
      sim.fail("liveness", `${device.name} is not back a minute after the last fault`);
  }
}

/**
 * Every connection that is still open has passed on everything; nothing is open at one end alone.
 *
 * @returns what is wrong at this moment, as rule and text
 */
export function notWhole(world: World): readonly (readonly [rule: string, text: string])[] {
  const found: (readonly [string, string])[] = [];
  for (const visit of world.visits) {
    const { number, up, down } = visit;
    const isOpenAtGateway = visit.gateway !== null && visit.gatewayEnd === null;
    if (visit.isOpen !== isOpenAtGateway)
      found.push(["ST6", `stream ${number} is ${visit.isOpen ? "open at the browser only" : "a ghost at the gateway"}`]);
    if (!visit.isOpen || !isOpenAtGateway) continue;
    if (!up.isWhole) found.push(["liveness", `stream ${number} holds back ${up.sent.length - up.received} messages upwards`]);
    if (!down.isWhole) found.push(["liveness", `stream ${number} holds back ${down.sent.length - down.received} messages downwards`]);
  }
  for (const visit of world.httpVisits)
    if (visit.status !== null && !visit.isOver)
      found.push(["liveness", `exchange ${visit.number} never ends (${JSON.stringify(visit.script)})`]);
  return found;
}

const rowsOf = (world: World, query: string): readonly Row[] => world.room.db.all(query);

/** @returns whether D1 or the connector still has something to hear */
export function isSomethingLeft(world: World): boolean {
  return rowsOf(world, "SELECT 1 FROM outbox UNION ALL SELECT 1 FROM owed").length > 0;
}

/** Room, connector and D1 agree; nothing is owed; the audit chain leads from its beginning to the head on the machine's disk. */
export function checkRecords(world: World): void {
  sim.scheduler.actor = world.connector.actor;
  const owed = rowsOf(world, "SELECT id FROM owed");
  if (owed.length > 0) sim.fail("LINK7", `still owed: ${owed.map((row) => String(row["id"])).join(", ")}`);
  const waiting = rowsOf(world, "SELECT count(*) AS n FROM outbox")[0]?.["n"];
  if (waiting !== 0) sim.fail("GR4", `${String(waiting)} facts never reached D1`);
  const lines = rowsOf(world, "SELECT line FROM audit ORDER BY seq").map((row) => String(row["line"]));
  const kept = world.connector.files?.read("auditHead") ?? null;
  const verified = verifyAudit(lines, { gateway: GATEWAY, head: kept === null ? undefined : { seq: kept.seq, hash: kept.hash } });
  if (verified !== null && isAuditFault(verified)) sim.fail("I8", `the audit chain breaks at ${verified.seq}: ${verified.problem}`);
  const inD1 = world.d1.rows("SELECT seq, hash FROM audit_events ORDER BY seq");
  // How the link came and went stays in the room (PROTOCOL.md AB3).
  const told = lines.filter((line) => !/"action":"gateway-(?:first-link|away)"/.test(line));
  if (inD1.length !== told.length) sim.fail("GR4", `D1 has ${inD1.length} of ${told.length} audit events`);
  checkSecrets(world, lines);
  checkDevices(world);
  checkKeyLog(world, world.connector);
}

/** security.md I6: nothing that opens a door stands in what people read. */
function checkSecrets(world: World, lines: readonly string[]): void {
  const text = lines.join("\n");
  // A hash may hold the letters by chance: a token begins where a word does.
  if (/(?<![0-9A-Za-z_-])gth[a-z]_[0-9A-Za-z]{20}/.test(text)) sim.fail("I6", "a token stands in the audit chain");
  if (/\b198\.51\.\d+\.7\b/.test(text)) sim.fail("I6", "a whole address stands in the audit chain");
  for (const session of world.oracle.sessions.keys()) if (text.includes(session)) sim.fail("I6", "a session stands in the audit chain");
}

function checkDevices(world: World): void {
  const states = new Map(rowsOf(world, "SELECT json FROM devices").map((row) => {
    const device = JSON.parse(String(row["json"])) as { id: string; state: string; grant: string };
    return [device.id, device] as const;
  })); // prettier-ignore
  const inD1 = new Map(world.d1.rows("SELECT id, state FROM devices").map((row) => [String(row["id"]), String(row["state"])]));
  for (const [id, { state }] of states)
    if (inD1.get(id) !== state) sim.fail("GR4", `a device is ${state} in the room and ${inD1.get(id) ?? "unknown"} in D1`);
  for (const device of world.devices) {
    if (device.isWanted && !device.isStranger) continue;
    const row = states.get(device.id);
    // Cut on a machine that raised the alarm: its word ends no grant that only the other machine knows (PROTOCOL.md CUT4).
    const isUnknownGrant = world.connector.alarms.length > 0 && row !== undefined && world.connector.admitted?.grant(row.grant) === null;
    if (row?.state === "allowed" && !isUnknownGrant) sim.fail("CUT1", `${device.name} is allowed although the owner does not want it`);
    // What another machine paired after the copy was made is in its list of differences (DR1).
    if (world.isPairingKnown(`openclaw-${device.id}`)) sim.fail("CUT2", `${device.name} is still paired at the gateway`);
  }
}

function checkKeyLog(world: World, connector: ConnectorProcess): void {
  if (connector.alarms.length > 0) return;
  const head = connector.admitted === null ? null : connector.files?.read("head");
  const copy = rowsOf(world, "SELECT seq, hash FROM key_log ORDER BY seq DESC LIMIT 1")[0];
  if (head !== null && head !== undefined && (copy?.["seq"] !== head.seq || copy["hash"] !== head.hash))
    sim.fail("KL6", `the room's copy of the key log ends at ${String(copy?.["seq"])}, the machine's at ${head.seq}`);
}
