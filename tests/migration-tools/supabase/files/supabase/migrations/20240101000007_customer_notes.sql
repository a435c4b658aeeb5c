ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
