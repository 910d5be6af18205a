/** Close codes of our own (RFC 6455 §7.4.2, private range) and the rules for codes that may not be sent. */

/** Session over: the device must renew at the door. */
export const CLOSE_SESSION_OVER = 4401;
/** The owner cut this device. */
export const CLOSE_CUT = 4403;
/** A path that devices may not reach; ends in the room, the visitor sees 404. */
export const CLOSE_NOT_FOUND = 4404;
/** A newer connector took over. */
export const CLOSE_SUPERSEDED = 4409;
/** The connector did not answer a cut in time; its streams end with the link. */
export const CLOSE_UNANSWERED = 4408;
/** The receiver is too slow, or its peer sent more than it was granted, or than a room holds. */
export const CLOSE_TOO_SLOW = 4413;
/** The gateway's budget of the day is used up: only the owner's devices have streams until 00:00 UTC. */
export const CLOSE_BUDGET = 4429;
/** The connector is gone, or the gateway behind it. */
export const CLOSE_GATEWAY_GONE = 4502;
/** The room failed in the middle of an event of this socket. */
export const CLOSE_INTERNAL = 1011;
/** Peer broke the protocol. */
export const CLOSE_PROTOCOL = 1002;
/** Too many messages. */
export const CLOSE_POLICY = 1008;
/** Connector is not, or no longer, this gateway's connector: do not retry. */
export const CLOSE_LINK_REFUSED = 4410;
/** Stale generation after an acknowledged newer one: possibly a copy of the key. */
export const CLOSE_LINK_STALE = 4411;
/** No common protocol version: update the connector. */
export const CLOSE_LINK_VERSION = 4412;
/** Two copies of this connector fight: nobody is linked until the owner has said which one stays. */
export const CLOSE_LINK_QUARANTINED = 4414;

/** The three legs of a stream, as reasons name them (PROTOCOL.md ST9). */
export const LEGS = ["device-room", "room-connector", "connector-gateway"] as const;
export type Leg = (typeof LEGS)[number];

/** What a stream's reason says after the leg when its device sent more than a room holds for it (PROTOCOL.md CR6): nothing broke there. */
export const TOO_MUCH_AT_ONCE = "too much at once";

/** The same for an announced request body that did not come: the visitor gets 408 (PROTOCOL.md IS3). */
export const BODY_MISSING = "the body did not come";
/** The same for an answer of the gateway whose header does not fit OPENED (PROTOCOL.md IS9). */
export const HEAD_TOO_LARGE = "the answer's header is too large";

/** Longest close reason in UTF-8 bytes (RFC 6455 §5.5: 125 minus the code). */
export const MAX_CLOSE_REASON_BYTES = 123;

/** Codes that an endpoint reports but never sends (RFC 6455 §7.4.1); the platform throws on them. */
export const UNSENDABLE_CLOSE_CODES: readonly number[] = [1004, 1005, 1006, 1015];
