-- Verify shop:create_products on pg

BEGIN;

SELECT 1 / count(*) FROM products;

ROLLBACK;
