DELETE FROM products WHERE id = 4;
ALTER TABLE products DROP COLUMN discontinued;
