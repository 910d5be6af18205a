CREATE TABLE `account_sessions` (
	`selector` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`audience` text NOT NULL,
	`mac` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `account_sessions_account` ON `account_sessions` (`account_id`);--> statement-breakpoint
CREATE TABLE `accounts` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`user_handle` text NOT NULL,
	`created_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `accounts_user_handle_unique` ON `accounts` (`user_handle`);--> statement-breakpoint
CREATE TABLE `audit_events` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`gateway_id` text,
	`device_id` text,
	`actor` text NOT NULL,
	`action` text NOT NULL,
	`detail` text NOT NULL,
	`at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_events_account_time` ON `audit_events` (`account_id`,`at_ms`);--> statement-breakpoint
CREATE UNIQUE INDEX `audit_events_id` ON `audit_events` (`id`);--> statement-breakpoint
CREATE TABLE `connectors` (
	`gateway_id` text PRIMARY KEY NOT NULL,
	`public_key` text NOT NULL,
	`machine` text NOT NULL,
	`platform` text NOT NULL,
	`enrolled_at_ms` integer NOT NULL,
	FOREIGN KEY (`gateway_id`) REFERENCES `gateways`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `device_tokens` (
	`gateway_id` text NOT NULL,
	`device_id` text NOT NULL,
	`current_mac` text NOT NULL,
	`previous_mac` text,
	`rotated_at_ms` integer NOT NULL,
	`is_frozen` integer NOT NULL,
	PRIMARY KEY(`gateway_id`, `device_id`)
);
--> statement-breakpoint
CREATE TABLE `devices` (
	`gateway_id` text NOT NULL,
	`id` text NOT NULL,
	`public_key` text NOT NULL,
	`name` text NOT NULL,
	`platform` text NOT NULL,
	`browser` text NOT NULL,
	`state` text NOT NULL,
	`access` text NOT NULL,
	`not_after_ms` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`last_seen_ms` integer,
	`updated_seq` integer NOT NULL,
	PRIMARY KEY(`gateway_id`, `id`)
);
--> statement-breakpoint
CREATE TABLE `enrolments` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text,
	`gateway_id` text,
	`state` text NOT NULL,
	`ticket_mac` text,
	`machine` text,
	`platform` text,
	`connector_key` text,
	`commitment` text,
	`page_nonce` text,
	`page_mac` text,
	`connector_nonce` text,
	`owner_keys` text,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `gateway_members` (
	`gateway_id` text NOT NULL,
	`account_id` text NOT NULL,
	`role` text NOT NULL,
	PRIMARY KEY(`gateway_id`, `account_id`),
	FOREIGN KEY (`gateway_id`) REFERENCES `gateways`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `gateway_members_account` ON `gateway_members` (`account_id`);--> statement-breakpoint
CREATE TABLE `gateways` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `gateways_account` ON `gateways` (`account_id`);--> statement-breakpoint
CREATE TABLE `grants` (
	`id` text PRIMARY KEY NOT NULL,
	`gateway_id` text NOT NULL,
	`device_id` text NOT NULL,
	`statement` text NOT NULL,
	`assertion` text NOT NULL,
	`state` text NOT NULL,
	`issued_at_ms` integer NOT NULL,
	`not_after_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `grants_gateway` ON `grants` (`gateway_id`);--> statement-breakpoint
CREATE TABLE `one_time_codes` (
	`selector` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`mac` text NOT NULL,
	`payload` text NOT NULL,
	`expires_at_ms` integer NOT NULL,
	`consumed_at_ms` integer
);
--> statement-breakpoint
CREATE TABLE `pairing_requests` (
	`id` text PRIMARY KEY NOT NULL,
	`gateway_id` text NOT NULL,
	`device_id` text NOT NULL,
	`outcome` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`decided_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `pairing_requests_gateway` ON `pairing_requests` (`gateway_id`);--> statement-breakpoint
CREATE TABLE `passkeys` (
	`credential_id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text NOT NULL,
	`cose_key` text NOT NULL,
	`jwk` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`last_used_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `passkeys_account` ON `passkeys` (`account_id`);--> statement-breakpoint
CREATE TABLE `recovery_codes` (
	`mac` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`used_at_ms` integer,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `recovery_codes_account` ON `recovery_codes` (`account_id`);