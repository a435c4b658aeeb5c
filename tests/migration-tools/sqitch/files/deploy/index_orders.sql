-- Deploy shop:index_orders to pg

CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);
