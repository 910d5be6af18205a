/** The four hops between a visitor's device and OpenClaw, in the order in which a request goes (PROTOCOL.md OB). Imports nothing: pages use it. */
export const HOPS = ["device-edge", "edge-room", "room-connector", "connector-gateway"] as const;
export type Hop = (typeof HOPS)[number];
