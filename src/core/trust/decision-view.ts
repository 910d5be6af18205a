/** What the approval page computes before a passkey signs: that the request is the one whose digits were typed, and the statement itself. */
import type { Ceiling, PairingRequest } from "../../protocol/approval-api.ts";
import { APPLY_BY_MS, APPLY_BY_OFFLINE_MS, MAX_NAME_CHARS } from "../../protocol/limits.ts";
import type { DeviceKey, GrantStatement } from "../../protocol/statements.ts";
import { ACCESS_LEVELS, EXPIRY_CHOICES_MS } from "../../protocol/words.ts";
import type { Access } from "../../protocol/words.ts";
import { deviceId, matchCode, requestId } from "./digests.ts";
import { isSoundEd25519, isSoundKey, isSoundP256 } from "./public-key.ts";

export type Expiry = keyof typeof EXPIRY_CHOICES_MS;

/**
 * Recomputes device, request and digits from the key that is about to be signed: a relay that swapped the key, the access or the nonce
 * would be seen here (PROTOCOL.md ID1, ID2, MC1).
 *
 * @param gateway id from the page's own address, not from the answer
 * @param typed the four digits that the owner typed
 */
export async function belongsTogether(
  gateway: string,
  asked: Pick<PairingRequest, "id" | "device" | "key" | "roomNonce" | "requestedAccess">,
  typed: string,
): Promise<boolean> {
  if (!isSoundKey(asked.key)) return false;
  const [device, request, digits] = await Promise.all([
    deviceId(gateway, asked.key),
    requestId(gateway, asked.key, asked.requestedAccess, asked.roomNonce),
    matchCode(gateway, asked.key, asked.roomNonce),
  ]);
  return device === asked.device && request === asked.id && digits === typed;
}

/**
 * The access levels that a request may be answered with: never wider than asked (PROTOCOL.md GR2), nor than the person may give (KL13).
 *
 * @param ceiling null for an owner
 * @returns widest first
 */
export function offeredAccess(requested: Access, ceiling: Ceiling | null = null): readonly Access[] {
  const widest = Math.max(ACCESS_LEVELS.indexOf(requested), ceiling === null ? 0 : ACCESS_LEVELS.indexOf(ceiling.maxAccess));
  return ACCESS_LEVELS.slice(widest);
}

/** @returns how long the person may give access, shortest first; the shortest even where a ceiling is below it, which is then refused */
export function offeredExpiry(ceiling: Ceiling | null): readonly Expiry[] {
  const all = Object.keys(EXPIRY_CHOICES_MS) as Expiry[];
  const within = all.filter((each) => ceiling === null || EXPIRY_CHOICES_MS[each] <= ceiling.maxExpiryMs);
  return within.length === 0 ? all.slice(0, 1) : within;
}

/**
 * @param claimed what a device calls itself
 * @returns a name that passes `nameSchema`: without control and direction characters, never empty
 */
export function cleanName(claimed: string): string {
  // oxlint-disable-next-line no-control-regex -- control and direction characters are what it removes
  const cleaned = claimed.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "").trim();
  return cleaned.slice(0, MAX_NAME_CHARS).trim() || "Device";
}

export interface GrantChoice {
  readonly gateway: string;
  readonly key: DeviceKey;
  /** As the device claims it. */
  readonly name: string;
  readonly kind: "ask" | "owner";
  readonly request: string | null;
  readonly activation: string | null;
  readonly access: Access;
  readonly expiry: Expiry;
  /** Hash of the key log's last entry, as the room says it; null when it has none. */
  readonly head: string | null;
  /** Whether the gateway can apply it right away. */
  readonly isOnline: boolean;
}

/** The grant statement of what is on the screen (PROTOCOL.md GR1, GR3). @param nowMs the owner's clock */
export async function grantBody(choice: GrantChoice, nowMs: number): Promise<GrantStatement> {
  return {
    v: 1,
    gateway: choice.gateway,
    device: await deviceId(choice.gateway, choice.key),
    key: choice.key,
    name: cleanName(choice.name),
    access: choice.access,
    kind: choice.kind,
    request: choice.request,
    activation: choice.activation,
    head: choice.head,
    issuedAtMs: nowMs,
    applyByMs: nowMs + (choice.isOnline ? APPLY_BY_MS : APPLY_BY_OFFLINE_MS),
    notAfterMs: nowMs + EXPIRY_CHOICES_MS[choice.expiry],
  };
}

/** What a trip to `/owner` asks for; only a key of ours can be read from it. */
export interface OwnerTrip {
  readonly gateway: string;
  readonly key: DeviceKey;
  readonly name: string;
  readonly state: string;
}

/** @returns null when the address is incomplete or changed on the way; the server checks the key again when it is signed */
export function readOwnerTrip(query: { get(name: string): string | null }): OwnerTrip | null {
  const gateway = query.get("gateway") ?? "";
  const state = query.get("state") ?? "";
  const key = readKey(query.get("key") ?? "");
  if (key === null || !/^[a-z2-7]{23}$/.test(gateway) || !/^[A-Za-z0-9_-]{16,64}$/.test(state)) return null;
  return { gateway, key, name: cleanName(query.get("name") ?? ""), state };
}

function readKey(text: string): DeviceKey | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { kty, crv, x, y } = value as Record<string, unknown>;
  if (typeof x !== "string") return null;
  if (kty === "OKP" && crv === "Ed25519") return isSoundEd25519(x) ? { kty, crv, x } : null;
  if (kty === "EC" && crv === "P-256" && typeof y === "string") return isSoundP256(x, y) ? { kty, crv, x, y } : null;
  return null;
}
