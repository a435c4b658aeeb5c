--liquibase formatted sql

--changeset bo:create-products stripComments:false
--comment: The catalogue
CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0)
);
--rollback DROP TABLE products;

--changeset bo:products-rows stripComments:false
INSERT INTO products (id, name, price_cents) VALUES (1, 'tea; green', 450), (2, 'cup -- blue', 1200),
    (3, 'pot /* iron */ it''s heavy', 8900);
--rollback DELETE FROM products;
