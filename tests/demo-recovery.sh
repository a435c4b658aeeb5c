#!/usr/bin/env bash
# The demonstration of docs/recovery.md: a bad migration that is undone, a clone at an older commit, the commit that
# lost data, an in-place restore of the live database, and PITR of a cluster to just before a mistake. Each is checked
# by counting rows. Each command is printed before it runs. `demo-recovery.sh <directory of git-pggit>`.
#
# Everything is in one new directory, which is removed at the end. Nothing outside of it is read or written, not even
# the git configuration of the user.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/demo-stage.sh"

application=
clean_up() {
    local status=$?
    if [[ -n $application ]]; then
        kill "$application" 2>/dev/null || true
        wait "$application" 2>/dev/null || true
    fi
    leave_nothing "$status"
}
trap clean_up EXIT

# Opens a session of an application, as a live database has them.
application_connects() {
    psql -Xq -d shop -c 'select pg_sleep(3600)' >/dev/null 2>&1 &
    application=$!
    until_sql shop "exists (select from pg_stat_activity where query like '%3600%' and pid <> pg_backend_pid())"
}

# until_sql <database> <condition>: waits in the server until the condition is true, for at most a minute.
until_sql() {
    sql "$1" "do \$\$ begin for i in 1..1200 loop exit when ($2); perform pg_sleep(0.05); perform pg_stat_clear_snapshot();
        end loop; end \$\$"
    [[ $(sql "$1" "select ($2)") == t ]] || { echo "this did not come true: $2" >&2; return 1; }
}

orders_in() { sql "$1" 'select count(*) from orders'; }

# The server and restored clusters run git-pggit. If their user has no access to the program, they get a copy of it.
reachable_program() {
    program=$program_dir/git-pggit
    if ! cluster_as_owner test -x "$program" 2>/dev/null; then
        program=$CLUSTER_DIR/bin/git-pggit
        mkdir "$CLUSTER_DIR/bin"
        install -m 755 "$program_dir/git-pggit" "$program"
        export PATH=$CLUSTER_DIR/bin:$PATH
    fi
}

# The server archives its WAL with git-pggit, into a store of its own.
archive_log() {
    cluster_as_owner mkdir "$copies"
    git pggit store init "$log"
    if [[ $(id -u) -eq 0 ]]; then
        chown -R postgres: "$log"
    fi
    say 'in postgresql.conf: archive_command = '"'git-pggit wal push --store $log %p'"
    sql postgres "alter system set archive_command = \$\$$(printf %q "$program") wal push --store $(printf %q "$log") %p\$\$"
    sql postgres 'select pg_reload_conf()' >/dev/null
}

chapter 'A live database and the repository of its schema'
say 'A PostgreSQL server of its own, on a unix socket in the sandbox ...'
cluster_start "$sandbox" -c archive_mode=on -c wal_level=replica
reachable_program
log=$CLUSTER_DIR/wal copies=$CLUSTER_DIR/copies
sql postgres 'create database shop'
say "PostgreSQL $(sql shop 'show server_version'), $(git --version), $(git-pggit --version)"
mkdir "$sandbox/shop"
cd "$sandbox/shop"
git init -q .
mkdir migrations
git pggit -q init 2>/dev/null
run 'git pggit database add shop --url postgresql:///shop'
migrate 0001_orders.sql 'orders: a table' <<'SQL'
create table orders (id bigint generated always as identity primary key, article text not null);
SQL
sql shop "insert into orders (article) select 'article ' || n % 7 from generate_series(1, 1000) n"
git tag v1.0
run 'git pggit backup create --name v1.0'
migrate 0002_orders_at.sql 'orders: when' <<'SQL'
alter table orders add column at timestamptz not null default now();
SQL
sql shop "insert into orders (article) select 'article ' || n % 7 from generate_series(1, 500) n"
expect 'orders' "$(orders_in shop)" 1500

chapter 'A bad migration, taken back'
cat >migrations/0003_articles.sql <<'SQL'
create table articles as select distinct article as name from orders;
alter table articles add primary key (name);
delete from orders where article = 'article 3';
alter table orders drop column article;
alter table orders add column article int not null references articles;
SQL
say 'It deletes, drops and then fails, and it does not run in one transaction:'
run 'cat migrations/0003_articles.sql'
say 'The application is connected meanwhile.'
application_connects
fails 'git pggit backup guard -- psql -Xq -v ON_ERROR_STOP=1 -f migrations/0003_articles.sql' 12
say 'Nobody is thrown out unless it is said, and nothing has run:'
expect 'orders' "$(orders_in shop)" 1500
fails 'git pggit backup guard --disconnect -- psql -Xq -v ON_ERROR_STOP=1 -f migrations/0003_articles.sql' 3
expect 'orders' "$(orders_in shop)" 1500
expect 'orders with an article' "$(sql shop 'select count(article) from orders')" 1500
aside=$(sql postgres "select datname from pg_database where datname like 'shop~failed-%'")
expect 'orders in what it has left' "$(orders_in "$aside")" 1285
say 'One that ends well and has lost data is found by a check:'
echo "delete from orders where article = 'article 3';" >migrations/0003_articles.sql
fails "git pggit backup guard --check 'select count(*) >= 1500 from orders' -- psql -Xq -v ON_ERROR_STOP=1 -f migrations/0003_articles.sql" 1
expect 'orders' "$(orders_in shop)" 1500
expect 'what is left of both' "$(sql postgres "select count(*) from pg_database where datname like 'shop~failed-%'")" 2
rm migrations/0003_articles.sql

chapter 'A copy at an older commit, beside it'
run 'git pggit backup find v1.0'
run 'git pggit checkout v1.0 --name shop_1_0 --read-only >/dev/null'
expect 'orders in the copy' "$(orders_in shop_1_0)" 1000
expect 'orders' "$(orders_in shop)" 1500
run 'git pggit clone list'
run 'git pggit clone remove shop_1_0'
run "git pggit with v1.0 -- psql -Xc 'select count(*) from orders'"

chapter 'The commit that lost data'
run 'git pggit backup create --name before'
number=2
for name in customers articles prices tidy invoices returns reviews; do
    number=$((number + 1))
    file=migrations/000${number}_$name.sql
    if [[ $name == tidy ]]; then
        echo 'delete from orders where id % 10 = 0;' >"$file"
    else
        echo "create table $name (id int primary key);" >"$file"
    fi
    git add "$file"
    next_day git commit -q -m "$name"
    sql shop "$(cat "$file")"
done
git pggit -q mark
bad=$(git log -1 --format=%H -- "migrations/*_tidy.sql")
expect 'orders' "$(orders_in shop)" 1350
say 'Somewhere in these commits, orders went away:'
run 'git log --oneline v1.0..'
cat >"$sandbox/check.sh" <<'CHECK'
#!/bin/sh
test "$(psql -XAtqc 'select count(*) from orders')" -eq 1500
CHECK
chmod +x "$sandbox/check.sh"
run "cat $(printf %q "$sandbox")/check.sh"
run 'git bisect start HEAD HEAD~7 >/dev/null'
run "git bisect run git pggit -q with HEAD -- $(printf %q "$sandbox")/check.sh"
expect 'the first bad commit' "$(git rev-parse refs/bisect/bad)" "$bad"
run 'git bisect reset' 2>/dev/null

chapter 'In the place of the live database, and back'
say 'All orders are to come back, in the place of what is there: to the commit before the bad one.'
run "git pggit backup plan ${bad:0:10}~1 --in-place --disconnect"
# Without a terminal, the program does not ask the user to type the name of the replaced database.
run "git pggit backup restore ${bad:0:10}~1 --in-place --force --disconnect </dev/null"
expect 'orders' "$(orders_in shop)" 1500
run 'git pggit backup restore list'
say 'The application needs the newer schema after all:'
run 'git pggit backup restore abort'
expect 'orders' "$(orders_in shop)" 1350

chapter 'The cluster as it was just before a mistake'
archive_log
run 'git pggit backup create --tool pg_basebackup --name nightly'
sql shop "insert into orders (article) select 'article 8' from generate_series(1, 25)"
expect 'orders' "$(orders_in shop)" 1375
at=$(sql shop "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
say "It is $at."
run "psql -X -d shop -c 'delete from orders where id > 20'"
expect 'orders' "$(orders_in shop)" 18
last=$(sql shop 'select pg_walfile_name(pg_switch_wal())')
until_sql shop "select last_archived_wal >= '$last' from pg_stat_archiver"
system=$(sql shop 'select system_identifier from pg_control_system()')
run "git pggit wal check --store $(printf %q "$log") --system-identifier $system"
run "git pggit backup restore latest --to \"\$copies/before\" --at $at --wal-store $(printf %q "$log")"
copy_start "$copies/before"
expect 'orders in the copy' "$(PGPORT=5499 orders_in shop)" 1375
expect 'archive_mode of the copy' "$(PGPORT=5499 sql shop 'show archive_mode')" off
expect 'orders' "$(orders_in shop)" 18
copy_stop
run "git pggit backup restore latest --to \"\$copies/end\" --to-latest --wal-store $(printf %q "$log")"
copy_start "$copies/end"
expect 'orders at the end of the log' "$(PGPORT=5499 orders_in shop)" 18
copy_stop
run 'git pggit backup list'
say "This was $sandbox; it is removed now."
