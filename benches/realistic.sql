-- A database with the entropy of a real one: customers with jsonb, orders with notes that hardly compress, text
-- documents that never change. The filler of pgbench compresses 36:1, which makes every result look too good.
-- `-v scale=N`: 1 is 372 MB.
select setseed(0.5);
create table customers (
    id bigint primary key, email text not null, created timestamptz not null, profile jsonb not null);
create table orders (
    id bigint primary key, customer bigint not null, status text not null, amount numeric(10, 2) not null,
    placed timestamptz not null, note text not null);
create table docs (id bigint primary key, title text not null, body text not null);

insert into customers
select i, 'user' || i || '@' || md5(random()::text) || '.example',
       timestamptz '2020-01-01 00:00+00' + random() * interval '2000 days',
       jsonb_build_object('name', md5(random()::text), 'city', (array['Aachen', 'Bern', 'Cork', 'Delft', 'Essen'])[1 + (random() * 4)::int],
                          'visits', (random() * 1000)::int, 'flags', jsonb_build_array(random() < 0.5, random() < 0.1))
from generate_series(1, (500000 * :scale)::bigint) i;

insert into orders
select i, 1 + (random() * 499999 * :scale)::bigint, (array['new', 'paid', 'sent', 'done', 'back'])[1 + (random() * 4)::int],
       (random() * 1000)::numeric(10, 2), timestamptz '2020-01-01 00:00+00' + random() * interval '2000 days',
       encode(sha224(random()::text::bytea), 'base64')
from generate_series(1, (2500000 * :scale)::bigint) i;

insert into docs
select i, 'document ' || i,
       (select string_agg((array['backup', 'commit', 'restore', 'table', 'schema', 'index', 'note', 'branch', 'merge', 'query'])[1 + (random() * 9)::int]
                          || ' ' || (random() * 100)::int, ' ') from generate_series(1, 20 + i % 3))
from generate_series(1, (150000 * :scale)::bigint) i;
vacuum (freeze, analyze);
checkpoint;
