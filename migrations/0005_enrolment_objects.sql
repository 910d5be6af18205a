DROP TABLE `enrolments`;--> statement-breakpoint
ALTER TABLE `gateways` ADD `claimed_at_ms` integer;--> statement-breakpoint
UPDATE `gateways` SET `claimed_at_ms` = (SELECT `enrolled_at_ms` FROM `connectors` WHERE `connectors`.`gateway_id` = `gateways`.`id`);
