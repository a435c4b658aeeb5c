#!/usr/bin/env bash
# Times a backup of a database with a dump of 500 MB, compared with pg_dump alone.
# `dump.sh [<directory of git-pggit>] [<scale of pgbench>]`
#
# Bars: `backup create` < 1.2 x `pg_dump -Fc -Z0 > /dev/null`, which is the lower bound of a dump; faster than
# `pg_dump -Fc > file`; < 100 MiB of memory in the largest process.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
scale=${2:-50}

cluster_start "$sandbox" -c shared_buffers=1GB -c max_wal_size=4GB -c autovacuum=off
psql -XAtqd postgres -c 'create database shop'
echo "filling the database (pgbench, scale $scale) ..."
pgbench -i -q -s "$scale" shop >/dev/null 2>&1
psql -XAtqd shop -c 'vacuum (freeze, analyze)' -c 'checkpoint'

git init -q "$sandbox/shop"
cd "$sandbox/shop"
git commit -q --allow-empty -m 'the schema of pgbench'
mkdir "$sandbox/backups"
PATH=$program_dir:$PATH git pggit -q database add shop --url postgresql:///shop --output "$sandbox/backups"

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" <<'PYTHON'
import os
import shutil
import sys

here, sandbox, program = sys.argv[1:]
sys.path.insert(0, here)
import timing

ROUNDS = 5
LEAST, GZIP, OURS = "pg_dump -Fc -Z0 > /dev/null", "pg_dump -Fc > file", "git pggit backup create"
bars = timing.Bars()


def gzip(_):
    finished = timing.run(["pg_dump", "-Fc", "shop"], stdout=f"{sandbox}/file")
    os.remove(f"{sandbox}/file")
    os.sync()
    return finished


def ours(number):
    finished = timing.run([program, "backup", "create", "-q", "--name", f"round{number}"])
    for name in os.listdir(f"{sandbox}/backups"):
        shutil.rmtree(f"{sandbox}/backups/{name}")
    os.sync()
    return finished


timing.run(["pg_dump", "-Fc", "-Z0", "shop"], stdout=f"{sandbox}/size")
print(f"the dump has {os.path.getsize(f'{sandbox}/size') / 1e6:.0f} MB uncompressed")
os.remove(f"{sandbox}/size")
os.sync()
results = timing.interleaved(ROUNDS, 1, {
    LEAST: lambda _: timing.run(["pg_dump", "-Fc", "-Z0", "shop"]),
    GZIP: gzip,
    OURS: ours,
})
timing.table("One backup", results, LEAST, timing.in_seconds)
found = {name: timing.median(finished) for name, finished in results.items()}
memory = max(one.rss_bytes for one in results[OURS]) / 2**20
bars.check("against the least", f"{found[OURS] / found[LEAST]:.2f}x", "< 1.2x", found[OURS] < 1.2 * found[LEAST])
bars.check("against pg_dump -Fc > file", f"{found[OURS] / found[GZIP]:.2f}x", "< 1x", found[OURS] < found[GZIP])
bars.check("memory", f"{memory:.0f} MiB", "< 100 MiB", memory < 100)
bars.finish()
PYTHON
