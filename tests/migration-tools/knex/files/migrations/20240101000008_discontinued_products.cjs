exports.up = async (knex) => {
  await knex.raw(`
ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with exports.down on it', 100, true);
`);
};

exports.down = async (knex) => {
  await knex.raw(`
DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;
`);
};
