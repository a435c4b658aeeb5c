-- Deploy shop:customer_notes to pg

BEGIN;

ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;

COMMIT;
