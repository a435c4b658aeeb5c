-- Verify shop:order_total on pg

BEGIN;

SELECT has_function_privilege('order_total(integer)', 'execute');

ROLLBACK;
