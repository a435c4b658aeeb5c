class AddDiscontinuedToProducts < ActiveRecord::Migration[6.1]
  def up
    execute <<~'SQL'
      ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
      INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with def down on it', 100, true);
    SQL
  end

  def down
    execute <<~'SQL'
      DELETE FROM products WHERE id = 4;
      ALTER TABLE products DROP COLUMN discontinued;
    SQL
  end
end
