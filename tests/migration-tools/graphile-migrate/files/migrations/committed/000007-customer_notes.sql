--! Previous: sha1:91dc2c8e04611ad561cf503e2abf37b97be89121
--! Hash: sha1:45cd9900e10b4c0aadf96efe980caff8a9c20060
--! Message: customer_notes

ALTER TABLE customers ADD COLUMN note text;
UPDATE customers SET note = 'Größe – 5 €; süß ☕' WHERE id = 1;
