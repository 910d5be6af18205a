/** What the dashboard says about states and events. */
import type { AuditEvent, Gateway } from "../protocol/api.ts";
import type { Access, GatewayState } from "../protocol/words.ts";

export const STATE: Readonly<Record<GatewayState, readonly [tone: string, word: string, text: string]>> = {
  unclaimed: ["warn", "Not connected yet", "Run the command on the gateway's machine to connect it."],
  "no-link": ["bad", "Machine offline", "The gateway's machine is off or without internet. Switch it on or check its network."],
  offline: ["bad", "OpenClaw not running", "The machine is on, but OpenClaw does not answer there. Start it with: openclaw gateway run"],
  starting: ["warn", "Starting", "Usually done in a few seconds."],
  restarting: ["warn", "Restarting", "Devices connect again by themselves."],
  unsafe: ["bad", "Closed for safety", "Nobody is let in until this is mended."],
  online: ["good", "Online", "Devices that you allowed can connect."],
};

export const REASON: Readonly<Record<string, string>> = {
  "not-running": "OpenClaw does not answer on its port.",
  "too-old": "This OpenClaw is older than 2026.8.1 and cannot tell strangers from local users. Update it.",
  "auth-failed": "The gateway's secret is wrong. Set OPENCLAW_GATEWAY_TOKEN on its machine and start Gatehouse there again.",
  "no-secret": "Gatehouse found no secret of OpenClaw on the machine. Set OPENCLAW_GATEWAY_TOKEN there.",
  "settings-missing": "OpenClaw lacks settings that it needs. Run `gatehouse run --yes` on its machine.",
  "settings-refused": "The needed settings were not applied. Run `gatehouse run --yes` on its machine.",
  "auth-mode": "OpenClaw's own sign-in must be a token or a password. Run `gatehouse doctor` on its machine for the cure.",
  "stranger-admitted": "The gateway would let a stranger in. Run `gatehouse doctor` on its machine for the cure.",
};

export const ACCESS: Readonly<Record<Access, string>> = { full: "Full control", chat: "Chat", look: "Look only" };

const ACTIONS: Readonly<Record<string, string>> = {
  "signed-up": "Account made",
  "signed-in": "Signed in",
  "signed-in-with-recovery-code": "Signed in with a recovery code",
  "signed-out-everywhere": "Signed out everywhere",
  "passkey-added": "Passkey added",
  "passkey-removed": "Passkey removed",
  "recovery-codes-renewed": "Recovery codes renewed",
  "connector-enrolled": "Machine connected to the gateway",
  "gateway-online": "Gateway online",
  "gateway-no-link": "Gateway's machine went offline",
  "gateway-unsafe": "Gateway closed for safety",
  asked: "A device asked to be allowed",
  "request-allowed": "Request answered: allowed",
  "request-denied": "Request denied",
  "request-expired": "Request ended: nobody answered",
  "request-wrong-code": "Request ended: wrong digits three times",
  "request-withdrawn": "Request withdrawn",
  "wrong-match-code": "Wrong digits typed",
  allow: "Device allowed",
  "grant-applied": "Allowance took effect on the gateway",
  "grant-refused": "The gateway's machine refused the allowance",
  "session-opened": "Device connected",
  "device-paired": "OpenClaw accepted the device",
  "device-connected": "Control page connected",
  "device-pairing-refused": "OpenClaw asked for more than a browser may have; refused",
  cut: "Device cut",
  "cut-done-on-gateway": "Device removed on the gateway",
  "token-copied": "Device frozen: its admission was used from two places",
};

export function actionText(event: AuditEvent): string {
  return ACTIONS[event.action] ?? event.action;
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

export function age(ms: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  return clock(ms);
}

export function stateText(gateway: Gateway): string {
  const reason = gateway.reason === null ? "" : (REASON[gateway.reason] ?? "");
  return gateway.state === "online" ? STATE.online[2] : reason || STATE[gateway.state][2];
}
