// CREATE INDEX CONCURRENTLY does not run in a transaction.
exports.config = { transaction: false };

exports.up = async (knex) => {
  await knex.raw(`
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);
`);
};

exports.down = async (knex) => {
  await knex.raw(`
DROP INDEX CONCURRENTLY orders_by_customer;
`);
};
