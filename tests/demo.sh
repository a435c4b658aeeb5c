#!/usr/bin/env bash
# The demonstration: a small shop, its schema in git, its database in a throw-away PostgreSQL cluster, backups on
# their commits, one of them restored. Each command is printed before it runs. `demo.sh <directory of git-pggit>`.
#
# Everything is in one new directory, which is kept for exploring. Nothing outside of it is read or written, not even
# the git configuration of the user.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/demo-stage.sh"

stop_after_failure() {
    cluster_stop
    printf '\nThe demonstration failed. What is there is in %s\n' "$sandbox" >&2
}
trap stop_after_failure EXIT

count() {
    sql "$1" "select (select count(*) from customers) || ' customers, ' || (select count(*) from orders) || ' orders, '
                  || (select count(*) from items) || ' items'"
}

chapter 'A database and the repository of its schema'
say "sandbox=$sandbox"
say 'A PostgreSQL server of its own, on a unix socket in the sandbox ...'
cluster_start "$sandbox"
sql postgres 'create database shop'
say "PostgreSQL $(sql shop 'show server_version'), $(git --version), $(git-pggit --version)"
mkdir -p "$sandbox/shop/migrations"
cd "$sandbox/shop"
git init -q .
printf '# shop\n\nThe schema of the shop: one file per migration.\n' >README.md
git add README.md
next_day git commit -q -m 'readme: what this is'
run 'git pggit init'
run 'git pggit database add shop --url postgresql:///shop'
run 'git pggit doctor'

chapter 'The first migrations, the first backup'
migrate 0001_customers.sql 'customers: a table' <<'SQL'
create table customers (
    id bigint generated always as identity primary key,
    name text not null,
    email text not null
);
SQL
migrate 0002_orders.sql 'orders: a table' <<'SQL'
create table orders (
    id bigint generated always as identity primary key,
    customer bigint not null references customers,
    at timestamptz not null default now()
);
SQL
sql shop "insert into customers (name, email) select 'customer ' || n, 'c' || n || '@example.com' from generate_series(1, 2000) n"
sql shop 'insert into orders (customer) select 1 + n % 2000 from generate_series(1, 5000) n'
say '2000 customers have ordered something. A backup belongs to the commit that the database is at:'
run 'git pggit backup create --name first-orders'

chapter 'A feature branch, merged, and a backup in another format'
git switch -q -c items
migrate 0003_items.sql 'items: what was ordered' <<'SQL'
create table items (
    "order" bigint not null references orders,
    line int not null,
    article text not null,
    price numeric(10, 2) not null,
    primary key ("order", line)
);
SQL
sql shop "insert into items select id, line, 'article ' || line, line * 9.95 from orders, generate_series(1, 4) line"
migrate 0004_items_by_article.sql 'items: find them by article' <<'SQL'
create index items_by_article on items (article);
SQL
git switch -q main
printf '\nApply them in order, each in one transaction.\n' >>README.md
next_day git commit -q -a -m 'readme: how to apply migrations'
next_day run 'git merge -q --no-ff -m "merge: items" items'
run 'git pggit mark'
run 'git pggit backup create --name with-items --format directory --jobs 2 --label milestone=items'
before=$(count shop)
say "in the database now: $before"

chapter 'A release: a plain SQL script, a tag, and a hold'
migrate 0005_revenue.sql 'revenue: a view' <<'SQL'
create view revenue as
    select c.id, c.name, sum(i.price) as total
    from customers c join orders o on o.customer = c.id join items i on i."order" = o.id
    group by c.id;
SQL
next_day git tag -a -m 'the first release' v1.0
sql shop 'insert into orders (customer) select 1 + n % 2000 from generate_series(1, 1000) n'
run 'git pggit backup create --name release-1.0 --format plain'
run 'git pggit backup tag release-1.0 release=1.0'
run 'git pggit backup hold release-1.0 --reason "audit of the first release"'

chapter 'A backup that another program made, and one that fails'
say 'Recorded is what you say about it: the bytes stay where they are.'
run 'git pggit backup register --commit v1.0 --name weekly-base --tool pg_basebackup --type full --location s3://shop-backups/base/v1.0 --size 734003200 --stored-size 209715200 --compression zstd:3'
say 'Failures are recorded, too, with the words of the tool:'
fails 'git pggit backup create --name reports --schema reports'

chapter 'A migration that loses something, and no backup since'
migrate 0006_no_email.sql 'customers: no mail addresses any more' <<'SQL'
alter table customers drop column email;
SQL
sql shop 'delete from items where "order" > 4000'

chapter 'What plain git shows'
run 'git log'
run 'git log --graph --all --oneline'

chapter 'What git pggit shows'
run 'git pggit backup list'
run 'git pggit backup coverage'
run 'git pggit backup coverage --commits HEAD'

chapter 'Twenty commits, twenty backups'
say 'Twenty times: customers order, the schema gets a comment, and everything is backed up, whole.'
sql shop "insert into customers (name) select md5(random()::text) from generate_series(1, 60000)"
dumps=0
for number in $(seq 1 20); do
    printf -- "comment on table orders is 'revision %s';\n" "$number" >"migrations/1$(printf %03d "$number")_comment.sql"
    git add migrations
    next_day git commit -q -m "orders: revision $number"
    sql shop "comment on table orders is 'revision $number'"
    sql shop 'insert into orders (customer) select 1 + (random() * 1999)::int from generate_series(1, 100)'
    sql shop "update customers set name = md5(random()::text) where id % 997 = $number"
    git pggit -q mark
    git pggit -q backup create --name "revision-$number" >/dev/null
    dumps=$((dumps + $(pg_dump -Fc shop | wc -c)))
done
run 'git pggit backup list --limit 5'
run 'git pggit store stats'
store=$(du -sb .git/pggit/store | cut -f1)
say "20 files of 'pg_dump -Fc' would have $((dumps / 1000)) kB; the store has $((store / 1000)) kB, with all backups before them"

chapter 'Back to the commit that had the items'
run 'git pggit backup restore with-items --into shop_restored'
restored=$(count shop_restored)
say "when it was backed up: $before"
say "restored:              $restored"
say "in the shop today:     $(count shop)"
if [[ $before != "$restored" ]]; then
    echo 'the restored database differs' >&2
    exit 1
fi

cat >"$sandbox/env" <<ENV
# Source this file in a shell to explore the sandbox.
export PATH=$(printf '%q' "$program_dir:$CLUSTER_BINDIR"):\$PATH
export PGHOST=$(printf '%q' "$PGHOST") PGUSER=$PGUSER
export GIT_CONFIG_GLOBAL=$(printf '%q' "$GIT_CONFIG_GLOBAL")
cd $(printf '%q' "$sandbox/shop")
ENV
cat >"$sandbox/stop" <<STOP
#!/usr/bin/env bash
# Stops the server of this demonstration and removes everything.
CLUSTER_DIR=$(printf '%q' "$CLUSTER_DIR") CLUSTER_BINDIR=$(printf '%q' "$CLUSTER_BINDIR")
$(declare -f cluster_as_owner cluster_stop)
cluster_stop
rm -rf $(printf '%q' "$sandbox")
STOP
chmod +x "$sandbox/stop"
trap - EXIT

chapter 'Yours now'
printf 'explore:   . %q\n' "$sandbox/env"
printf '           git pggit backup show release-1.0; git log -p refs/backups/$(git rev-parse v1.0^{})\n'
printf '           git pggit backup --help; psql shop_restored\n'
printf 'clean up:  %q\n' "$sandbox/stop"
printf 'sandbox:   %s\n' "$sandbox"
