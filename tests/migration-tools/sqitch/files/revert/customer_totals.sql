-- Revert shop:customer_totals from pg

BEGIN;

DROP VIEW customer_totals;

COMMIT;
