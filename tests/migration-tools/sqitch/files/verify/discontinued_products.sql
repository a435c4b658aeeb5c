-- Verify shop:discontinued_products on pg

BEGIN;

SELECT discontinued FROM products WHERE false;

ROLLBACK;
