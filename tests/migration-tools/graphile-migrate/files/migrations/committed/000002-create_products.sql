--! Previous: sha1:e32f424fc9c445b606033d112ae099e41be32a50
--! Hash: sha1:d0a632dfe7fac243e40286e95f78ddba7eea4250
--! Message: create_products

CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0)
);
/* Literals that look like other things; */
INSERT INTO products (id, name, price_cents) VALUES
    (1, 'tea; green', 450),
    (2, 'cup -- blue', 1200),
    (3, 'pot /* iron */ it''s heavy', 8900);
