--liquibase formatted sql

--changeset ada:customer_notes stripComments:false
ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
--rollback ALTER TABLE customers DROP COLUMN note;
