-- Revert shop:discontinued_products from pg

BEGIN;

DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;

COMMIT;
