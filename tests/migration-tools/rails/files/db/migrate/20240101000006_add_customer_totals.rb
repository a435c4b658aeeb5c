class AddCustomerTotals < ActiveRecord::Migration[6.1]
  def up
    execute <<~'SQL'
      CREATE VIEW customer_totals AS
          SELECT id, name, order_total(id) AS total_cents
          FROM customers;
      COMMENT ON VIEW customer_totals IS 'first line
      second line';
    SQL
  end

  def down
    execute <<~'SQL'
      DROP VIEW customer_totals;
    SQL
  end
end
