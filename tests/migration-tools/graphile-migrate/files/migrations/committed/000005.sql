--! Previous: sha1:0459a9c78d6cc98a8db55dd695717c7d6ef5441f
--! Hash: sha1:7859d9962d120ff4abe1741167c10460be7ee674

--! no-transaction
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer_id);
