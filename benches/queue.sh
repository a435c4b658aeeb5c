#!/usr/bin/env bash
# The queue and an idle worker. `queue.sh [<directory of git-pggit>]`
#
# Bars: enqueuing a job takes < 10 ms; claiming, running and completing an empty job > 100/s on refs with one worker;
# on PostgreSQL with eight workers > 1,000/s and > 0.5 x the rate of a bare loop of FOR UPDATE SKIP LOCKED in pgbench
# on the same server; a job is claimed < 100 ms after it was enqueued; an idle worker uses < 0.5 % of a CPU and
# < 40 MiB.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
loop=$program_dir/examples/queue-loop
export PATH=$program_dir:$PATH

git init -q "$sandbox/refs"
cd "$sandbox/refs"
git commit -q --allow-empty -m 'a schema'
echo '== refs, 1 worker'
"$loop" refs "$sandbox/refs" 500 1
git for-each-ref --format='delete %(refname)' refs/pggit | git update-ref --stdin
echo '== refs, 4 workers'
"$loop" refs "$sandbox/refs" 500 4

cluster_start "$sandbox"
psql -Xqd postgres -c 'create database queue' -c 'create database bare'
url="postgresql:///queue?host=$PGHOST&user=$PGUSER"
echo '== PostgreSQL, 8 workers'
"$loop" postgres "$url" 20000 8

echo '== pgbench: a bare loop of SKIP LOCKED, 8 clients'
psql -Xqd bare <<'SQL'
create table jobs (id bigint primary key, state text not null default 'ready', worker text, payload text);
create index on jobs (id) where state = 'ready';
insert into jobs select n, 'ready', null, repeat('x', 200) from generate_series(1, 400000) n;
vacuum analyze jobs;
SQL
cat >"$sandbox/bare.sql" <<'SQL'
update jobs set state = 'in_progress', worker = 'w' where id = (select id from jobs where state = 'ready'
    order by id limit 1 for update skip locked) returning id \gset
update jobs set state = 'completed' where id = :id;
SQL
pgbench -n -c 8 -j 2 -T 10 -f "$sandbox/bare.sql" bare | grep -E 'tps'

echo '== from git pggit queue enqueue to claimed, and an idle worker'
git config pggit.nowhere.url 'postgresql:///nowhere?host=/nowhere'
git config pggit.nowhere.maxAttempts 1
measure() {
    git pggit worker --json 2>"$sandbox/log" &
    local worker=$!
    until grep -q 'worker started' "$sandbox/log"; do sleep 0.05; done
    for _ in $(seq 20); do
        git pggit queue enqueue -q >/dev/null
        sleep 0.1
    done
    until [ "$(grep -c '"waited_ms"' "$sandbox/log")" -ge 20 ]; do sleep 0.1; done
    grep -o '"waited_ms":[0-9]*' "$sandbox/log" | cut -d: -f2 | sort -n |
        awk '{ v[NR] = $1 } END { print "start latency, ms: median", v[int((NR + 1) / 2)], "most", v[NR] }'
    local before after
    before=$(awk '{ print $14 + $15 }' "/proc/$worker/stat")
    sleep 30
    after=$(awk '{ print $14 + $15 }' "/proc/$worker/stat")
    awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
        'BEGIN { printf "idle: %.2f %% of a CPU, ", 100 * ticks / hz / 30 }'
    awk '/VmHWM/ { printf "%.0f MiB\n", $2 / 1024 }' "/proc/$worker/status"
    kill "$worker"
    wait "$worker"
}
echo '-- refs'
measure
echo '-- PostgreSQL'
git config pggit.queue "$url"
measure
