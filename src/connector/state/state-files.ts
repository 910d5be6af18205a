/** The connector's files: owner-only, written whole and atomically, checked when read. A damaged file refuses, it never admits. */
import {
  closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, writeSync,
} from "node:fs"; // prettier-ignore
import path from "node:path";
import * as z from "zod";
import type { KeyLogState } from "../../core/trust/key-log-state.ts";
import { isResumed } from "../../core/trust/local-policy.ts";
import { auditHeadSchema } from "../../protocol/audit.ts";
import { KEY_LOG_ALARMS, keyLogHeadSchema } from "../../protocol/key-log.ts";
import { signedReceiptSchema } from "../../protocol/receipt.ts";
import { connectorKeySchema, digestIdSchema, gatewayIdSchema, hashSchema } from "../../protocol/statements.ts";
import type { MachineFault } from "../../protocol/words.ts";

export const identitySchema = z.object({
  publicKey: connectorKeySchema,
  privateKey: z.looseObject({ kty: z.literal("OKP"), d: z.string() }),
});
export const gatewayFileSchema = z.object({
  gateway: gatewayIdSchema,
  account: z.string(),
  name: z.string(),
  appOrigin: z.string(),
  origin: z.string(),
  approveOrigin: z.string(),
  rpId: z.string(),
  generation: z.int(),
});
export type GatewayFile = z.infer<typeof gatewayFileSchema>;
const sessionsSchema = z.array(z.object({ session: z.string(), device: z.string(), grant: z.string(), expiresAtMs: z.int() }));
const bindingsSchema = z.record(z.string(), z.array(z.string()));
/** Cuts whose removal on the gateway has not happened yet, and cuts that the room has not heard of. */
const cutsSchema = z.array(
  z.object({
    device: z.string(),
    by: z.enum(["owner", "host"]),
    removed: z.int(),
    isDone: z.boolean(),
    atMs: z.int(),
    // What its receipt will say; an older version left these out.
    cut: digestIdSchema.exactOptional(),
    cutAtMs: z.int().nullable().exactOptional(),
    audit: auditHeadSchema.nullable().exactOptional(),
    deniedAtMs: z.int().exactOptional(),
    streamsClosed: z.int().exactOptional(),
    grant: digestIdSchema.nullable().exactOptional(),
    head: keyLogHeadSchema.exactOptional(),
  }),
);
/** Signed receipts of cuts; those that the room has not acknowledged are sent again at every link. */
const keptReceiptSchema = signedReceiptSchema.extend({
  cut: digestIdSchema,
  device: digestIdSchema,
  by: z.enum(["owner", "host"]),
  removed: z.int(),
  atMs: z.int(),
  isAcked: z.boolean(),
});
export type KeptReceipt = z.infer<typeof keptReceiptSchema>;
/** What stops new admissions until somebody at the machine has looked. */
const alarmSchema = z.object({ alarm: z.enum(KEY_LOG_ALARMS), atMs: z.int() });
export type RaisedAlarm = z.infer<typeof alarmSchema>;
/** Newest head of the audit chain that the room proved, of which gateway, and when. */
const anchoredHeadSchema = auditHeadSchema.extend({ gateway: gatewayIdSchema, atMs: z.int() });
/** `before` is left out where nothing was set: JSON has no undefined. */
const settingsSchema = z.array(z.object({ path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }));
/** Owner-signed acts that were used, by the hash of what was signed, each until its time is over (PROTOCOL.md SA4). */
const spentActsSchema = z.array(z.object({ id: hashSchema, applyByMs: z.int() }));
/** Why the connector stopped for good, until its next link. */
const lastStopSchema = z.object({ atMs: z.int(), why: z.enum(["refused", "superseded", "stale", "version"]) });
export type LastStop = z.infer<typeof lastStopSchema>;
const pendingSchema = z.object({
  enrolment: z.string(),
  ticket: z.string(),
  connectorNonce: z.string(),
  machineName: z.string(),
  approveOrigin: z.string(),
  code: z.string(),
  appOrigin: z.string(),
});

const FILES = {
  identity: identitySchema,
  /** A new key, from before its `rotate` entry until it has taken the old one's place. */
  nextIdentity: identitySchema,
  /** The key of an enrolment that would replace the present one, while its ceremony lasts. */
  enrolIdentity: identitySchema,
  gateway: gatewayFileSchema,
  head: keyLogHeadSchema,
  roomHead: keyLogHeadSchema,
  alarm: alarmSchema,
  auditHead: anchoredHeadSchema,
  sessions: sessionsSchema,
  bindings: bindingsSchema,
  staleTokens: z.array(z.string()),
  cuts: cutsSchema,
  receipts: z.array(keptReceiptSchema),
  settings: settingsSchema,
  spentActs: spentActsSchema,
  lastStop: lastStopSchema,
  enrolment: pendingSchema,
} as const;
type FileName = keyof typeof FILES;
/** Names of the files, without `.json`. */
export const STATE_FILE_NAMES: readonly string[] = Object.keys(FILES);
type Content<Name extends FileName> = z.infer<(typeof FILES)[Name]>;

/** A state file exists but does not hold what it must. */
export class DamagedStateError extends Error {
  override name = "DamagedStateError";
}

/** Why the disk took the last write no more. */
export type DiskFault = Extract<MachineFault, "disk-full" | "disk-refused">;

/** @returns the fault that an error of a write names */
export function diskFaultOf(error: unknown): DiskFault {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT" ? "disk-full" : "disk-refused";
}

export class StateFiles {
  readonly dir: string;
  #diskFault: DiskFault | null = null;
  /** Called when the disk begins or ends to refuse. */
  onDisk: (fault: DiskFault | null) => void = () => undefined;

  constructor(dir: string) {
    this.dir = path.resolve(dir);
  }

  #file(name: FileName): string {
    return path.join(this.dir, `${name}.json`);
  }

  /** @returns the content, or null when there is no such file; throws DamagedStateError when it cannot be trusted */
  read<Name extends FileName>(name: Name): Content<Name> | null {
    const file = this.#file(name);
    if (!existsSync(file)) return null;
    try {
      const parsed = (FILES[name] as unknown as z.ZodType<Content<Name>>).safeParse(JSON.parse(readFileSync(file, "utf8")));
      if (parsed.success) return parsed.data;
    } catch {
      // Reported below, with the file's name.
    }
    throw new DamagedStateError(`${file} is damaged. Nothing is admitted until it is restored, or removed and the gateway claimed again.`);
  }

  /** Why the last write failed; null after one that succeeded. */
  get diskFault(): DiskFault | null {
    return this.#diskFault;
  }

  /** @param error of a write into this folder; null when it succeeded */
  noteDisk(error: unknown): void {
    const fault = error === null ? null : diskFaultOf(error);
    if (fault === this.#diskFault) return;
    this.#diskFault = fault;
    this.onDisk(fault);
  }

  /** @throws the system's error; then the old content stays */
  write<Name extends FileName>(name: Name, content: Content<Name>): void {
    try {
      this.#replace(name, content);
    } catch (error) {
      this.noteDisk(error);
      throw error;
    }
    this.noteDisk(null);
  }

  /** Old content or new content, never half of one: temporary file, fsync, rename, fsync of the folder. */
  #replace<Name extends FileName>(name: Name, content: Content<Name>): void {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    const file = this.#file(name);
    const temporary = `${file}.${process.pid}.tmp`;
    const handle = openSync(temporary, "w", 0o600);
    try {
      writeSync(handle, `${JSON.stringify(content, null, 2)}\n`);
      fsyncSync(handle);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, file);
    const folder = openSync(this.dir, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /**
   * Deletes what this program keeps here, and the folder when nothing else is in it: the folder's name comes from a command line.
   *
   * @param isOurs whether a file of this name is this program's
   * @returns whether the folder is gone
   */
  removeAll(isOurs: (name: string) => boolean): boolean {
    if (!existsSync(this.dir)) return true;
    for (const entry of readdirSync(this.dir, { withFileTypes: true }))
      if (isOurs(entry.name) && !entry.isDirectory()) rmSync(path.join(this.dir, entry.name));
    if (readdirSync(this.dir).length > 0) return false;
    rmdirSync(this.dir);
    return true;
  }

  remove(name: FileName): void {
    rmSync(this.#file(name), { force: true });
  }
}

/** @returns the alarm that stands on disk; one that the key log has settled does not */
export function standingOf(files: StateFiles, { resumed }: Pick<KeyLogState, "resumed">): RaisedAlarm | null {
  const kept = files.read("alarm");
  return kept === null || isResumed(resumed, kept) ? null : kept;
}
