-- Up Migration
ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;

-- Down Migration
ALTER TABLE customers DROP COLUMN note;
