-- Verify shop:index_orders on pg

BEGIN;

SELECT 1 / count(*) FROM pg_index WHERE indexrelid = 'orders_by_customer'::regclass AND indisvalid;

ROLLBACK;
