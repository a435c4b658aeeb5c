-- Verify shop:create_orders on pg

BEGIN;

SELECT 1 / count(*) FROM orders;

ROLLBACK;
