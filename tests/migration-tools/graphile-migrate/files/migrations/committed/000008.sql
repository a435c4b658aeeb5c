--! Previous: sha1:45cd9900e10b4c0aadf96efe980caff8a9c20060
--! Hash: sha1:20b61504920f794b696448da0948f689be44b9ed

ALTER TABLE products ADD COLUMN discontinued boolean NOT NULL DEFAULT false;
INSERT INTO products (id, name, price_cents, discontinued) VALUES (4, 'sheet with --! Hash: on it', 100, true);
