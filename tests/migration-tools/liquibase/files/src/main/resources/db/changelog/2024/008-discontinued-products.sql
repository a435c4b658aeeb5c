--liquibase formatted sql

--changeset bo:discontinued-products stripComments:false
ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with --rollback on it', 100, true);
--rollback DELETE FROM products WHERE id = 4;
--rollback ALTER TABLE products DROP COLUMN discontinued;
