#!/usr/bin/env bash
# Archiving WAL into a store, compared with `cp`, and restoring it.
# `wal.sh [<directory of git-pggit>] [<segments, 64>]`
#
# Bars: more than 0.5 of the speed of `cp` (with an fsync, as an archive needs it), more than 100 MB/s. The segments
# are real ones, of pgbench. Each is archived by a call of its own, as PostgreSQL does it.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
export PATH=$program_dir:$PATH TMPDIR=$sandbox
segments=${2:-64}

cluster_start "$sandbox" -c wal_keep_size=8GB -c max_wal_size=8GB -c fsync=off
createdb bench
while [[ $(psql -XAtqd bench -c "select count(*) from pg_ls_waldir()") -lt $((segments + 2)) ]]; do
    pgbench -iq -s 10 bench 2>/dev/null
done
data=$CLUSTER_DIR/data
[[ -d $data/pg_wal ]] || data=$(psql -XAtqd bench -c 'show data_directory')
mkdir -p "$sandbox/source/pg_wal/archive_status" "$sandbox/source/global"
cp "$data/global/pg_control" "$sandbox/source/global/"
mapfile -t names < <(find "$data/pg_wal" -maxdepth 1 -name '0000*' -printf '%f\n' | sort | head -n "$segments")
for name in "${names[@]}"; do
    cp "$data/pg_wal/$name" "$sandbox/source/pg_wal/"
    : >"$sandbox/source/pg_wal/archive_status/$name.ready"
done
cluster_stop
cd "$sandbox/source"
git-pggit store init "$sandbox/store" >/dev/null 2>&1

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$sandbox" "${#names[@]}" <<'PYTHON'
import os, shutil, subprocess, sys, time

sandbox, count = sys.argv[1], int(sys.argv[2])
names = sorted(name for name in os.listdir("pg_wal") if name.startswith("0000"))
size = sum(os.path.getsize(f"pg_wal/{name}") for name in names)
store = f"{sandbox}/store"


def timed(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def fresh():
    shutil.rmtree(f"{store}/wal", ignore_errors=True)
    for leftover in os.listdir(sandbox):
        if leftover.startswith("git-pggit-wal-"):
            shutil.rmtree(f"{sandbox}/{leftover}")
    os.sync()


def copy():
    shutil.rmtree(f"{sandbox}/copy", ignore_errors=True)
    os.mkdir(f"{sandbox}/copy")
    for name in names:
        subprocess.run(["dd", f"if=pg_wal/{name}", f"of={sandbox}/copy/{name}", "bs=1M", "conv=fsync", "status=none"], check=True)


def push():
    for name in names:
        subprocess.run(["git-pggit", "wal", "push", "--store", store, f"pg_wal/{name}"], check=True)


def fetch():
    for name in names:
        subprocess.run(["git-pggit", "wal", "fetch", "--store", store, name, "RECOVERYXLOG"], check=True)


def restore():
    for name in names:
        subprocess.run(["cp", f"{sandbox}/copy/{name}", "RECOVERYXLOG"], check=True)


rounds = {"cp": [], "push": [], "cp back": [], "fetch": []}
for _ in range(3):
    os.sync()
    rounds["cp"].append(timed(copy))
    fresh()
    rounds["push"].append(timed(push))
    rounds["cp back"].append(timed(restore))
    rounds["fetch"].append(timed(fetch))
median = {name: sorted(times)[1] for name, times in rounds.items()}
stored = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(f"{store}/wal") for f in files)
print(f"{count} segments, {size / 1e6:.0f} MB; {stored / 1e6:.0f} MB in the store")
for name, beside in [("cp", "cp"), ("push", "cp"), ("cp back", "cp back"), ("fetch", "cp back")]:
    speed = size / 1e6 / median[name]
    print(f"{name:8} {median[name]:6.2f} s  {speed:6.0f} MB/s  {median[beside] / median[name]:5.2f} of the speed of {beside}")
failed = median["cp"] / median["push"] < 0.5 or size / 1e6 / median["push"] < 100
print("wal push:", "MISSED" if failed else "met", "(bars: 0.5 of cp, 100 MB/s)")
sys.exit(failed)
PYTHON
