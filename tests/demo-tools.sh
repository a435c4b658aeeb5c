#!/usr/bin/env bash
# The demonstration of docs/tools.md and docs/verification.md: one history, one database, and backups of it by
# pg_dump, pg_basebackup, pgBackRest and Barman in one ledger. Each is restored, and damage of two of them is found.
# Each command is printed before it runs. `demo-tools.sh <directory of git-pggit>`.
#
# Everything is in one new directory, which is removed at the end. Nothing outside of it is read or written, not even
# the configurations of git and of the tools that belong to the user.
set -euo pipefail

# Barman accepts no blanks in the path of the socket directory.
if [[ ${TMPDIR:-} == *[[:space:]]* ]]; then
    unset TMPDIR
fi

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/demo-stage.sh"

trap 'leave_nothing $?' EXIT

# Makes directories and configurations of pgBackRest and Barman for this demonstration only.
configure_tools() {
    local user dir
    cluster_as_owner mkdir -p "$tools"/{pgbackrest,log,lock,spool,conf.d,barman/main/incoming} "$copies"
    cluster_as_owner tee "$tools/pgbackrest.conf" >/dev/null <<INI
[global]
repo1-path=$tools/pgbackrest
log-path=$tools/log
lock-path=$tools/lock
spool-path=$tools/spool
log-level-file=off
start-fast=y
job-retry=0
[main]
pg1-path=$CLUSTER_DIR/data
pg1-socket-path=$CLUSTER_DIR
pg1-user=postgres
INI
    user=$(cluster_as_owner id -un)
    cluster_as_owner tee "$tools/barman.conf" >/dev/null <<INI
[barman]
barman_user = $user
barman_home = $tools/barman
barman_lock_directory = $tools/lock
configuration_files_directory = $tools/conf.d
log_file = $tools/log/barman.log
path_prefix = $CLUSTER_BINDIR
[main]
description = shop
conninfo = host='$CLUSTER_DIR' user=postgres dbname=postgres
streaming_conninfo = host='$CLUSTER_DIR' user=postgres dbname=postgres
backup_method = postgres
streaming_archiver = off
archiver = on
INI
    # Both tools archive the WAL of the server.
    dir=$(printf %q "$tools")
    sql postgres "alter system set archive_command = \$\$pgbackrest --config=$dir/pgbackrest.conf --stanza=main archive-push %p && cp %p $dir/barman/main/incoming/%f\$\$"
    sql postgres 'select pg_reload_conf()' >/dev/null
}

pgbackrest_here() { cluster_as_owner pgbackrest --config="$tools/pgbackrest.conf" --stanza=main --log-level-console=warn "$@"; }
barman_here() { cluster_as_owner barman -q -c "$tools/barman.conf" "$@"; }

ledger() { git for-each-ref | cksum; }

# Adds orders, so that the number of orders differs between backups.
orders=0
more_orders() {
    orders=$((orders + $1))
    sql shop "insert into orders (article) select 'article ' || n % 7 from generate_series(1, $1) n"
}

# Changes one byte in the middle of a file.
flip() {
    local middle byte
    middle=$(($(stat -c %s "$1") / 2))
    byte=$(od -An -tu1 -j "$middle" -N 1 "$1")
    chmod u+w "$1"
    # shellcheck disable=SC2059 # the escape is made on this line
    printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$middle" conv=notrunc status=none
    say "one bit is another one now in ${1#"$sandbox"/}"
}

largest() { find "$@" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-; }

chapter 'A database, the repository of its schema, and four tools'
say 'A PostgreSQL server of its own, on a unix socket in the sandbox ...'
cluster_start "$sandbox" -c archive_mode=on -c wal_level=replica
tools=$CLUSTER_DIR/tools copies=$CLUSTER_DIR/copies
configure_tools
sql postgres 'create database shop'
say "PostgreSQL $(sql shop 'show server_version'), $(pgbackrest version), Barman $(barman --version | sed 's/ .*//;q'), $(git-pggit --version)"
mkdir "$sandbox/shop"
cd "$sandbox/shop"
git init -q .
mkdir migrations
git pggit -q init 2>/dev/null
run 'git pggit database add shop --url postgresql:///shop'
run 'git config pggit.shop.recordRowCounts true'
run 'git config pggit.shop.pgbackrestStanza main'
run 'git config pggit.shop.pgbackrestConfig "$tools/pgbackrest.conf"'
run 'git config pggit.shop.barmanServer main'
run 'git config pggit.shop.barmanConfig "$tools/barman.conf"'
# The length of a socket path is limited.
if ((${#sandbox} < 48)); then
    mkdir -m 755 "$sandbox/scratch"
    run 'git config pggit.scratchDir "$sandbox/scratch"'
fi
if [[ $(id -u) -eq 0 ]]; then
    say 'Their repositories belong to the user of the server:'
    run 'git config pggit.shop.toolUser postgres'
    say 'and nobody else needs to read them, not even in a restore test:'
    cluster_as_owner chmod -R go-rwx "$tools"/{pgbackrest,pgbackrest.conf,barman}
    run 'git config pggit.scratchUser nobody'
fi
pgbackrest_here stanza-create
barman_here switch-wal --force --archive --archive-timeout 60 main >/dev/null

chapter 'Six commits, six backups'
migrate 0001_orders.sql 'orders: a table' <<'SQL'
create table orders (id bigint generated always as identity primary key, article text not null);
SQL
more_orders 2000
run 'git pggit backup create --tool pg_dump --name dump'
packs_of_dump=$(find .git/pggit/store -type f)
migrate 0002_orders_at.sql 'orders: when' <<'SQL'
alter table orders add column at timestamptz not null default now();
SQL
more_orders 500
run 'git pggit backup create --tool pg_basebackup --name base'
migrate 0003_articles.sql 'articles: a table' <<'SQL'
create table articles as select distinct article as name from orders;
SQL
more_orders 500
run 'git pggit backup create --tool pgbackrest --type full --name rest-full'
migrate 0004_articles_key.sql 'articles: a key' <<'SQL'
alter table articles add primary key (name);
SQL
more_orders 100
run 'git pggit backup create --tool pgbackrest --type differential --name rest-diff'
migrate 0005_orders_article.sql 'orders: of articles that exist' <<'SQL'
alter table orders add foreign key (article) references articles;
SQL
more_orders 10
run 'git pggit backup create --tool pgbackrest --type incremental --name rest-incr'
orders_of_rest_incr=$orders
migrate 0006_revenue.sql 'orders: how many of each article' <<'SQL'
create view sold as select article, count(*) from orders group by article;
SQL
more_orders 1
run 'git pggit backup create --tool barman --name barman'

chapter 'One catalogue over all of them'
run 'git pggit backup list'
run 'git pggit backup coverage'
run 'git pggit backup coverage --commits HEAD'
run 'git log -1'

chapter 'What they have made without being asked by us'
say 'Their own cron jobs go on:'
pgbackrest_here --type=incr backup 2>/dev/null
barman_here backup --wait main >/dev/null
for tool in pgbackrest barman; do
    fails "git pggit backup reconcile --tool $tool" 1
    run "git pggit backup import --tool $tool"
    before=$(ledger)
    say 'Again changes nothing:'
    run "git pggit backup import --tool $tool"
    expect 'digest of all refs' "$(ledger)" "$before"
    run "git pggit backup reconcile --tool $tool"
done
run 'git pggit backup list'

chapter 'Restored, each of them'
say 'Into scratch clusters, whose servers run as somebody who cannot read the repositories. What has to be true there:'
run "git config pggit.shop.assertion 'select count(*) >= 2000 from orders'"
for name in dump base rest-full rest-diff rest-incr barman; do
    run "git pggit backup verify $name --kind restore-test"
done
say 'And what was imported:'
run 'git pggit backup verify latest --kind restore-test'
say 'One restore of them stays:'
run 'git pggit backup restore rest-incr --to "$copies/rest"'
copy_start "$copies/rest"
expect 'orders in it' "$(PGPORT=5499 sql shop 'select count(*) from orders')" "$orders_of_rest_incr"
copy_stop
run 'git pggit backup list'
run 'git pggit backup coverage --commits HEAD'

chapter 'Damage'
say 'The largest file of the full backup of pgBackRest, and the largest of what the dump has put into the store:'
flip "$(largest "$tools"/pgbackrest/backup/main/*F/pg_data)"
# shellcheck disable=SC2086 # paths without blanks
flip "$(largest $packs_of_dump)"
fails 'git pggit backup verify rest-full --kind restore-test --force' 1
say 'What builds on it is as bad as it is:'
fails 'git pggit backup verify rest-incr --kind restore-test --force' 1
fails 'git pggit backup verify dump --kind restore-test --force' 1
say 'The others are as good as they were:'
run 'git pggit backup verify barman --kind restore-test --force'
run 'git pggit backup verify base --kind restore-test --force'
run 'git pggit backup list'
say 'What is damaged covers no commit any more, and is not restored:'
fails 'git pggit backup coverage --commits HEAD --exit-code' 1
fails 'git pggit backup find HEAD~5' 10
fails 'git pggit backup restore dump --into shop_damaged'
expect 'databases of it' "$(sql postgres "select count(*) from pg_database where datname like 'shop\\_%'")" 0
run 'git pggit backup verify --report'
say "This was $sandbox; it is removed now."
