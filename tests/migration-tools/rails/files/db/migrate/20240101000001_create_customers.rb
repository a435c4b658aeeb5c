class CreateCustomers < ActiveRecord::Migration[6.1]
  def change
    create_table :customers, id: :integer, comment: "one row for each customer; it's the first table" do |t|
      t.text :email, null: false, index: { unique: true }
      t.text :name, null: false
    end
  end
end
