-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);

-- migrate:down
DROP INDEX CONCURRENTLY orders_by_customer;
