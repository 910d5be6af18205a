/** Proves that the gateway takes a visitor of the data leg for a remote stranger; otherwise nothing is served (openclaw.md R4). */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { WebSocket } from "ws";
import * as z from "zod";
import type { ControlLeg } from "./rpc-client.ts";
import { gatewayUrl, pinnedTls } from "./dial.ts";
import type { Discovered } from "./discover.ts";

export type SelfTestResult =
  | { readonly passed: true }
  /**
   * `settings-missing`: the gateway does not trust our forwarding headers yet. `stranger-admitted`: it would let anybody in.
   * `way-in-refused`: it would let no approved device in.
   */
  | { readonly passed: false; readonly reason: "settings-missing" | "stranger-admitted" | "way-in-refused" | "not-running" }
  /** The gateway counts too many tries of the probes' own address. That says nothing about it. */
  | { readonly passed: false; readonly reason: "rate-limited"; readonly retryAfterMs: number };

const PROBE_TIMEOUT_MS = 15_000;
/** The stock page itself: a gateway may let it in without pairing and yet ask any other client (`auth.mode` "none" does). */
const PROBE_CLIENT = { id: "openclaw-control-ui", mode: "webchat" } as const;
/** The one build that OpenClaw compares with nothing (openclaw.md 3.3, 7). */
const PROBE_BUILD = "dev";
/** Documentation range (RFC 5737): a remote visitor that is nobody. */
const PROBE_ADDRESS = "203.0.113.254";

const listSchema = z.object({
  pending: z.array(z.looseObject({ requestId: z.string(), deviceId: z.string() })),
  paired: z.array(z.looseObject({ deviceId: z.string(), approvedVia: z.string().optional(), approvedAtMs: z.number().optional() })),
});

interface Probe {
  readonly deviceId: string;
  readonly outcome: "pairing-required" | "admitted" | "not-attributed" | "origin-refused" | "auth-refused" | "rate-limited" | "other";
  /** With `rate-limited`: when to ask again. */
  readonly retryAfterMs: number;
}

/** Where the secret stands in `connect`: a page that knows it uses the slot of its kind, the way in always the password's. */
type Slot = "token" | "password";

function newDevice() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  return { privateKey, publicKey: raw.toString("base64url"), id: createHash("sha256").update(raw).digest("hex") };
}

/** One connect attempt of a throw-away device as the stock page, with the same forwarding headers as every visitor. A bare probe is never sent. */
function probe(found: Discovered, origin: string, slot: Slot): Promise<Probe> {
  const device = newDevice();
  const { host: name } = new URL(origin);
  const socket = new WebSocket(`${gatewayUrl(found.target, "ws")}/`, {
    ...pinnedTls(found.target),
    perMessageDeflate: false,
    headers: {
      host: name,
      origin,
      "x-forwarded-for": PROBE_ADDRESS,
      "x-forwarded-proto": "https",
      "x-forwarded-host": name,
      "x-openclaw-scopes": "operator.read",
    },
  });
  const secret = found.secret;
  return new Promise((resolve) => {
    const end = (outcome: Probe["outcome"], retryAfterMs = 0): void => {
      clearTimeout(timer);
      resolve({ deviceId: device.id, outcome, retryAfterMs });
      socket.terminate();
    };
    const timer = setTimeout(() => end("other"), PROBE_TIMEOUT_MS);
    socket.on("unexpected-response", (_request, response) => end(response.statusCode === 403 ? "not-attributed" : "other"));
    socket.on("error", () => end("other"));
    socket.on("close", () => end("other"));
    socket.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString("utf8")) as {
        event?: string;
        payload?: { nonce?: string; ts?: number };
        type?: string;
        ok?: boolean;
        error?: { details?: { code?: string }; retryAfterMs?: number };
      };
      if (frame.event === "connect.challenge") {
        const nonce = frame.payload?.nonce ?? "";
        const signedAt = frame.payload?.ts ?? Date.now();
        const scopes = ["operator.read"];
        const payload = [
          "v2",
          device.id,
          PROBE_CLIENT.id,
          PROBE_CLIENT.mode,
          "operator",
          scopes.join(","),
          String(signedAt),
          slot === "token" ? (secret?.value ?? "") : "",
          nonce,
        ].join("|");
        const signature = sign(null, Buffer.from(payload), device.privateKey).toString("base64url");
        const auth = secret === null ? {} : { [slot]: secret.value };
        const client = { ...PROBE_CLIENT, version: "0.1.0", buildId: PROBE_BUILD, platform: process.platform };
        const params = {
          minProtocol: 4,
          maxProtocol: 4,
          client,
          role: "operator",
          scopes,
          auth,
          device: { id: device.id, publicKey: device.publicKey, signature, signedAt, nonce },
        };
        socket.send(JSON.stringify({ type: "req", id: "probe", method: "connect", params }));
        return;
      }
      if (frame.type !== "res") return;
      const code = frame.error?.details?.code;
      // The build is compared after pairing: whoever hears of it is in already.
      if (frame.ok === true || code === "PROTOCOL_MISMATCH") end("admitted");
      else if (code === "PAIRING_REQUIRED") end("pairing-required");
      else if (code === "AUTH_RATE_LIMITED") end("rate-limited", frame.error?.retryAfterMs);
      else if (code?.startsWith("AUTH_") === true) end("auth-refused");
      else end(code === "CONTROL_UI_ORIGIN_NOT_ALLOWED" ? "origin-refused" : "other");
    });
  });
}

/** One probe, and nothing of it left behind. @returns what it found; null when everything is as it must be */
async function probed(leg: ControlLeg, found: Discovered, origin: string, slot: Slot, since: number): Promise<SelfTestResult | null> {
  const { deviceId, outcome, retryAfterMs } = await probe(found, origin, slot);
  const list = listSchema.parse(await leg.request("device.pair.list", {}));
  for (const pending of list.pending)
    if (pending.deviceId === deviceId) await leg.request("device.pair.reject", { requestId: pending.requestId }).catch(() => undefined);
  if (outcome === "admitted") {
    await leg.request("device.pair.remove", { deviceId }).catch(() => undefined);
    return { passed: false, reason: "stranger-admitted" };
  }
  if (list.paired.some((device) => device.approvedVia === "silent" && (device.approvedAtMs ?? 0) > since))
    return { passed: false, reason: "stranger-admitted" };
  switch (outcome) {
    case "pairing-required":
      return null;
    case "rate-limited":
      return { passed: false, reason: "rate-limited", retryAfterMs };
    case "not-attributed":
    case "origin-refused":
      return { passed: false, reason: "settings-missing" };
    case "auth-refused":
      // The token slot took the secret just before: it is the slot that is refused.
      return { passed: false, reason: found.secret?.kind !== slot ? "way-in-refused" : "not-running" };
    case "other":
      return { passed: false, reason: "not-running" };
  }
}

/**
 * Runs both probes (PROTOCOL.md R4, R13). A throw-away device that knows the secret must get PAIRING_REQUIRED, and so must one that carries it as
 * the way in does. Their requests are rejected afterwards.
 *
 * @param since epoch ms; a device that the gateway paired silently after it fails the test as well
 */
export async function selfTest(leg: ControlLeg, found: Discovered, origin: string, since: number): Promise<SelfTestResult> {
  const slots: readonly Slot[] = found.secret?.kind === "password" ? ["password"] : ["token", "password"];
  for (const slot of slots) {
    const problem = await probed(leg, found, origin, slot, since);
    if (problem !== null) return problem;
  }
  return { passed: true };
}
