CREATE TABLE `recovery_keys` (
	`account_id` text PRIMARY KEY NOT NULL,
	`statement` text NOT NULL,
	`assertion` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
