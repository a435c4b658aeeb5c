-- Up Migration
ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with -- Down Migration on it', 100, true);

-- Down Migration
DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;
