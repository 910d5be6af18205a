/** Schemas of everything that somebody signs. All strict: an ignored member would be a silent widening. */
import * as z from "zod";
import { MAX_NAME_CHARS, MAX_OWNER_KEYS, MAX_SIGNED_TOGETHER } from "./limits.ts";
import { ACCESS_LEVELS, LOCAL_ACTS } from "./words.ts";

const base64url = (bytes: number) =>
  z
    .string()
    .length(Math.ceil((bytes * 4) / 3))
    .regex(/^[A-Za-z0-9_-]+$/);
/** 32 random bytes, base64url. */
export const nonceSchema = base64url(32);
/** SHA-256, base64url. */
export const hashSchema = base64url(32);
export const base64urlSchema = z.string().regex(/^[A-Za-z0-9_-]*$/);
const msSchema = z.int().min(0);

/** Gateway id and label of its origin: 80 random bits and a 32-bit MAC as 23 lower-case base32 digits. */
export const gatewayIdSchema = z.string().regex(/^[a-z2-7]{23}$/);
/** Ids derived by digest: device, request, grant. 26 lower-case base32 digits (130 bits). */
export const digestIdSchema = z.string().regex(/^[a-z2-7]{26}$/);
/** Random row ids: account, passkey row, enrolment, audit event. UUID or digest. */
export const rowIdSchema = z.string().regex(/^[0-9a-z-]{20,40}$/);
/** A name that a person typed or a device claimed: trimmed, no control characters. */
export const nameSchema = z
  .string()
  .min(1)
  .max(MAX_NAME_CHARS)
  // oxlint-disable-next-line no-control-regex -- control and direction characters are what it refuses
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$/);

export const ed25519KeySchema = z.strictObject({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: base64url(32) });
export const p256KeySchema = z.strictObject({ kty: z.literal("EC"), crv: z.literal("P-256"), x: base64url(32), y: base64url(32) });
export const rsaKeySchema = z.strictObject({
  kty: z.literal("RSA"),
  n: z
    .string()
    .min(340)
    .max(700)
    .regex(/^[A-Za-z0-9_-]+$/),
  e: z
    .string()
    .max(8)
    .regex(/^[A-Za-z0-9_-]+$/),
});

/** Public key of a device: never small-order, on the curve; core/trust/public-key.ts checks what a pattern cannot. */
export const deviceKeySchema = z.discriminatedUnion("kty", [ed25519KeySchema, p256KeySchema]);
export type DeviceKey = z.infer<typeof deviceKeySchema>;
export const connectorKeySchema = ed25519KeySchema;
export type ConnectorKey = z.infer<typeof connectorKeySchema>;

/** Public key of a passkey, from its COSE form at registration. */
export const passkeyKeySchema = z.discriminatedUnion("kty", [ed25519KeySchema, p256KeySchema, rsaKeySchema]);
export const ownerKeySchema = z.strictObject({ credentialId: base64urlSchema.min(1).max(1400), key: passkeyKeySchema });
export type OwnerKey = z.infer<typeof ownerKeySchema>;

export const accessSchema = z.enum(ACCESS_LEVELS);

/**
 * Signed by the passkey that becomes the first owner: begins the key log of one gateway on one machine. `ceremony`: SHA-256 of the enrolment's
 * transcript (core/trust/enrolment.ts), which binds both nonces and the names that page and terminal showed.
 */
export const genesisStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  gatewayOrigin: z.string().max(300),
  appOrigin: z.string().max(300),
  approveOrigin: z.string().max(300),
  rpId: z.string().max(253),
  connectorKey: connectorKeySchema,
  account: rowIdSchema,
  ownerKey: ownerKeySchema,
  ceremony: hashSchema,
  issuedAtMs: msSchema,
  applyByMs: msSchema,
});
export type GenesisStatement = z.infer<typeof genesisStatementSchema>;
/** Everything of it that the page fixes before the connector opens its commitment. */
export const genesisDraftSchema = genesisStatementSchema.omit({ ceremony: true });
export type GenesisDraft = z.infer<typeof genesisDraftSchema>;

/**
 * Owner-signed admission of one device key to one gateway. `request`: the pairing request it answers (kind `ask`), or the grant of the log
 * before (kind `again`); `activation`: SHA-256 of the code (kind `owner`).
 */
export const grantStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  device: digestIdSchema,
  key: deviceKeySchema,
  name: nameSchema,
  access: accessSchema,
  kind: z.enum(["ask", "owner", "again"]),
  request: digestIdSchema.nullable(),
  activation: hashSchema.nullable(),
  /** Hash of the key log's last entry that the owner's page knew; null before there was any. */
  head: hashSchema.nullable(),
  issuedAtMs: msSchema,
  applyByMs: msSchema,
  notAfterMs: msSchema,
});
export type GrantStatement = z.infer<typeof grantStatementSchema>;

/**
 * Which page gets OpenClaw's credentials in a new session: the one that connects under this key, or, where the stock page's storage is not read,
 * the first that brings this cookie. Both are SHA-256: of the raw public key, of the cookie's text.
 */
export const handoverSchema = z.union([z.strictObject({ key: hashSchema }), z.strictObject({ once: hashSchema })]);
export type Handover = z.infer<typeof handoverSchema>;

/** Signed by the device key at the door; opens a session. */
export const sessionStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  device: digestIdSchema,
  grant: digestIdSchema,
  origin: z.string().max(300),
  roomNonce: nonceSchema,
  connectorNonce: nonceSchema,
  connectorKey: hashSchema,
  handover: handoverSchema,
  iatMs: msSchema,
  expMs: msSchema,
});
export type SessionStatement = z.infer<typeof sessionStatementSchema>;

/** Signed by the device key when it asks the owner: proves possession before anything is stored. */
export const askStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  key: deviceKeySchema,
  origin: z.string().max(300),
  access: accessSchema,
  roomNonce: nonceSchema,
});
export type AskStatement = z.infer<typeof askStatementSchema>;

/** May grant up to the policy of the gateway's machine, and change who else may decide. */
export const ownerRoleKindSchema = z.strictObject({ kind: z.literal("owner") });
/** Grants up to a ceiling of its own; `maxExpiryMs` counts from the signature. */
export const approverRoleKindSchema = z.strictObject({ kind: z.literal("approver"), maxAccess: accessSchema, maxExpiryMs: msSchema });
/** What a person may be at a gateway. A viewer decides nothing, so that no passkey of a viewer's ever comes into a key log. */
export const personRoleSchema = z.discriminatedUnion("kind", [
  ownerRoleKindSchema,
  approverRoleKindSchema,
  z.strictObject({ kind: z.literal("viewer") }),
]);
export type PersonRole = z.infer<typeof personRoleSchema>;

/**
 * Signed by a pinned owner passkey: pins one more. Without `person` it is one of the account's own, at every gateway. With `person` it is
 * somebody else's, at this one gateway, in this role; `head` is the hash of the key log's last entry that the signer's page knew.
 */
export const ownerKeyStatementSchema = z.strictObject({
  v: z.literal(1),
  account: rowIdSchema,
  credentialId: base64urlSchema.min(1).max(1400),
  key: passkeyKeySchema,
  issuedAtMs: msSchema,
  person: z.strictObject({ gateway: gatewayIdSchema, role: personRoleSchema, head: hashSchema.nullable() }).optional(),
});
export type OwnerKeyStatement = z.infer<typeof ownerKeyStatementSchema>;

/**
 * Signed by another owner passkey: takes one out. With `gateway` at that one only, and the passkey that goes may then sign it itself.
 */
export const ownerRemoveStatementSchema = z.strictObject({
  v: z.literal(1),
  account: rowIdSchema,
  credentialId: base64urlSchema.min(1).max(1400),
  issuedAtMs: msSchema,
  gateway: gatewayIdSchema.optional(),
});
export type OwnerRemoveStatement = z.infer<typeof ownerRemoveStatementSchema>;

/** Public half of a recovery key: written down by its owner, held by no program. */
export const recoveryKeySchema = ed25519KeySchema;
export type RecoveryKey = z.infer<typeof recoveryKeySchema>;

/** Signed by an owner passkey: from here on this recovery key counts, and no earlier one. */
export const recoveryKeyStatementSchema = z.strictObject({
  v: z.literal(1),
  account: rowIdSchema,
  key: recoveryKeySchema,
  issuedAtMs: msSchema,
});
export type RecoveryKeyStatement = z.infer<typeof recoveryKeyStatementSchema>;

/** Signed by the recovery key: pins one owner passkey and takes out those that were lost. It can say nothing else. */
export const recoverStatementSchema = z.strictObject({
  v: z.literal(1),
  account: rowIdSchema,
  credentialId: base64urlSchema.min(1).max(1400),
  key: passkeyKeySchema,
  remove: z.array(base64urlSchema.min(1).max(1400)).max(MAX_OWNER_KEYS),
  issuedAtMs: msSchema,
});
export type RecoverStatement = z.infer<typeof recoverStatementSchema>;

/** What an owner may have done on the gateway's machine from elsewhere. */
export const localActSchema = z.enum(LOCAL_ACTS);

/** Signed by an owner passkey: one act on one gateway's machine. `subject`: hash of the settings diff that it applies; null for other acts. */
export const localActStatementSchema = z.strictObject({
  v: z.literal(1),
  gateway: gatewayIdSchema,
  act: localActSchema,
  subject: hashSchema.nullable(),
  /** Hash of the key log's last entry that the owner's page knew. */
  head: hashSchema,
  issuedAtMs: msSchema,
  applyByMs: msSchema,
});
export type LocalActStatement = z.infer<typeof localActStatementSchema>;

/** A WebAuthn assertion as it travels (WebAuthn L3 §7.2), all base64url. */
export const assertionSchema = z.strictObject({
  credentialId: base64urlSchema.min(1).max(1400),
  authenticatorData: base64urlSchema.min(40).max(2000),
  clientDataJSON: base64urlSchema.min(40).max(4000),
  signature: base64urlSchema.min(40).max(1400),
});
export type Assertion = z.infer<typeof assertionSchema>;

/**
 * Exact body bytes (base64url), the hashes of all statements that were signed with it in one gesture, and the passkey's signature over
 * that list (PROTOCOL.md OS2). Each verifies without the others.
 */
export const signedByOwnerSchema = z.strictObject({
  statement: base64urlSchema.max(5600),
  list: z.array(hashSchema).min(1).max(MAX_SIGNED_TOGETHER),
  assertion: assertionSchema,
});
export type SignedByOwner = z.infer<typeof signedByOwnerSchema>;

/** Exact body bytes (base64url) with the device key's raw signature over tag || bytes. */
export const signedByDeviceSchema = z.strictObject({ statement: base64urlSchema.max(5600), signature: base64url(64) });
export type SignedByDevice = z.infer<typeof signedByDeviceSchema>;

/** Exact body bytes (base64url) with the recovery key's raw signature over tag || bytes. */
export const signedByRecoverySchema = z.strictObject({ statement: base64urlSchema.max(5600), signature: base64url(64) });
export type SignedByRecovery = z.infer<typeof signedByRecoverySchema>;
