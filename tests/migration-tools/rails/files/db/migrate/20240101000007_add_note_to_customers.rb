class AddNoteToCustomers < ActiveRecord::Migration[6.1]
  def up
    add_column :customers, :note, :text
    execute "UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1"
  end

  def down
    remove_column :customers, :note
  end
end
