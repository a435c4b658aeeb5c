-- The next version: 1 % of the orders updated at random, 2 % more orders, 0.2 % deleted, 0.5 % of the customers
-- changed. `-v version=N -v scale=N`.
select setseed(0.1 * (:version % 10) / 2 + 0.01 * (:version / 10 % 10));
update orders set status = 'done', amount = amount + (random() * 10)::numeric(10, 2) where random() < 0.01;
delete from orders where random() < 0.002;
insert into orders
select n.last + i, 1 + (random() * 499999 * :scale)::bigint, 'new', (random() * 1000)::numeric(10, 2),
       timestamptz '2026-01-01 00:00+00' + random() * interval '10 days', encode(sha224(random()::text::bytea), 'base64')
from generate_series(1, (50000 * :scale)::bigint) i, (select max(id) as last from orders) n;
update customers set profile = jsonb_set(profile, '{visits}', to_jsonb((random() * 1000)::int)) where random() < 0.005;
checkpoint;
