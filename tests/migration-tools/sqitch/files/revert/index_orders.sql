-- Revert shop:index_orders from pg

DROP INDEX CONCURRENTLY orders_by_customer;
