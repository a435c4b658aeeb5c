-- Deploy shop:discontinued_products to pg

BEGIN;

ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with -- Revert on it', 100, true);

COMMIT;
