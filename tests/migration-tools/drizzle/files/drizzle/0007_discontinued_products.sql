ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
--> statement-breakpoint
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with --> statement-break on it', 100, true);
