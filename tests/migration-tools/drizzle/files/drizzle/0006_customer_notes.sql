ALTER TABLE customers ADD COLUMN note text;--> statement-breakpoint
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
