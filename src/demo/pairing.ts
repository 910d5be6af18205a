/** The demo gateway's pairing book: requests, paired devices, their tokens (openclaw.md 4). In memory only. */
import { randomBytes, randomUUID } from "node:crypto";
import { Refusal } from "./refusal.ts";

const REQUEST_MS = 5 * 60_000;
const LABEL_CHARS = 64;

/** What a connect frame says about the device that sends it. */
export interface Asking {
  readonly deviceId: string;
  readonly publicKey: string;
  readonly platform: string;
  readonly clientId: string;
  readonly clientMode: string;
  readonly role: string;
  readonly scopes: readonly string[];
  readonly remoteIp?: string;
}

export interface PairedDevice extends Asking {
  readonly approvedVia: "owner" | "silent";
  readonly createdAtMs: number;
  readonly approvedAtMs: number;
  readonly operatorLabel?: string;
  /** Null once revoked. */
  readonly token: string | null;
}

export interface PairingRequest extends Asking {
  readonly requestId: string;
  readonly isRepair: boolean;
  readonly ts: number;
}

export type PairingEvent = (event: string, payload: object) => void;

function newToken(): string {
  return randomBytes(32).toString("base64url");
}

export class Pairing {
  readonly #now: () => number;
  readonly #tell: PairingEvent;
  readonly #paired = new Map<string, PairedDevice>();
  readonly #pending = new Map<string, { request: PairingRequest; refreshedAtMs: number }>();

  /** @param tell gets the events that sockets with `operator.pairing` see */
  constructor(now: () => number, tell: PairingEvent) {
    this.#now = now;
    this.#tell = tell;
  }

  device(deviceId: string): PairedDevice | undefined {
    return this.#paired.get(deviceId);
  }

  /** Files a request or refreshes the one that covers it; a wider one supersedes the older, with the union of the scopes. */
  file(asking: Asking): PairingRequest {
    const now = this.#now();
    for (const [id, each] of this.#pending) if (now - each.refreshedAtMs > REQUEST_MS) this.#pending.delete(id);
    const known = [...this.#pending.values()].find(({ request }) => request.deviceId === asking.deviceId && request.role === asking.role);
    if (known !== undefined && asking.scopes.every((scope) => known.request.scopes.includes(scope))) {
      known.refreshedAtMs = now;
      known.request = { ...known.request, ...asking, scopes: known.request.scopes };
      return known.request;
    }
    const scopes = [...new Set([...(known?.request.scopes ?? []), ...asking.scopes])];
    const request = { ...asking, scopes, requestId: randomUUID(), isRepair: this.#paired.has(asking.deviceId), ts: now };
    if (known !== undefined) this.#resolve(known.request, "rejected");
    this.#pending.set(request.requestId, { request, refreshedAtMs: now });
    this.#tell("device.pair.requested", requestView(request));
    return request;
  }

  /** The loopback trap: nobody is asked. */
  pairSilently(asking: Asking): PairedDevice {
    return this.#pair(asking, "silent");
  }

  /** @returns the answer of `device.pair.list` */
  list(isConnected: (deviceId: string) => boolean): object {
    return {
      pending: [...this.#pending.values()].map(({ request }) => requestView(request)),
      paired: [...this.#paired.values()].map((device) => ({ ...deviceView(device), connected: isConnected(device.deviceId) })),
    };
  }

  /** @throws Refusal for an id that is not there, or scopes that the approver does not have */
  approve(requestId: string, approver: readonly string[]): object {
    const request = this.#request(requestId);
    const missing = approver.includes("operator.admin") ? undefined : request.scopes.find((scope) => !approver.includes(scope));
    if (missing !== undefined) throw new Refusal("INVALID_REQUEST", `missing scope: ${missing}`);
    const device = this.#pair(request, "owner");
    this.#resolve(request, "approved");
    return { requestId, device: deviceView(device) };
  }

  /** @throws Refusal for an id that is not there */
  reject(requestId: string): object {
    const request = this.#request(requestId);
    this.#resolve(request, "rejected");
    return { requestId, deviceId: request.deviceId };
  }

  /** @throws Refusal for a device that is not there */
  remove(deviceId: string): object {
    this.#known(deviceId);
    this.#paired.delete(deviceId);
    for (const [id, { request }] of this.#pending) if (request.deviceId === deviceId) this.#pending.delete(id);
    return { deviceId };
  }

  /** @throws Refusal for a device that is not there, or a label that is empty or over 64 characters */
  rename(deviceId: string, label: string): object {
    if (label.length < 1 || label.length > LABEL_CHARS)
      throw new Refusal("INVALID_REQUEST", "invalid device.pair.rename params: at /label");
    this.#paired.set(deviceId, { ...this.#known(deviceId), operatorLabel: label });
    this.#tell("device.pair.changed", {});
    return { deviceId, label };
  }

  /** @throws Refusal for a device that is not there */
  revokeToken(deviceId: string, role: string): object {
    this.#setToken(deviceId, role, null, "device token revocation denied");
    return { deviceId, role, revokedAtMs: this.#now() };
  }

  /** The new token reaches only the device itself, at its next connect. @throws Refusal for a device that is not there */
  rotateToken(deviceId: string, role: string): object {
    this.#setToken(deviceId, role, newToken(), "device token rotation denied");
    return { deviceId, role, rotatedAtMs: this.#now(), tokenDelivery: "withheld-cross-device" };
  }

  #setToken(deviceId: string, role: string, token: string | null, refusal: string): void {
    const device = this.#paired.get(deviceId);
    if (device?.role !== role) throw new Refusal("INVALID_REQUEST", refusal);
    this.#paired.set(deviceId, { ...device, token });
  }

  #pair(asking: Asking, approvedVia: PairedDevice["approvedVia"]): PairedDevice {
    const { deviceId, publicKey, platform, clientId, clientMode, role, scopes, remoteIp } = asking;
    const from = remoteIp === undefined ? {} : { remoteIp };
    const now = this.#now();
    const device = {
      deviceId,
      publicKey,
      platform,
      clientId,
      clientMode,
      role,
      scopes,
      ...from,
      approvedVia,
      createdAtMs: this.#paired.get(deviceId)?.createdAtMs ?? now,
      approvedAtMs: now,
      token: newToken(),
    };
    this.#paired.set(deviceId, device);
    return device;
  }

  #request(requestId: string): PairingRequest {
    const request = this.#pending.get(requestId)?.request;
    if (request === undefined) throw new Refusal("INVALID_REQUEST", "unknown requestId");
    return request;
  }

  #known(deviceId: string): PairedDevice {
    const device = this.#paired.get(deviceId);
    if (device === undefined) throw new Refusal("INVALID_REQUEST", "unknown deviceId");
    return device;
  }

  #resolve({ requestId, deviceId }: PairingRequest, decision: "approved" | "rejected"): void {
    this.#pending.delete(requestId);
    this.#tell("device.pair.resolved", { requestId, deviceId, decision, ts: this.#now() });
  }
}

function requestView(request: PairingRequest): object {
  return { ...request, roles: [request.role], silent: false };
}

function deviceView({ token, ...device }: PairedDevice): object {
  const tokens = token === null ? [] : [{ role: device.role, scopes: device.scopes, createdAtMs: device.approvedAtMs }];
  return { ...device, roles: [device.role], tokens };
}
