#!/usr/bin/env bash
# Restoring a database of 500 MB, compared with the tools alone.
# `recovery.sh [<directory of git-pggit>] [<scale of pgbench>] [<rounds>]`
#
# Bars: a dump < 1.1 x `pg_restore` of the same file on disk; a base backup < 1.1 x copying the files; a clone at a
# commit < 1.2 x `pg_restore -j2`. Each competitor ends with its bytes on disk.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
scale=${2:-33} rounds=${3:-5}

cluster_start "$sandbox" -c shared_buffers=512MB -c max_wal_size=4GB -c autovacuum=off
psql -XAtqd postgres -c 'create database shop'
echo "filling the database (pgbench, scale $scale) ..."
pgbench -i -q -s "$scale" shop >/dev/null 2>&1
psql -XAtqd shop -c 'vacuum (freeze, analyze)' -c 'checkpoint'

git init -q "$sandbox/shop"
cd "$sandbox/shop"
git commit -q --allow-empty -m 'the schema of pgbench'
PATH=$program_dir:$PATH
git pggit -q database add shop --url postgresql:///shop
git pggit -q backup create --name dump
git pggit -q backup create --name base --tool pg_basebackup
git pggit backup cat-artifact dump >"$sandbox/file"

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" "$rounds" <<'PYTHON'
import os
import shlex
import shutil
import subprocess
import sys

here, sandbox, program, rounds = sys.argv[1:]
sys.path.insert(0, here)
import timing

ROUNDS = int(rounds)
bars = timing.Bars()
directories = f"{sandbox}/directories"
os.mkdir(directories)


def settled(command, clean_up):
    """A competitor that cleans up and finishes its writes before the next one begins."""

    def competitor(_):
        finished = timing.run(command)
        clean_up()
        subprocess.run(["psql", "-XAtqd", "postgres", "-c", "checkpoint"], check=True)
        os.sync()
        return finished

    return competitor


def drop(name):
    return lambda: subprocess.run(["dropdb", "--force", name], check=True)


def gone(path):
    return lambda: shutil.rmtree(path)


def shell(*commands):
    return ["sh", "-ec", "\n".join(shlex.join(command) for command in commands)]


def compare(title, base, theirs, ours, bar):
    results = timing.interleaved(ROUNDS, 1, {base: theirs, title: ours})
    timing.table(title, results, base, timing.in_seconds)
    ratio = timing.median(results[title]) / timing.median(results[base])
    cpu = timing.median_cpu(results[title]) / max(timing.median_cpu(results[base]), 1e-9)
    bars.check(title, f"{ratio:.2f}x of {base} ({cpu:.2f}x of its processor time)", f"< {bar}x", ratio < bar)


size = subprocess.check_output(["psql", "-XAtqd", "shop", "-c", "select pg_database_size('shop')"], text=True)
print(f"the database has {int(size) / 1e6:.0f} MB, its dump {os.path.getsize(f'{sandbox}/file') / 1e6:.0f} MB")
file = f"{sandbox}/file"
model = f"{sandbox}/model"


def made(path):
    """Makes a directory, owned by `postgres` when root runs this: PostgreSQL does not run as root."""
    os.mkdir(path, 0o700)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def ours_to(number):
    made(f"{directories}/ours")
    return settled([program, "backup", "restore", "-q", "base", "--to", f"{directories}/ours"], gone(f"{directories}/ours"))(number)


made(model)
timing.run([program, "backup", "restore", "-q", "base", "--to", model])
compare(
    "backup restore --to",
    "cp -a, sync",
    settled(shell(["cp", "-a", model, f"{directories}/theirs"], ["sync", "-f", f"{directories}/theirs"]), gone(f"{directories}/theirs")),
    ours_to,
    1.1,
)
compare(
    "backup restore --into",
    "pg_restore -1",
    settled(shell(["createdb", "theirs"], ["pg_restore", "-e", "-1", "-d", "theirs", file]), drop("theirs")),
    settled([program, "backup", "restore", "-q", "dump", "--into", "ours"], drop("ours")),
    1.1,
)
compare(
    "checkout",
    "pg_restore -j2",
    settled(shell(["createdb", "theirs"], ["pg_restore", "-e", "-j2", "-d", "theirs", file]), drop("theirs")),
    settled([program, "checkout", "HEAD", "--name", "ours"], drop("ours")),
    1.2,
)
bars.finish()
PYTHON
