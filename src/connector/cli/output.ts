/** What `--json` prints: one object per line, by its `event`. Scripts may rely on it; docs/cli.md shows it. Only tests and that page load it. */
import * as z from "zod";
import { auditHeadSchema } from "../../protocol/audit.ts";
import { blockedDevicesSchema } from "../../protocol/blocks.ts";
import { KEY_LOG_ALARMS, keyLogHeadSchema, ownerPolicySchema, ownerRoleSchema } from "../../protocol/key-log.ts";
import { gatewayReportSchema } from "../../protocol/link-messages.ts";
import { receiptStatementSchema } from "../../protocol/receipt.ts";
import { accessSchema, digestIdSchema, ed25519KeySchema, gatewayIdSchema, hashSchema } from "../../protocol/statements.ts";
import { MACHINE_FAULTS } from "../../protocol/words.ts";

export const listedDeviceSchema = z.strictObject({
  device: digestIdSchema,
  name: z.string(),
  state: z.enum(["allowed", "expired", "cut"]),
  access: accessSchema,
  notAfterMs: z.int(),
});
export type ListedDevice = z.infer<typeof listedDeviceSchema>;

export const listedOwnerSchema = z.strictObject({
  credentialId: z.string(),
  algorithm: z.enum(["EdDSA", "ES256", "RS256"]),
  role: ownerRoleSchema,
});
export type ListedOwner = z.infer<typeof listedOwnerSchema>;

const ok = z.strictObject({ ok: z.literal(true) });
const settingsChanges = z.array(z.strictObject({ path: z.string(), before: z.unknown(), after: z.unknown() }));
/** Widenings that wait for an owner; `untilMs`: when time alone is enough, null for never or not counting yet. */
const waitingSchema = z.array(
  z.looseObject({ id: hashSchema, kind: z.enum(["policy", "owner-add", "owner-role", "resume"]), untilMs: z.int().nullable() }),
);
/** Asked for: nothing is changed by it. */
const asked = ok.extend({ waiting: waitingSchema.optional() });

const accessListFacts = z.strictObject({
  gateway: gatewayIdSchema,
  entries: z.int(),
  head: z.string(),
  owners: z.int(),
  approvers: z.int(),
  hasRecoveryKey: z.boolean(),
  policy: ownerPolicySchema,
  waiting: waitingSchema,
  grants: z.int(),
});

/** What each event carries besides `at` and `event`. */
export const EVENTS = {
  version: z.strictObject({ version: z.string() }),
  help: z.strictObject({ help: z.string() }),
  completion: z.strictObject({ script: z.string() }),
  status: z.strictObject({
    status: z.strictObject({
      gateway: gatewayIdSchema,
      name: z.string(),
      origin: z.string(),
      link: z.enum(["up", "down"]),
      linkProblem: z.string().nullable(),
      machine: z.array(z.enum(MACHINE_FAULTS)),
      openclaw: gatewayReportSchema,
      streams: z.int(),
      head: keyLogHeadSchema,
      alarm: z.enum(KEY_LOG_ALARMS).nullable(),
      alarmAtMs: z.int().nullable(),
      auditHead: auditHeadSchema.nullable(),
      version: z.string(),
    }),
    others: z.array(z.strictObject({ name: z.string(), folder: z.string() })),
  }),
  devices: z.strictObject({ devices: z.array(listedDeviceSchema) }),
  "blocked-devices": z.strictObject({ blocked: blockedDevicesSchema }),
  unblocked: z.strictObject({ device: digestIdSchema }),
  cut: z.strictObject({
    device: digestIdSchema,
    result: z.strictObject({ streamsClosed: z.int(), removed: z.int(), done: z.boolean() }).exactOptional(),
  }),
  owners: z.strictObject({ owners: z.array(listedOwnerSchema), recoveryKey: ed25519KeySchema.nullable(), waiting: waitingSchema }),
  policy: z.union([
    z.strictObject({ policy: ownerPolicySchema, waiting: waitingSchema }),
    asked.extend({ before: ownerPolicySchema, after: ownerPolicySchema }),
  ]),
  "access-list": accessListFacts.extend({ alarm: z.enum(KEY_LOG_ALARMS).nullable() }),
  history: z.strictObject({ head: auditHeadSchema.nullable() }),
  verified: z.union([
    accessListFacts,
    z.strictObject({ head: auditHeadSchema.nullable(), expected: auditHeadSchema.nullable() }),
    z.strictObject({ receipt: receiptStatementSchema, log: z.string().nullable(), room: z.unknown() }),
  ]),
  "owner-add": asked,
  "owner-role": asked,
  "owner-remove": ok,
  "recovery-remove": ok,
  "revoke-all": ok,
  resume: asked,
  "rotate-key": ok,
  "rotate-secret": ok,
  /** What a file adds; nothing is changed by it. */
  restore: z.strictObject({ added: z.array(z.strictObject({ seq: z.int(), atMs: z.int(), type: z.string() })) }),
  restored: z.strictObject({ entries: z.int(), head: keyLogHeadSchema }),
  reset: z.strictObject({}),
  install: z.strictObject({ unit: z.string(), path: z.string() }),
  "settings-restored": z.strictObject({ changes: settingsChanges }),
  "settings-unknown": z.strictObject({ commands: z.array(z.string()) }),
  uninstalled: z.strictObject({ folderRemoved: z.boolean() }),
} as const satisfies Readonly<Record<string, z.ZodType>>;
