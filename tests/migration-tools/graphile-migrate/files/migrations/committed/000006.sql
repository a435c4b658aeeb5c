--! Previous: sha1:7859d9962d120ff4abe1741167c10460be7ee674
--! Hash: sha1:91dc2c8e04611ad561cf503e2abf37b97be89121

CREATE VIEW customer_totals AS
    SELECT id, name, order_total(id) AS total_cents
    FROM customers;
COMMENT ON VIEW customer_totals IS 'first line
second line';
