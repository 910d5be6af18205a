/** D1 tables (drizzle). Ids are text, times integer milliseconds; secrets appear only as MACs. Migrations are generated from here. */
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

export const accounts = sqliteTable("accounts", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  /** WebAuthn user handle, base64url. */
  userHandle: text("user_handle").notNull().unique(),
  createdAtMs: integer("created_at_ms").notNull(),
});

export const passkeys = sqliteTable(
  "passkeys",
  {
    credentialId: text("credential_id").primaryKey(),
    accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    /** COSE key as registered, base64url, and the same key as JWK text. */
    coseKey: text("cose_key").notNull(),
    jwk: text("jwk").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    lastUsedAtMs: integer("last_used_at_ms"),
    /** MAC over account, credential and keys (auth/passkey-seal.ts): a row that was made or moved by hand is nobody's. */
    seal: text("seal").notNull().default(""),
  },
  (table) => [index("passkeys_account").on(table.accountId)],
); // prettier-ignore

export const accountSessions = sqliteTable(
  "account_sessions",
  {
    selector: text("selector").primaryKey(),
    accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
    /** Which origin's cookie: a session of one is nothing at the other. */
    audience: text("audience", { enum: ["app", "approve"] }).notNull(),
    mac: text("mac").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    expiresAtMs: integer("expires_at_ms").notNull(),
  },
  (table) => [index("account_sessions_account").on(table.accountId), index("account_sessions_expires").on(table.expiresAtMs)],
); // prettier-ignore

export const recoveryCodes = sqliteTable(
  "recovery_codes",
  {
    mac: text("mac").primaryKey(),
    accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
    usedAtMs: integer("used_at_ms"),
  },
  (table) => [index("recovery_codes_account").on(table.accountId)],
); // prettier-ignore

/** An account's recovery key for its gateways, as an owner passkey signed it: public, and worth nothing without that signature. */
export const recoveryKeys = sqliteTable("recovery_keys", {
  accountId: text("account_id")
    .primaryKey()
    .references(() => accounts.id, { onDelete: "cascade" }),
  statement: text("statement").notNull(),
  /** List of hashes and assertion, JSON. */
  signature: text("assertion").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  /** MAC over account, statement, list and assertion (auth/recovery-key-seal.ts): a row that was made, moved or brought back by hand is nobody's. */
  seal: text("seal").notNull().default(""),
});

/** API tokens (auth/api-token.ts): the MAC covers account, selector and end, so that no row serves another account or lives longer. */
export const apiTokens = sqliteTable("api_tokens", {
  selector: text("selector").primaryKey(),
  accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
  name: text("name").notNull(),
  mac: text("mac").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  expiresAtMs: integer("expires_at_ms").notNull(),
  lastUsedAtMs: integer("last_used_at_ms"),
}, (table) => [index("api_tokens_account").on(table.accountId)]); // prettier-ignore

/** Everything that may be used once: sign-in nonces, hand-offs, invitations. */
export const oneTimeCodes = sqliteTable("one_time_codes", {
  selector: text("selector").primaryKey(),
  kind: text("kind", { enum: ["nonce", "handoff", "invitation"] }).notNull(),
  mac: text("mac").notNull(),
  /** JSON that the redeemer needs: account, S256 challenge. */
  payload: text("payload").notNull(),
  expiresAtMs: integer("expires_at_ms").notNull(),
  consumedAtMs: integer("consumed_at_ms"),
}, (table) => [index("one_time_codes_expires").on(table.expiresAtMs)]); // prettier-ignore

export const gateways = sqliteTable("gateways", {
  id: text("id").primaryKey(),
  accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
  name: text("name").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  /** When a connector first confirmed: from then on there is a room. */
  claimedAtMs: integer("claimed_at_ms"),
}, (table) => [index("gateways_account").on(table.accountId)]); // prettier-ignore

export const gatewayMembers = sqliteTable(
  "gateway_members",
  {
    gatewayId: text("gateway_id").notNull().references(() => gateways.id, { onDelete: "cascade" }),
    accountId: text("account_id").notNull().references(() => accounts.id, { onDelete: "cascade" }),
    role: text("role", { enum: ["owner", "approver", "member", "viewer"] }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.gatewayId, table.accountId] }), index("gateway_members_account").on(table.accountId)],
); // prettier-ignore

export const connectors = sqliteTable("connectors", {
  gatewayId: text("gateway_id")
    .primaryKey()
    .references(() => gateways.id, { onDelete: "cascade" }),
  publicKey: text("public_key").notNull(),
  machine: text("machine").notNull(),
  platform: text("platform").notNull(),
  enrolledAtMs: integer("enrolled_at_ms").notNull(),
});

export const devices = sqliteTable(
  "devices",
  {
    gatewayId: text("gateway_id").notNull(),
    id: text("id").notNull(),
    publicKey: text("public_key").notNull(),
    name: text("name").notNull(),
    platform: text("platform").notNull(),
    browser: text("browser").notNull(),
    state: text("state", { enum: ["waiting", "allowed", "approve-again", "cut"] }).notNull(),
    access: text("access").notNull(),
    notAfterMs: integer("not_after_ms").notNull(),
    createdAtMs: integer("created_at_ms").notNull(),
    lastSeenMs: integer("last_seen_ms"),
    updatedSeq: integer("updated_seq").notNull(),
  },
  (table) => [primaryKey({ columns: [table.gatewayId, table.id] })],
);

export const grants = sqliteTable("grants", {
  id: text("id").primaryKey(),
  gatewayId: text("gateway_id").notNull(),
  deviceId: text("device_id").notNull(),
  /** Exact signed bytes, and list of hashes and assertion (JSON), as the connector received them. */
  statement: text("statement").notNull(),
  signature: text("assertion").notNull(),
  state: text("state", { enum: ["owed", "live", "refused", "revoked"] }).notNull(),
  issuedAtMs: integer("issued_at_ms").notNull(),
  notAfterMs: integer("not_after_ms").notNull(),
}, (table) => [index("grants_gateway").on(table.gatewayId)]); // prettier-ignore

export const deviceTokens = sqliteTable("device_tokens", {
  gatewayId: text("gateway_id").notNull(),
  deviceId: text("device_id").notNull(),
  currentMac: text("current_mac").notNull(),
  previousMac: text("previous_mac"),
  rotatedAtMs: integer("rotated_at_ms").notNull(),
  isFrozen: integer("is_frozen", { mode: "boolean" }).notNull(),
}, (table) => [primaryKey({ columns: [table.gatewayId, table.deviceId] })]); // prettier-ignore

export const pairingRequests = sqliteTable("pairing_requests", {
  id: text("id").primaryKey(),
  gatewayId: text("gateway_id").notNull(),
  deviceId: text("device_id").notNull(),
  outcome: text("outcome", { enum: ["allowed", "denied", "expired", "wrong-code", "withdrawn"] }).notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  decidedAtMs: integer("decided_at_ms").notNull(),
}, (table) => [index("pairing_requests_gateway").on(table.gatewayId), index("pairing_requests_time").on(table.decidedAtMs)]); // prettier-ignore

export const auditEvents = sqliteTable(
  "audit_events",
  {
    id: text("id").primaryKey(),
    accountId: text("account_id").notNull(),
    gatewayId: text("gateway_id"),
    deviceId: text("device_id"),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    /** Flat JSON, no content and no secrets. */
    detail: text("detail").notNull(),
    atMs: integer("at_ms").notNull(),
    /** Place and hash in the gateway's audit chain (PROTOCOL.md AU). */
    seq: integer("seq"),
    hash: text("hash"),
  },
  (table) => [index("audit_events_account_time").on(table.accountId, table.atMs), index("audit_events_time").on(table.atMs)],
);
