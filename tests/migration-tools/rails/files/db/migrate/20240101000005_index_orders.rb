class IndexOrders < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!

  def change
    add_index :orders, :customer_id, name: "orders_by_customer", algorithm: :concurrently
  end
end
