DROP INDEX `audit_events_id`;--> statement-breakpoint
CREATE INDEX `audit_events_time` ON `audit_events` (`at_ms`);--> statement-breakpoint
CREATE INDEX `pairing_requests_time` ON `pairing_requests` (`decided_at_ms`);