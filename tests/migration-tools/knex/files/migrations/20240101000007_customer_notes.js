exports.up = async (knex) => {
  await knex.raw(`
ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
`);
};

exports.down = async (knex) => {
  await knex.raw(`
ALTER TABLE customers DROP COLUMN note;
`);
};
