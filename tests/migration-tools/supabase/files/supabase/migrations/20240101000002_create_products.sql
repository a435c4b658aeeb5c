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
