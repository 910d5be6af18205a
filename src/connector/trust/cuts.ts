/**
 * Cuts on this machine: denied at once, the gateway's entries removed as soon as the gateway is there, and a signed receipt that the room gets
 * until it says that it has it (PROTOCOL.md CUT2-4).
 */
import { randomBytes } from "node:crypto";
import { toBase32 } from "../../core/trust/digests.ts";
import { writeReceipt } from "../../core/trust/receipt.ts";
import type { AuditHead } from "../../protocol/audit.ts";
import { CUT_REMOVAL_MS, MAX_RECEIPT_ENTRIES } from "../../protocol/limits.ts";
import { openclawIdSchema } from "../../protocol/drift.ts";
import type { LinkResult, ToConnector, ToRoom } from "../../protocol/link-messages.ts";
import type { SignedReceipt } from "../../protocol/receipt.ts";
import type { Admitted, PendingCut } from "./admissions.ts";
import type { KeyLogState } from "../../core/trust/key-log-state.ts";
import type { Identity } from "./identity.ts";
import type { KeyLog } from "./key-log-file.ts";
import type { OpenclawGateway, Removal } from "../openclaw/openclaw-port.ts";
import { GatewayAwayError } from "../openclaw/openclaw-port.ts";
import type { KeptReceipt } from "../state/state-files.ts";

export interface CutsOptions {
  readonly admitted: Admitted;
  readonly log: KeyLog;
  readonly identity: Identity;
  readonly gateway: OpenclawGateway;
  readonly now: () => number;
  /** Ends the device's streams. @returns how many */
  readonly endStreams: (device: string) => number;
  /** Dropped without a link. */
  readonly send: (message: ToRoom) => void;
}

/** After the disk refused what a removal leaves behind: the gateway is there, so nothing else would set it going again. */
const REMOVAL_AGAIN_MS = 30_000;

type CutMessage = Extract<ToConnector, { type: "cut" }>;
type CutAnswer = NonNullable<LinkResult["cut"]>;

export class Cuts {
  readonly #options: CutsOptions;
  /** One removal at a time, in order: two never take the same entry out twice. */
  #removals: Promise<unknown> = Promise.resolve();
  #again: NodeJS.Timeout | undefined;
  /** What was taken out at the gateway for a cut whose receipt the disk has not taken yet, by the cut's name: done once, and signed for as it was. */
  readonly #removed = new Map<string, Removal>();

  /** Cuts that this process carried out. */
  count = 0;

  constructor(options: CutsOptions) {
    this.#options = options;
  }

  /**
   * The room's cut. Waits a moment for the gateway, not longer; what takes longer is told by `cut-done`. The same cut again gets the same receipt.
   *
   * @throws LogWriteError denied as long as this process runs, but not on disk
   */
  async byOwner(message: CutMessage): Promise<CutAnswer> {
    const { admitted } = this.#options;
    const kept = readable(() => admitted.receipts()).find((each) => each.cut === message.cut);
    if (kept !== undefined) {
      const { removed, atMs } = kept;
      return { streamsClosed: 0, removed, done: true, atMs, receipt: signedOf(kept) };
    }
    const startedAt = performance.now();
    const { device, cut, cutAtMs, audit } = message;
    const pending = await this.#deny(device, "owner", { cut, cutAtMs, audit: audit ?? null });
    const streamsClosed = pending.streamsClosed ?? 0;
    const finishing = this.#finish(pending);
    const done = await soon(finishing, CUT_REMOVAL_MS);
    const { now } = this.#options;
    if (done !== null) {
      const { removed, atMs, receipt } = done;
      return { streamsClosed, removed, done: true, atMs, tookMs: performance.now() - startedAt, ...(receipt === null ? {} : { receipt }) };
    }
    void finishing.then((later) => later !== null && this.#tell(pending, later)).catch(() => undefined);
    return { streamsClosed, removed: 0, done: false, atMs: now() };
  }

  /**
   * `gatehouse cut` on this machine. The room hears of it when the link is up.
   *
   * @throws LogWriteError denied as long as this process runs, but not on disk: tried again by itself, because nobody sends it once more
   */
  async onHost(device: string): Promise<{ streamsClosed: number; removed: number; done: boolean }> {
    const pending = await this.#deny(device, "host", { cutAtMs: null, audit: null }).catch((error: unknown) => {
      this.#finishLater();
      throw error;
    });
    const streamsClosed = pending.streamsClosed ?? 0;
    // The room denies it, too, before the gateway's part is done.
    this.#tellDenied(pending);
    const finishing = this.#finish(pending).then((done) => {
      if (done !== null) this.#tell(pending, done);
      return done;
    });
    const done = await soon(finishing, CUT_REMOVAL_MS);
    return { streamsClosed, removed: done?.removed ?? 0, done: done !== null };
  }

  /** A link came up: says what the room may not know yet. */
  linkUp(): void {
    const { admitted } = this.#options;
    for (const kept of admitted.receipts()) if (!kept.isAcked) this.#tellReceipt(kept);
    for (const pending of admitted.cuts()) if (pending.by === "host") this.#tellDenied(pending);
  }

  /** The gateway is there: whatever waited for it is done now. One that the disk refuses holds up no other, and is tried again. */
  async finish(): Promise<void> {
    for (const device of this.#options.admitted.deniedOnHost()) await this.onHost(device).catch(() => undefined);
    for (const pending of this.#options.admitted.cuts()) {
      const done = await this.#finish(pending).catch(() => null);
      if (done !== null) this.#tell(pending, done);
    }
  }

  /** The room has the receipt of this cut. */
  acked(cut: string): void {
    const { admitted } = this.#options;
    admitted.saveReceipts(admitted.receipts().map((each) => (each.cut === cut ? { ...each, isAcked: true } : each)));
  }

  /** On disk before it returns: the revocation, then what is still to be done. */
  async #deny(
    device: string,
    by: "owner" | "host",
    named: { readonly cut?: string | undefined; readonly cutAtMs: number | null; readonly audit: AuditHead | null },
  ): Promise<PendingCut> {
    const { admitted, log, endStreams, now } = this.#options;
    // Sent again before the gateway came back: it was denied then.
    const known = readable(() => admitted.cuts()).find(
      (each) => each.device === device && each.cut !== undefined && each.cut === named.cut,
    );
    const revoked = known !== undefined ? Promise.resolve(true) : admitted.revokeDevice(device, by === "host" ? "host" : "relay");
    // Denied from the first line of that call on; the streams do not wait for the disk.
    const streamsClosed = endStreams(device);
    await revoked;
    if (known !== undefined) return known;
    const { cut: newName, ...rest } = pendingCut(log.state, device, by, now());
    // An older room gives no name, and keeps no receipt.
    const cut = "cut" in named ? named.cut : newName;
    const pending = { ...rest, streamsClosed, cutAtMs: named.cutAtMs, audit: named.audit, ...(cut === undefined ? {} : { cut }) };
    admitted.saveCut(pending);
    this.count += 1;
    return pending;
  }

  /** @returns what was done, or null while the gateway is away; rejects when the disk refuses, and tries again by itself */
  #finish(pending: PendingCut): Promise<Finished | null> {
    const work = this.#removals.then(() => this.#remove(pending));
    this.#removals = work.catch(() => this.#finishLater());
    return work;
  }

  #finishLater(): void {
    if (this.#again !== undefined) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      void this.finish().catch(() => undefined);
    }, REMOVAL_AGAIN_MS);
    this.#again.unref();
  }

  async #remove(pending: PendingCut): Promise<Finished | null> {
    const { admitted, gateway, now } = this.#options;
    const still = admitted.cuts().some(({ device, by, cut }) => device === pending.device && by === pending.by && cut === pending.cut);
    const done = admitted.receipts().find((each) => each.cut === pending.cut);
    if (done !== undefined && still) this.#drop(pending);
    if (done !== undefined) return { removed: done.removed, atMs: done.atMs, receipt: signedOf(done) };
    if (!still) return null;
    let removal = this.#removed.get(pending.cut ?? "");
    try {
      removal ??= await gateway.removeBound(pending.device);
    } catch (error) {
      if (!(error instanceof GatewayAwayError)) throw error;
      return null;
    }
    if (pending.cut !== undefined) this.#removed.set(pending.cut, removal);
    const atMs = now();
    const kept = await this.#sign(pending, removal, atMs);
    if (kept !== null) admitted.saveReceipts([...admitted.receipts(), kept]);
    this.#drop(pending);
    return { removed: removal.removed, atMs, receipt: kept === null ? null : signedOf(kept) };
  }

  #drop(pending: PendingCut): void {
    this.#options.admitted.dropCut(pending);
    this.#removed.delete(pending.cut ?? "");
  }

  /** @returns null for a cut without a name: one of an older room, or of an older version of this program */
  async #sign(pending: PendingCut, removal: Removal, removedAtMs: number): Promise<KeptReceipt | null> {
    const { log, identity } = this.#options;
    const { device, by, cut, cutAtMs, audit, deniedAtMs, streamsClosed, grant, head } = pending;
    const [genesis] = log.state.hashes;
    if (cut === undefined || head === undefined || deniedAtMs === undefined || genesis === undefined) return null;
    const { statement, signature } = await writeReceipt(
      {
        v: 1,
        gateway: log.state.gateway,
        device,
        grant: grant ?? null,
        cut,
        by,
        cutAtMs: cutAtMs ?? null,
        audit: audit ?? null,
        deniedAtMs,
        removedAtMs,
        streamsClosed: streamsClosed ?? 0,
        removed: removal.removed,
        absent: removal.absent,
        entries: removal.entries.filter((id) => openclawIdSchema.safeParse(id).success).slice(0, MAX_RECEIPT_ENTRIES),
        log: genesis,
        head,
      },
      (bytes) => identity.signRaw(bytes),
    );
    return { cut, device, by, removed: removal.removed, atMs: removedAtMs, statement, signature, isAcked: false };
  }

  #tell({ device, by, grant }: PendingCut, { removed, atMs, receipt }: Finished): void {
    const signed = receipt === null ? {} : { receipt };
    this.#options.send({ type: "cut-done", device, removed, atMs, by, ...signed, ...(grant === undefined ? {} : { grant }) });
  }

  #tellReceipt(kept: KeptReceipt): void {
    const { device, by, removed, atMs } = kept;
    this.#options.send({ type: "cut-done", device, removed, atMs, by, receipt: signedOf(kept) });
  }

  /** Without a receipt: the device is cut, the gateway's part comes later. */
  #tellDenied({ device, atMs, by, grant }: PendingCut): void {
    this.#options.send({ type: "cut-done", device, removed: 0, atMs, by, ...(grant === undefined ? {} : { grant }) });
  }
}

/**
 * A cut whose revocation is in the log, and whose entries on the gateway are still to be removed.
 *
 * @param log after the revocation
 * @param nowMs this machine's clock
 */
export function pendingCut(log: KeyLogState, device: string, by: "owner" | "host", nowMs: number): PendingCut {
  const seq = Math.max(log.subtractedAt.get(device) ?? 0, log.subtractedAt.get("*") ?? 0);
  const held = [...log.grants.values()].filter((each) => each.statement.device === device);
  const head = { seq, hash: log.hashes[seq] ?? log.head.hash };
  const grant = held.at(-1)?.id ?? null;
  return { device, by, removed: 0, isDone: false, atMs: nowMs, cut: newCutId(), deniedAtMs: nowMs, streamsClosed: 0, grant, head };
}

interface Finished {
  readonly removed: number;
  readonly atMs: number;
  readonly receipt: SignedReceipt | null;
}

/** Of what is kept, what the room takes: it refuses a receipt with anything beside, and the link with it. */
function signedOf({ statement, signature }: KeptReceipt): SignedReceipt {
  return { statement, signature };
}

/** A damaged file of what was done before never stands in the way of denying a device now. */
function readable<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch {
    return [];
  }
}

/** @returns a name that no other cut has */
function newCutId(): string {
  return toBase32(randomBytes(16));
}

/** @returns what the work gives when it ends within the time, else null; the work goes on */
async function soon<T>(work: Promise<T | null>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
