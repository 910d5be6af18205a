/** Version numbers that both ends of the link compare. */

/** Link protocol that this build speaks. History: PROTOCOL.md, "Versions". */
export const LINK_PROTOCOL = 2;

/** Oldest link protocol that this build still accepts. */
export const MIN_LINK_PROTOCOL = 1;

/** Oldest OpenClaw gateway that may be served: before it, forwarded headers did not protect against the loopback trap. */
export const MIN_OPENCLAW_VERSION = "2026.8.1";
