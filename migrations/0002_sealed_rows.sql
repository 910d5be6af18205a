ALTER TABLE `passkeys` ADD `seal` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `account_sessions_expires` ON `account_sessions` (`expires_at_ms`);--> statement-breakpoint
CREATE INDEX `enrolments_expires` ON `enrolments` (`expires_at_ms`);--> statement-breakpoint
CREATE INDEX `one_time_codes_expires` ON `one_time_codes` (`expires_at_ms`);