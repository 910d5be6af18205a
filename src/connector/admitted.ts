/** What this connector admits: grants, sessions, bindings and cuts, on disk and in memory. */
import type { HeldGrant, HeldSession, Pinned } from "../core/judge.ts";
import { NONCE_MS } from "../protocol/limits.ts";
import type { StreamOpen } from "../protocol/link-messages.ts";
import type { Access } from "../protocol/words.ts";
import type { BindingStore } from "./openclaw/openclaw-port.ts";
import type { GatewayFile, StateFiles } from "./state-files.ts";

export interface PendingCut {
  readonly device: string;
  readonly by: "owner" | "host";
  readonly removed: number;
  readonly isDone: boolean;
  readonly atMs: number;
}

export class Admitted implements BindingStore {
  readonly #files: StateFiles;
  readonly #now: () => number;
  readonly #grants: Map<string, HeldGrant>;
  readonly #sessions: Map<string, HeldSession>;
  readonly #nonces = new Map<string, number>();

  /** @throws DamagedStateError: fail closed */
  constructor(files: StateFiles, now: () => number) {
    this.#files = files;
    this.#now = now;
    this.#grants = new Map((files.read("grants") ?? []).map((grant) => [grant.id, grant]));
    this.#sessions = new Map(
      (files.read("sessions") ?? []).filter((session) => session.expiresAtMs > now()).map((session) => [session.session, session]),
    );
    files.read("bindings");
  }

  // --- nonces ---------------------------------------------------------------------------------------------------------------

  addNonce(nonce: string): void {
    const nowMs = this.#now();
    for (const [old, expiresAtMs] of this.#nonces) if (expiresAtMs <= nowMs) this.#nonces.delete(old);
    this.#nonces.set(nonce, nowMs + NONCE_MS);
  }

  takeNonce(nonce: string): boolean {
    const expiresAtMs = this.#nonces.get(nonce);
    this.#nonces.delete(nonce);
    return expiresAtMs !== undefined && expiresAtMs > this.#now();
  }

  // --- grants and sessions ----------------------------------------------------------------------------------------------------

  grant(id: string): HeldGrant | null {
    return this.#grants.get(id) ?? null;
  }

  grants(): readonly HeldGrant[] {
    return [...this.#grants.values()];
  }

  /** Keeps a verified grant; an older one of the same device is revoked by it. A revoked one never comes back. */
  keepGrant(grant: HeldGrant): void {
    const known = this.#grants.get(grant.id);
    if (known?.isRevoked === true) return;
    for (const other of this.#grants.values()) {
      if (other.statement.device === grant.statement.device && other.id !== grant.id)
        this.#grants.set(other.id, { ...other, isRevoked: true });
    }
    this.#grants.set(grant.id, known ?? grant);
    this.#files.write("grants", [...this.#grants.values()]);
  }

  keepSession(session: HeldSession): void {
    const grant = this.#grants.get(session.grant);
    if (grant !== undefined && !grant.isActivated) {
      this.#grants.set(grant.id, { ...grant, isActivated: true });
      this.#files.write("grants", [...this.#grants.values()]);
    }
    this.#sessions.set(session.session, session);
    this.#saveSessions();
  }

  /**
   * Whether a stream may be opened, and with which access (security.md I1): its session was admitted here, is not over, and its grant is
   * live. The access is the grant's own, whatever the room says.
   */
  admits(open: Pick<StreamOpen, "session" | "device">): { readonly access: Access; readonly expiresAtMs: number } | "no-session" | "cut" {
    const session = this.#sessions.get(open.session);
    const nowMs = this.#now();
    if (session === undefined || session.device !== open.device || session.expiresAtMs <= nowMs) return "no-session";
    const grant = this.#grants.get(session.grant);
    if (grant === undefined || grant.isRevoked) return "cut";
    if (grant.statement.notAfterMs <= nowMs) return "no-session";
    return { access: grant.statement.access, expiresAtMs: Math.min(session.expiresAtMs, grant.statement.notAfterMs) };
  }

  /** Revokes every grant of a device and drops its sessions; on disk before it returns. @returns whether the device was known */
  revokeDevice(device: string): boolean {
    let known = false;
    for (const grant of this.#grants.values()) {
      if (grant.statement.device !== device) continue;
      known = true;
      this.#grants.set(grant.id, { ...grant, isRevoked: true });
    }
    for (const session of this.#sessions.values()) if (session.device === device) this.#sessions.delete(session.session);
    this.#files.write("grants", [...this.#grants.values()]);
    this.#saveSessions();
    return known;
  }

  #saveSessions(): void {
    const nowMs = this.#now();
    this.#files.write(
      "sessions",
      [...this.#sessions.values()].filter((session) => session.expiresAtMs > nowMs),
    );
  }

  // --- cuts ---------------------------------------------------------------------------------------------------------------------

  cuts(): readonly PendingCut[] {
    return this.#files.read("cuts") ?? [];
  }

  saveCut(cut: PendingCut): void {
    this.#files.write("cuts", [...this.cuts().filter((each) => each.device !== cut.device), cut]);
  }

  dropCut(device: string): void {
    this.#files.write(
      "cuts",
      this.cuts().filter((each) => each.device !== device),
    );
  }

  // --- bindings -------------------------------------------------------------------------------------------------------------------

  bound(device: string): readonly string[] {
    return this.#files.read("bindings")?.[device] ?? [];
  }

  bind(device: string, openclawDevice: string): void {
    const all = this.#files.read("bindings") ?? {};
    const own = all[device] ?? [];
    if (own.includes(openclawDevice)) return;
    this.#files.write("bindings", { ...all, [device]: [...own, openclawDevice] });
  }

  unbind(device: string, openclawDevice: string): void {
    const all = this.#files.read("bindings") ?? {};
    this.#files.write("bindings", { ...all, [device]: (all[device] ?? []).filter((each) => each !== openclawDevice) });
  }
}

/** @returns what the judge compares with */
export function pinnedOf(file: GatewayFile, key: Pinned["key"]): Pinned {
  const { gateway, account, origin, approveOrigin, rpId, ownerKeys } = file;
  return { gateway, account, origin, approveOrigin, rpId, ownerKeys, key };
}
