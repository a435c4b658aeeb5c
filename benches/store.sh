#!/usr/bin/env bash
# The store compared with restic and borg: three versions of two databases, each dumped with `pg_dump -Fc -Z0` and
# stored by each of them.
# `store.sh [<directory of git-pggit>] [<rounds, 3>] [<scale of the data, 1>]`
#
# Bars, for versions after the first: wall < 0.6 x the fastest of restic and borg and < 1.3 x
# `pg_dump -Fc -Z0 > /dev/null`; client CPU at most that of borg; growth < 0.03 x the smallest of theirs (realistic
# data), < 0.3 x (pgbench); three versions together < 0.5 x; reading the third version faster than the fastest of
# theirs; memory < 300 MiB.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
rounds=${2:-3}
scale=${3:-1}

cluster_start "$sandbox" -c shared_buffers=1GB -c max_wal_size=4GB -c autovacuum=off
psql -XAtqd postgres -c 'create database pgbench1' -c 'create database realistic1'
pgbench_scale=$(awk "BEGIN { print int(50 * $scale + 0.5) }")
echo "filling the databases (pgbench -s $pgbench_scale, and realistic data at scale $scale) ..."
pgbench -i -q -s "$pgbench_scale" pgbench1 >/dev/null 2>&1
psql -XAtqd pgbench1 -c 'vacuum (freeze, analyze)' -c 'checkpoint'
psql -XAtqd realistic1 -v scale="$scale" -f "$here/realistic.sql" >/dev/null
transactions=$(awk "BEGIN { print int(12000 * $scale + 0.5) }")
for version in 2 3; do
    psql -XAtqd postgres -c "create database pgbench$version template pgbench$((version - 1))" \
        -c "create database realistic$version template realistic$((version - 1))"
    pgbench -n -c 2 -t "$transactions" "pgbench$version" >/dev/null 2>&1
    psql -XAtqd "realistic$version" -v scale="$scale" -v version="$version" -f "$here/realistic-change.sql" >/dev/null
done
psql -XAtqd postgres -c checkpoint

PYTHONDONTWRITEBYTECODE=1 python3 -u "$here/store.py" "$sandbox" "$program_dir/git-pggit" "$rounds"
