/** Every ceiling of the relay and the pairing logic: unit in the name, the threat in the comment. */

const KIB = 1024;
const MIB = 1024 * KIB;

// --- frames on the link -------------------------------------------------------------------------------------------

/** Whole binary frame on the link, header included. A larger one closes the link with 1002: no peer of ours sends it. */
export const MAX_FRAME_BYTES = 64 * KIB;
/** Bytes before the payload. */
export const FRAME_HEADER_BYTES = 8;
export const MAX_FRAME_PAYLOAD_BYTES = MAX_FRAME_BYTES - FRAME_HEADER_BYTES;
/** Whole message on the link that carries several frames: two of the largest and a few small ones. A larger one closes the link with 1002. */
export const MAX_BATCH_BYTES = 2 * MAX_FRAME_BYTES + 1 * KIB;
/** Before each frame in such a message: its length. */
export const BATCH_LENGTH_BYTES = 4;
/** JSON control message on the link, in UTF-16 units: bounds what a hostile end makes the other parse. */
export const MAX_CONTROL_CHARS = 64 * KIB;

// --- streams --------------------------------------------------------------------------------------------------------

/** OpenClaw's own message ceiling after authentication (openclaw.md 3.1); one more byte closes 1009. */
export const MAX_MESSAGE_BYTES = 25 * MIB;
/** OpenClaw's ceiling for the first frame of a socket (openclaw.md 3.1). */
export const MAX_FIRST_MESSAGE_BYTES = 64 * KIB;
/** Credit a stream starts with in each direction: bytes that may be under way before the receiver grants more. */
export const INITIAL_CREDIT_BYTES = 256 * KIB;
/** A receiver grants credit when at least this much has been consumed, so that grants stay rare. */
export const CREDIT_STEP_BYTES = 64 * KIB;
/** This much goes along with a frame that leaves anyway. */
export const CREDIT_ALONG_BYTES = 16 * KIB;
/** Where frames of the other direction leave often enough to take it along, a grant of its own waits for this much: half the window. */
export const CREDIT_LATE_BYTES = 128 * KIB;
/** What a room may send upstream after it woke without memory of the stream's credit (PROTOCOL.md CR5). */
export const WAKE_CREDIT_BYTES = 64 * KIB;
/** Live streams on one link: 200 devices with two sockets and a page load each. Bounds room memory. */
export const MAX_STREAMS_PER_GATEWAY = 1024;
/** Live streams of one device: bounds what one allowed device can take from the others. */
export const MAX_STREAMS_PER_DEVICE = 128;
/** Of these, HTTP exchanges: a browser has a few dozen requests in flight, and a sixteenth of the room's streams leaves the others theirs. */
export const MAX_EXCHANGES_PER_DEVICE = 64;
/** An exchange without a byte in either direction for this long makes room for a new one of its device that is at the ceiling (PROTOCOL.md IS7). */
export const SILENT_EXCHANGE_MS = 30_000;
/** Unsent bytes at one browser's socket before the room withholds credit. */
export const BROWSER_BUFFER_HIGH_BYTES = 1 * MIB;
/** Unsent bytes at one browser's socket, or held for one stream in the room, before that stream is reset (4413). What is there of one message over LARGE_MESSAGE_BYTES is not counted. */
export const MAX_QUEUED_PER_STREAM_BYTES = 8 * MIB;
/** A message beyond this is a large one: a stream may have one of them in the room besides its other bytes. */
export const LARGE_MESSAGE_BYTES = 1 * MIB;
/** Bytes that a room holds for all streams together: an object has 128 MB and may share it. */
export const MAX_QUEUED_PER_ROOM_BYTES = 32 * MIB;
/** A sender without credit asks again this often (PROTOCOL.md CR4). */
export const PROBE_INTERVAL_MS = 1_000;
/** Probes without credit after which a receiver is said to take nothing (PROTOCOL.md CR6). */
export const PROBES_STILL = 2;
/** In PROBE in the place of the credit left: the sender woke and lost its count (PROTOCOL.md CR5). */
export const PROBE_COUNT_LOST = 0xffff_ffff;
/** No credit for this long after the first probe: the stream is reset with 4413. */
export const STALLED_STREAM_MS = 10_000;
/** A browser's socket that holds unsent bytes is looked at this often (PROTOCOL.md CR8). */
export const BROWSER_LOOK_MS = 5_000;
/** A browser that took nothing of what waits for this long is gone: with a look every five seconds it is found within fifteen. */
export const BROWSER_STILL_MS = 10_000;
/** Longer for each CREDIT_STEP_BYTES of the largest message there: the platform counts a message as unsent until all of it has left. */
export const BROWSER_STILL_MS_PER_STEP = 1_000;
/** What a connector hands to its socket beyond what the system has taken: above it data waits where a stream that ends takes its own along (PROTOCOL.md CR10). */
export const LINK_UNSENT_HIGH_BYTES = 128 * KIB;
/** How long a control message may wait behind data on the way up; the window is what crosses in this time. */
export const LINK_QUEUE_MS = 500;
/** The window before the line has shown what it carries: three seconds at 10 KiB/s, so that a cut in the first burst is still answered in time. */
export const LINK_WINDOW_FIRST_BYTES = 32 * KIB;
/** 0.4 s at 10 KiB/s. */
export const LINK_WINDOW_MIN_BYTES = 4 * KIB;
/** More than a kernel's buffer holds: 80 MiB/s at 100 ms. */
export const LINK_WINDOW_MAX_BYTES = 8 * MIB;
/** A heartbeat goes along at least this often, so that a line that got slower is noticed before it holds much. */
export const LINK_MARK_BYTES = 256 * KIB;
/** DATA is not cut finer than this, however narrow the window. */
export const LINK_PIECE_MIN_BYTES = 1 * KIB;
/** Credit that is lent on a slow line down, all streams together, at the least: 0.4 s at 10 KiB/s (PROTOCOL.md CR12). */
export const LENT_WINDOW_MIN_BYTES = 4 * KIB;
/** Credit is not cut finer than this, however narrow the window: each grant is a message that the room pays for. */
export const LENT_PIECE_MIN_BYTES = 2 * KIB;
/** A stream keeps at most so much and one piece, which is its window. */
export const LENT_LOW_MAX_BYTES = INITIAL_CREDIT_BYTES - CREDIT_STEP_BYTES;
/** A heartbeat that is late with less than this behind it says nothing about the line. */
export const LENT_LATE_BYTES = 4 * KIB;
/** Where data comes slowly enough for a full line, a heartbeat goes this often. */
export const MARK_EVERY_MS = 1_000;
/** A sender that waits because the line is slow hears so this often, well within STALLED_STREAM_MS. */
export const LENT_REMIND_MS = 4_000;
/** The same for a gateway, which is on the connector's machine: 25 MiB may stand for 35 s. */
export const GATEWAY_STILL_MS_PER_STEP = 62;
/** Handshakes in flight to the gateway at once: OpenClaw answers 503 at 32 unauthenticated sockets per client address. */
export const MAX_LOCAL_HANDSHAKES = 24;
/** Of these, one device's: it takes no more than a sixth from the others. */
export const MAX_DEVICE_HANDSHAKES = 4;
/** OpenClaw sends its challenge at once. A socket without one after this long is a plugin's, and holds no place. */
export const CHALLENGE_SHOWS_MS = 500;
/** Body of an upgrade's refusal: a gateway that stops in the middle of it holds the stream no longer. */
export const QUOTE_TIMEOUT_MS = 10_000;
/** Answer to a stream's OPEN: longer than OpenClaw's own 15 s handshake makes no sense. */
export const OPEN_TIMEOUT_MS = 15_000;
/** How long the connector waits for the gateway's first frame before it answers an upgrade anyway (plugin sockets send none). */
export const CHALLENGE_WAIT_MS = 5_000;

/** Messages of all browsers together that a room passes on as they come: one alone may use it all. Beyond it everyone has the share below. */
export const ROOM_MESSAGES = { perSecond: 8_000, burst: 1_000 } as const;
/** Share of one browser's socket, whatever others send; more are held back for a while, and a sender that goes on regardless is closed with 1008. Bytes are bounded by credit. */
export const BROWSER_MESSAGES = { perSecond: 1_000, burst: 4_000 } as const;
/** Messages that are held back for that reason before it is over. */
export const MAX_HELD_MESSAGES = 1_000;

// --- HTTP ------------------------------------------------------------------------------------------------------------

/** Request line plus header fields of a visitor; the platform allows 128 KB, a gateway needs far less. */
export const MAX_HEADER_BYTES = 32 * KIB;
export const MAX_HEADER_COUNT = 100;
export const MAX_PATH_CHARS = 8 * KIB;
/** Header fields of a gateway's answer. Their bytes are bounded by one frame (MAX_FRAME_PAYLOAD_BYTES), as JSON. */
export const MAX_ANSWER_HEADER_COUNT = 200;
/** An announced request body of which nothing came for this long, although the room has credit, ends its exchange: each holds a connection to the gateway. */
export const BODY_SILENCE_MS = 30_000;
/** Idle connections to the gateway that are kept for one device's next requests. */
export const MAX_FREE_SOCKETS_PER_DEVICE = 8;
/** JSON body of our own endpoints: the largest is a registration response. */
export const MAX_JSON_BODY_BYTES = 16 * KIB;
/** A body with a whole list of signed grants. */
export const MAX_LIST_BODY_BYTES = 128 * KIB;

// --- edge cache --------------------------------------------------------------------------------------------------------

/** Body of one kept file: the Control UI's largest chunk is 3.5 MiB unpacked, 0.8 MiB as it crosses. */
export const MAX_EDGE_ASSET_BYTES = 4 * MIB;
/** Bytes that one isolate of the Worker holds while it fills the cache; beyond it answers pass without being kept. */
export const MAX_EDGE_FILLING_BYTES = 16 * MIB;
/** A kept file is asked for again after a day, although the gateway's headers allow a year: bounds what a machine that was taken over leaves behind. */
export const EDGE_KEEP_SECONDS = 86_400;
/** Kept files that one isolate has in its memory as well: four or five builds of the Control UI. */
export const MAX_EDGE_MEMORY_BYTES = 8 * MIB;
/** How long an answer of the room admits a session to kept files: within this time after a cut the edge has forgotten the device, too. */
export const EDGE_LEASE_MS = 30_000;
/** A gateway's own name of its build. */
export const MAX_BUILD_CHARS = 200;

// --- link life -------------------------------------------------------------------------------------------------------

/** How long a connector waits for the opening of its socket. */
export const LINK_HANDSHAKE_MS = 10_000;
/** A socket at `/link` must say `hello`, with its proof, within this time: one that does not keeps others from their place. */
export const LINK_HELLO_MS = 2_000;
export const HEARTBEAT_IDLE_MS = 30_000;
/** Heartbeat while a stream or a waiting device exists: with HEARTBEAT_MISSES a dead link is found within 8 s. */
export const HEARTBEAT_BUSY_MS = 2_500;
/** An unanswered beat is followed by the next one after this long, also on an idle link. */
export const HEARTBEAT_AGAIN_MS = 1_250;
/** Three beats: what stands still on a busy link that was not heard for so long stands still between room and connector. */
export const LINK_QUIET_MS = 7_500;
/** A busy link without any sign of life for this long is dead for the room: its connector has given it up long before, and an alarm that comes a second late still ends it within 15 s. */
export const LINK_SILENCE_MS = 14_000;
/** Sockets at `/link` that have not proven anything yet: one more ends the oldest of the address that has most. */
export const MAX_UNPROVEN_LINKS = 16;
/** Unproven sockets from one address (an IPv6 /64 counts as one), at `/link` and at the door each. */
export const MAX_UNPROVEN_PER_ADDRESS = 4;
/** How long the key before a rotation still proves a link, unless the new one was acknowledged before (security.md 10). */
export const KEY_OVERLAP_MS = 24 * 3_600_000;
/** `rotate` entries that a connector shows in `hello`, the newest: more never lie between it and a room, and each costs a check before the proof. */
export const MAX_ROTATIONS_SHOWN = 16;
export const MAX_ROTATION_LINE_CHARS = 1_000;
/** Links with a stale generation, each with a proven key, within this time before the gateway is closed: two copies of one connector fight. */
export const COPY_WINDOW_MS = 10 * 60_000;
export const MAX_COPY_ALTERNATIONS = 3;
/** Unanswered heartbeats before the link is called dead. */
export const HEARTBEAT_MISSES = 4;
/** Window of the first dial after a loss: two thousand gateways that lose their rooms together are spread over it. */
export const RECONNECT_MIN_MS = 1_000;
export const RECONNECT_MAX_MS = 30_000;
/** A link that was up this long and was lost without the room's word is dialed again within RECONNECT_MIN_MS, whatever was lost before. */
export const RECONNECT_QUICK_AFTER_MS = 5_000;
/** A link that stayed up this long resets the back-off. */
export const RECONNECT_RESET_AFTER_MS = 60_000;

// --- pairing requests -------------------------------------------------------------------------------------------------

export const MATCH_CODE_DIGITS = 4;
/** Wrong match codes before a request ends: 3 of 10,000. */
export const MATCH_CODE_TRIES = 3;
/** Live requests per gateway: spam cannot flood the owner. */
export const MAX_REQUESTS_PER_GATEWAY = 3;
/** A request ends this long after the last sign of life of its page. */
export const REQUEST_SILENCE_MS = 5 * 60_000;
/** A door page's heartbeat; three of them may be lost before the page counts as silent for the owner's card. */
export const DOOR_PING_MS = 20_000;
/** Of these from one address (an IPv6 /64 counts as one): one visitor cannot keep the others from asking. */
export const MAX_REQUESTS_PER_ADDRESS = 2;
/** New requests within this time, per gateway and from one address: more are told `busy`, so that asking and withdrawing fills no history. */
export const NEW_REQUESTS_MS = 3_600_000;
export const MAX_NEW_REQUESTS_PER_GATEWAY = 120;
export const MAX_NEW_REQUESTS_PER_ADDRESS = 30;
/** Open sockets at the door that have not proven a key yet, per gateway: bounds memory before anybody is allowed. */
export const MAX_UNPROVEN_WAITS = 16;
/** A socket at the door must prove its key within this time, or its place is given away. */
export const WAIT_PROOF_MS = 5_000;
/** Messages on such a socket before the proof: one that failed, one more. */
export const MAX_UNPROVEN_MESSAGES = 2;
/** Messages on a socket of the door in all; heartbeats are answered by the runtime and do not count. */
export const MAX_DOOR_MESSAGES = 4;
/** The room answers a question of the machine's command line within this time, or it counts as not answered. */
export const LINK_ANSWER_MS = 10_000;
/** How long a blocked device may not ask, unless it is blocked for good. */
export const BLOCK_MS = 24 * 3_600_000;
/** Blocked devices that a gateway keeps. */
export const MAX_BLOCKED_DEVICES = 200;
/** A socket of a session that was ended says `connect` within this time, or it is closed. */
export const ENDED_SOCKET_MS = 5_000;
/** Such sockets of one gateway at once; of one device there is one. */
export const MAX_ENDED_SOCKETS = 16;
/** What such a page says first; OpenClaw's own limit before it knows a device. */
export const MAX_ENDED_CHARS = 65_536;
/** Pages of one device that wait at once. */
export const MAX_WAIT_SOCKETS_PER_DEVICE = 4;
export const MAX_CLAIM_CHARS = 80;

// --- grants, sessions, codes ---------------------------------------------------------------------------------------------

export const SESSION_MS = 12 * 3_600_000;
/** Clocks that differ by more are named on both ends: grants and sessions carry times, and from ten minutes on they are refused. */
export const CLOCK_WARN_MS = 2 * 60_000;
/** A signed grant must reach the connector within this time when the gateway is online. */
export const APPLY_BY_MS = 10 * 60_000;
/** The same when the gateway was offline at the decision. */
export const APPLY_BY_OFFLINE_MS = 24 * 3_600_000;
/** An act on the gateway's machine is carried out within this time of its signature, or never. */
export const LOCAL_ACT_MS = 10 * 60_000;
/** Used signatures of such acts that a connector remembers at once, each until its time is over. */
export const MAX_SPENT_ACTS = 64;
/** The owner's page waits this long for the machine's answer to an act. */
export const LOCAL_ACT_ANSWER_MS = 45_000;
/** A settings diff as it travels: bounded so that it fits a report, and a report fits the link's socket while the room sleeps. */
export const MAX_SETTING_LINES = 16;
export const MAX_SETTING_CHARS = 200;
/** Origins of gateways that are gone which one diff drops at most; the others go with a later one. */
export const MAX_DROPPED_ORIGINS = 8;
/** Nonces for sessions, asks and sign-ins. */
export const NONCE_MS = 5 * 60_000;
/** Activation code of the same-device way: first session within this time. */
export const ACTIVATION_MS = 2 * 60_000;
/** After a device's proof at the door its first new OpenClaw key is paired within this time: a page loads, a gateway restarts. */
export const HANDOVER_MS = 2 * 60_000;
/** How long the gateway's answer to an unpaired page waits for the approval of its key, a matter of some 50 ms. */
export const APPROVAL_HOLD_MS = 2_000;
/** Previous device token stays good for a lost reply, until the current one is used, at most this long. */
export const TOKEN_OVERLAP_MS = 10 * 60_000;
export const ENROLMENT_CODE_MS = 10 * 60_000;
/** From the words on the page to the passkey's signature under the genesis. */
export const GENESIS_APPLY_MS = 10 * 60_000;
/** A machine that waits to be claimed makes a new link after this time. */
export const CLAIM_LINK_MS = 60 * 60_000;
/** Wrong secrets for one enrolment code before it is dead, whoever tried. */
export const ENROLMENT_CODE_TRIES = 5;
/** Enrolment codes of one account within an hour that no machine has used: bounds what a stolen session leaves behind. */
export const MAX_UNUSED_ENROLMENTS_PER_HOUR = 10;
/** Proofs of one device, and of one gateway's visitors together, that may fail; a right proof is never refused for wrong ones. */
export const FAILED_PROOFS_PER_DEVICE = { perSecond: 5 / 60, burst: 5 } as const;
export const FAILED_PROOFS_PER_GATEWAY = { perSecond: 20 / 60, burst: 20 } as const;
/** API tokens of one account, and how long one may live: long enough for a year's job, not for ever. */
export const MAX_API_TOKENS_PER_ACCOUNT = 20;
export const MAX_API_TOKEN_DAYS = 366;
/** A token's last use is noted at most this often: a script that asks every second writes no row every second. */
export const API_TOKEN_USED_EVERY_MS = 10 * 60_000;
export const ACCOUNT_SESSION_MS = 30 * 24 * 3_600_000;
export const HANDOFF_CODE_MS = 60_000;
export const INVITATION_MS = 7 * 24 * 3_600_000;
export const RECOVERY_CODE_COUNT = 10;
/** Signed bytes of any statement: verified first, parsed after. */
/** Statements that one passkey gesture signs together. */
export const MAX_SIGNED_TOGETHER = 50;
export const MAX_STATEMENT_BYTES = 4 * KIB;
export const MAX_NAME_CHARS = 64;
export const MAX_GATEWAYS_PER_ACCOUNT = 50;
/** Passkeys of one account: each is a row, and an owner key in the next gateway's log (MAX_OWNER_KEYS). */
export const MAX_PASSKEYS_PER_ACCOUNT = 10;
/** Invitations of one account that nobody has used yet. */
export const MAX_OPEN_INVITATIONS = 20;
/** Invitations to one gateway that nobody has accepted yet. */
export const MAX_OPEN_GATEWAY_INVITATIONS = 10;
/** Persons of one gateway, open invitations included: each is a row of the room, and told of every change. */
export const MAX_PERSONS_PER_GATEWAY = 30;
/** Owner passkeys that a gateway's key log holds at once. */
export const MAX_OWNER_KEYS = 10;
/** One line of a key log: ten passkeys in genesis, or one statement with its assertion; fits one control message. */
/** A widening of the gateway's machine: how long time alone takes after the owners were told, when it is over, and how many wait at once (PROTOCOL.md LP). */
export const PROPOSAL_WAIT_MS = 24 * 3_600_000;
export const PROPOSAL_LIFE_MS = 7 * 24 * 3_600_000;
export const MAX_PROPOSALS = 8;
export const MAX_KEY_LOG_LINE_CHARS = 40 * KIB;

// --- cuts and differences ------------------------------------------------------------------------------------------------

/** A connector answers a cut within this time, or its link is closed: it may still hold the device's sockets. */
export const CUT_ANSWER_MS = 5_000;
/** The connector waits this long for the gateway to remove an entry before it answers that the removal is under way. */
export const CUT_REMOVAL_MS = 2_000;
/** A cut that the gateway's machine could not write down is sent again after this time. */
export const CUT_AGAIN_MS = 60_000;
/** Entries that a receipt names; more are only counted. */
export const MAX_RECEIPT_ENTRIES = 16;
/** Receipts that a connector keeps, acknowledged ones first to go. */
export const MAX_KEPT_RECEIPTS = 200;
/** What a device that was cut may still send on sockets that do not answer their close, before the room is restarted to be rid of them. */
export const MAX_FRAMES_AFTER_CUT = 50;
export const MAX_BYTES_AFTER_CUT = 1 * MIB;
/** A browser answers a close within this time; one that does not is ended with the room's next restart for it. */
export const CLOSE_ANSWER_MS = 15_000;
/** Restarts of a room for such sockets, at most one in this time: they end every stream. */
export const ABORT_PAUSE_MS = 10 * 60_000;
/** Differences between gateway and grants in one report, and such as the owner said are fine. */
export const MAX_DIFFERENCES = 50;
export const MAX_KEPT_DIFFERENCES = 200;
/** Pairing events of the gateway come in groups: the lists are compared this long after the last one. */
export const DRIFT_SETTLE_MS = 300;
/** What a connector says without being asked: more than this ends its link. A whole key log and 200 receipts fit. */
export const CONNECTOR_MESSAGES = { perSecond: 1, burst: 500 } as const;
/** Rows of the audit that the gateway's machine causes, of all kinds together. */
export const MACHINE_ROWS = { perSecond: 1 / 60, burst: 50 } as const;
/** Above this a room only counts what its machine causes; what people do is written down all the same. */
export const MAX_ROOM_BYTES = 32 * MIB;
/** A shorter absence of the machine is no row. */
export const AWAY_ROW_MS = 60_000;
/** The database keeps a gateway's activity and its ended requests so long; the room keeps its chain. */
export const ACTIVITY_DAYS = 90;
/** Rows that are deleted in one go, and how often at most in one run. */
export const RETENTION_SLICE = 1_000;
export const RETENTION_SLICES = 50;
/** Rows about broken streams in a gateway's audit: a link that comes and goes must not fill it. */
export const BREAK_ROWS = { perSecond: 1 / 60, burst: 20 } as const;

// --- seeing it ----------------------------------------------------------------------------------------------------------------

/** `/readyz` looks at most this often in one isolate, whoever asks. */
export const READY_KEPT_MS = 5_000;
/** A part that takes longer counts as away. */
export const READY_PATIENCE_MS = 5_000;

/** Round trips of one measuring, per hop. */
export const HOP_ROUNDS = 5;
/** Round trips of each hop that a connector remembers. */
export const HOP_SAMPLES = 64;
/** One round trip of a measuring that takes longer counts as none. */
export const HOP_ROUND_MS = 2_000;
/** How long the owner's page waits for the connector's part, from the start of the measuring. */
export const HOP_PATIENCE_MS = 4_000;
/** Measurings of one gateway: each wakes its room and has its machine ask OpenClaw. */
export const MEASURINGS = { perSecond: 1 / 5, burst: 3 } as const;

// --- audit chain -----------------------------------------------------------------------------------------------------------

/** Entries that may be without an anchor at the connector before the room sends the head, and how long activity may be. */
export const AUDIT_ANCHOR_EVENTS = 64;
export const AUDIT_ANCHOR_MS = 60_000;
/** Digests in one `audit-head`: 46 characters each, so that they fit one control message. A longer way is gone in steps. */
export const MAX_AUDIT_DIGESTS = 1_000;

// --- cost ------------------------------------------------------------------------------------------------------------------

/** A gateway's budget of one UTC day, unless its owner sets another: seven times what a room costs that never sleeps (platform prices). */
export const DEFAULT_BUDGET = { microUsd: 1_000_000, bytes: 100_000_000_000 } as const;
/** What an owner may set at most. */
export const MAX_BUDGET_MICRO_USD = 1_000_000_000;
export const MAX_BUDGET_BYTES = 100_000_000_000_000;
/** Part of the budget from which on the owner is warned. */
export const BUDGET_WARNS_AT = 0.8;
/** Counts are stored at most this often, and only by an alarm that runs anyway: a crash loses that much of them at most. */
export const USAGE_STORED_EVERY_MS = 5 * 60_000;
/** Counts reach the link's socket, which keeps them while the room sleeps, after so many messages or bytes at the latest; near a wake after fewer. */
export const USAGE_KEPT_EVERY_MESSAGES = 256;
export const USAGE_KEPT_EVERY_BYTES = 4 * MIB;
