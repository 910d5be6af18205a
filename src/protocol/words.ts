/** Closed sets of words that several programs share. Imports nothing: the door uses it. */

/** What an allowed device may do; design.md "Choices made". */
export const ACCESS_LEVELS = ["full", "chat", "look"] as const;
export type Access = (typeof ACCESS_LEVELS)[number];

/** OpenClaw operator scopes behind each access level (openclaw.md 3.7). The connector sets them on every upgrade. */
export const ACCESS_SCOPES: Readonly<Record<Access, readonly string[]>> = {
  full: ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.questions", "operator.pairing"],
  chat: ["operator.read", "operator.write", "operator.approvals", "operator.questions"],
  look: ["operator.read"],
};

/**
 * What the owner and the room see of the OpenClaw gateway behind a connector. `needs-settings`: OpenClaw's settings wait for a yes. `unsafe`: the
 * self-test failed. In both nothing is served.
 */
export const GATEWAY_STATES = ["unclaimed", "no-link", "offline", "starting", "restarting", "needs-settings", "unsafe", "online"] as const;
export type GatewayState = (typeof GATEWAY_STATES)[number];

/** Acts on the gateway's machine that an owner signs elsewhere. */
export const LOCAL_ACTS = ["apply-settings", "rotate-secret"] as const;
export type LocalAct = (typeof LOCAL_ACTS)[number];

/**
 * What came of such an act. `over`: what it is about no longer waits. `spent`: this signature was used already. `gateway-away`: OpenClaw did not
 * answer. `not-taken`: OpenClaw refused. `from-environment`, `secret-reference`: the secret has to be changed there. `source-unknown`: where it stands cannot be seen. `internal`: the machine failed, its disk for one. `unanswered`: the machine said nothing.
 */
export const LOCAL_ACT_OUTCOMES = [
  "done", "bad-statement", "bad-signature", "not-owner", "stale-head", "too-late", "spent", "alarm", "over", "gateway-away", "not-taken", "from-environment", "secret-reference", "source-unknown", "internal", "unanswered",
] as const; // prettier-ignore
export type LocalActOutcome = (typeof LOCAL_ACT_OUTCOMES)[number];

/** Choices for the life of a grant, in milliseconds. */
export const EXPIRY_CHOICES_MS = { hour: 3_600_000, day: 86_400_000, quarter: 90 * 86_400_000 } as const;

/** Prefix of everything that Gatehouse serves at a gateway's own origin. */
export const DOOR_PREFIX = "/.gatehouse/";

/**
 * Heartbeat of a link and of a waiting door page, and its answer, which the runtime gives without waking the room. The runtime does so on
 * every socket of the room, streams included, so the text is one that no gateway's client sends: a relayed `ping` must reach the gateway.
 */
export const ROOM_PING = "gatehouse-ping";
export const ROOM_PONG = "gatehouse-pong";

/** Cookies at a gateway's origin: the session, and the rotating device token. Never forwarded to the gateway. */
export const SESSION_COOKIE = "__Host-gth_s";
/** One-time value of the door, only where the stock page's key cannot be named. */
export const HANDOVER_COOKIE = "__Host-gth_o";
export const DEVICE_TOKEN_COOKIE = "__Host-gth_d";
/** Cookie of an account session, on the app origin and on the approval origin. */
export const ACCOUNT_COOKIE = "__Host-gth_a";

/** What is wrong with a gateway's machine while it goes on serving (PROTOCOL.md MA6, MA16). */
export const MACHINE_FAULTS = ["disk-full", "disk-refused", "shared-user"] as const;
export type MachineFault = (typeof MACHINE_FAULTS)[number];
