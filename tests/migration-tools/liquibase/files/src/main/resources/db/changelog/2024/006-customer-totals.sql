--liquibase formatted sql

--changeset ada:customer_totals runOnChange:true stripComments:false
CREATE OR REPLACE VIEW customer_totals AS
    SELECT id, name, order_total(id) AS total_cents
    FROM customers;
COMMENT ON VIEW customer_totals IS 'first line
second line';
--rollback DROP VIEW customer_totals;
