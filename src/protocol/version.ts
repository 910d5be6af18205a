/** Version numbers that both ends of the link compare. */

/** Link protocol that this build speaks. History: PROTOCOL.md, "Versions". */
export const LINK_PROTOCOL = 2;

/** Oldest link protocol that this build still accepts. */
export const MIN_LINK_PROTOCOL = 1;

/** Oldest OpenClaw gateway that takes the way in. The start-up probe decides (PROTOCOL.md R13); the number words the sentence. */
export const MIN_OPENCLAW_VERSION = "2026.9.3";
