-- Verify shop:customer_totals on pg

BEGIN;

SELECT total_cents FROM customer_totals WHERE false;

ROLLBACK;
