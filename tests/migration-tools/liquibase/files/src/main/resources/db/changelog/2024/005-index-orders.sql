--liquibase formatted sql

--changeset ada:index_orders runInTransaction:false stripComments:false
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);
--rollback DROP INDEX CONCURRENTLY orders_by_customer;
