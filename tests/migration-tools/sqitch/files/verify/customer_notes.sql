-- Verify shop:customer_notes on pg

BEGIN;

SELECT note FROM customers WHERE false;

ROLLBACK;
