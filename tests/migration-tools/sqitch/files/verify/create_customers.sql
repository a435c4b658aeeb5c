-- Verify shop:create_customers on pg

BEGIN;

SELECT id, email, name FROM customers WHERE false;

ROLLBACK;
