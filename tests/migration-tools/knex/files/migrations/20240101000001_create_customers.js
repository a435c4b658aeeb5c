exports.up = async (knex) => {
  await knex.schema.createTable('customers', (table) => {
    table.increments('id');
    table.text('email').notNullable().unique();
    table.text('name').notNullable();
    table.comment("one row for each customer; the first table");
  });
};

exports.down = (knex) => knex.schema.dropTable('customers');
