/** The demo gateway's answer to `connect`: origin, secret, device signature, pairing, in OpenClaw's order (openclaw.md 3.3, 3.5). */
import { createHash, createPublicKey, verify } from "node:crypto";
import type { Ingress } from "./ingress.ts";
import type { Asking, PairedDevice, Pairing } from "./pairing.ts";
import { Refusal } from "./refusal.ts";
import type { GatewaySettings } from "./settings.ts";

const PROTOCOL = 4;
const SIGNED_AT_WINDOW_MS = 120_000;
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

export interface ConnectParams {
  readonly maxProtocol?: number;
  readonly client?: { readonly id?: string; readonly mode?: string; readonly platform?: string };
  readonly role?: string;
  readonly scopes?: readonly string[];
  readonly device?: {
    readonly id: string;
    readonly publicKey: string;
    readonly signature: string;
    readonly signedAt: number;
    readonly nonce: string;
  };
  readonly auth?: { readonly token?: string; readonly password?: string; readonly deviceToken?: string };
}

/** What the gateway knows of the socket before its first frame. */
export interface Caller {
  readonly ingress: Ingress;
  readonly origin: string | undefined;
  /** `x-openclaw-scopes` of the upgrade; null when there is none. */
  readonly cap: readonly string[] | null;
  readonly challenge: { readonly nonce: string; readonly ts: number };
}

export interface Admitted {
  readonly scopes: readonly string[];
  readonly deviceId: string | null;
  /** The `auth` of hello-ok. */
  readonly auth: object;
}

function invalid(details: string, message: string): Refusal {
  return new Refusal("INVALID_REQUEST", message, { code: details });
}

function checkOrigin(caller: Caller, settings: GatewaySettings): void {
  const { origin, ingress } = caller;
  if (origin !== undefined && (settings.controlUi?.allowedOrigins ?? []).includes(origin)) return;
  const isLocalPage = ingress.kind === "direct-local" && URL.canParse(origin ?? "") && LOCAL_HOSTS.includes(new URL(origin ?? "").hostname);
  if (!isLocalPage) throw invalid("CONTROL_UI_ORIGIN_NOT_ALLOWED", "origin not allowed (add it to gateway.controlUi.allowedOrigins)");
}

/** In token mode a password counts only when there is no token. @returns how the secret was proved */
function checkSecret(
  auth: ConnectParams["auth"],
  { secret, readsTokenOnly }: Pick<Gateway, "secret" | "readsTokenOnly">,
  record: PairedDevice | undefined,
): "token" | "device-token" {
  const token = auth?.token ?? "";
  const password = readsTokenOnly ? undefined : auth?.password;
  if ((token === "" ? password : token) === secret) return "token";
  const own = token === "" ? auth?.deviceToken : token;
  if (own !== undefined && own === record?.token) return "device-token";
  if (auth?.deviceToken !== undefined) throw invalid("AUTH_DEVICE_TOKEN_MISMATCH", "unauthorized: device token mismatch");
  if (token === "" && password === undefined) throw invalid("AUTH_TOKEN_MISSING", "unauthorized: gateway token missing");
  throw invalid("AUTH_TOKEN_MISMATCH", "unauthorized: gateway token mismatch");
}

function checkSignature(params: ConnectParams, device: NonNullable<ConnectParams["device"]>, challenge: Caller["challenge"]): void {
  const raw = Buffer.from(device.publicKey, "base64url");
  if (raw.byteLength !== 32) throw invalid("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device public key invalid");
  if (createHash("sha256").update(raw).digest("hex") !== device.id)
    throw invalid("DEVICE_AUTH_DEVICE_ID_MISMATCH", "device identity mismatch");
  if (!(Math.abs(device.signedAt - challenge.ts) <= SIGNED_AT_WINDOW_MS))
    throw invalid("DEVICE_AUTH_SIGNATURE_EXPIRED", "device signature expired");
  if (device.nonce !== challenge.nonce) throw invalid("DEVICE_AUTH_NONCE_MISMATCH", "device nonce mismatch");
  const { client, role = "operator", scopes = [], auth } = params;
  const token = auth?.token ?? auth?.deviceToken ?? "";
  const text = ["v2", device.id, client?.id, client?.mode, role, scopes.join(","), device.signedAt, token, device.nonce].join("|");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: device.publicKey }, format: "jwk" });
  if (!verify(null, Buffer.from(text), key, Buffer.from(device.signature, "base64url")))
    throw invalid("DEVICE_AUTH_SIGNATURE_INVALID", "device signature invalid");
}

const WHY = {
  "not-paired": "device is not approved yet",
  "role-upgrade": "device is asking for a higher role than currently approved",
  "scope-upgrade": "device is asking for more scopes than currently approved",
  "metadata-upgrade": "device identity changed and must be re-approved",
} as const;

function upgrade(asking: Asking, record: PairedDevice | undefined): keyof typeof WHY | null {
  if (record === undefined) return "not-paired";
  if (record.token === null) return "role-upgrade";
  if (!asking.scopes.every((scope) => record.scopes.includes(scope))) return "scope-upgrade";
  return record.platform === asking.platform ? null : "metadata-upgrade";
}

function pairingRequired(asking: Asking, reason: keyof typeof WHY, requestId: string): Refusal {
  const details = {
    code: "PAIRING_REQUIRED",
    reason,
    requestId,
    recommendedNextStep: "wait_then_retry",
    retryable: true,
    pauseReconnect: false,
    deviceId: asking.deviceId,
    requestedRole: asking.role,
    requestedScopes: asking.scopes,
  };
  return new Refusal("NOT_PAIRED", `pairing required: ${WHY[reason]}`, details, { more: ` (requestId: ${requestId})` });
}

interface Gateway {
  readonly secret: string;
  readonly settings: GatewaySettings;
  readonly pairing: Pairing;
  /** @see DemoOptions.readsTokenOnly */
  readonly readsTokenOnly: boolean;
}

/**
 * Judges one `connect`.
 *
 * @returns who is admitted, with which scopes
 * @throws Refusal with OpenClaw's codes
 */
export function connect(params: ConnectParams, caller: Caller, gateway: Gateway): Admitted {
  const { settings, pairing } = gateway;
  const { client, role = "operator", scopes = [], device } = params;
  if (params.maxProtocol !== PROTOCOL)
    throw new Refusal("INVALID_REQUEST", "protocol mismatch", { code: "PROTOCOL_MISMATCH", expectedProtocol: PROTOCOL }, { code: 1002 });
  if (client?.id === "openclaw-control-ui") checkOrigin(caller, settings);
  const record = device === undefined ? undefined : pairing.device(device.id);
  const method = checkSecret(params.auth, gateway, record);
  const { ingress, cap, challenge } = caller;
  const narrowed = (given: readonly string[]): readonly string[] => (cap === null ? given : given.filter((scope) => cap.includes(scope)));
  if (device === undefined) {
    if (client?.id !== "gateway-client") throw invalid("CONTROL_UI_DEVICE_IDENTITY_REQUIRED", "control ui requires device identity");
    const own = narrowed(ingress.kind === "direct-local" && caller.origin === undefined ? scopes : []);
    return { scopes: own, deviceId: null, auth: { method, role, scopes: own } };
  }
  checkSignature(params, device, challenge);
  const asking: Asking = {
    deviceId: device.id,
    publicKey: device.publicKey,
    platform: client?.platform ?? "",
    clientId: client?.id ?? "",
    clientMode: client?.mode ?? "",
    role,
    scopes,
    ...(ingress.remoteIp === null ? {} : { remoteIp: ingress.remoteIp }),
  };
  const reason = upgrade(asking, record);
  const isSilent = ingress.kind === "direct-local" && settings.nodes?.pairing?.autoApproveLocal !== false;
  if (reason !== null && !isSilent) throw pairingRequired(asking, reason, pairing.file(asking).requestId);
  const paired = reason === null && record !== undefined ? record : pairing.pairSilently(asking);
  const own = narrowed(scopes);
  const auth = { method, role, scopes: own, deviceToken: paired.token, issuedAtMs: paired.approvedAtMs };
  return { scopes: own, deviceId: device.id, auth };
}
