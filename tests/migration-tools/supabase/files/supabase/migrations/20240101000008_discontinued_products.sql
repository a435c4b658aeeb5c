ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with -- down on it', 100, true);
