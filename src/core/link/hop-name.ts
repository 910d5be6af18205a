/** Where something broke, in words, the same on every page. */
import type { Leg } from "../../protocol/close-codes.ts";

/** Completes "… broke": PROTOCOL.md ST9. */
export const LEG_TEXT: Readonly<Record<Leg, string>> = {
  "device-room": "between the device and Gatehouse",
  "room-connector": "between Gatehouse and the gateway's machine",
  "connector-gateway": "between the gateway's machine and OpenClaw",
};
