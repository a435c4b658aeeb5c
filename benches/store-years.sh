#!/usr/bin/env bash
# The store after many versions: the cost of the 10th, 100th, ... version, and the time to read the newest one,
# compared with restic and borg.
# `store-years.sh [<directory of git-pggit>] [<versions, 100>] [<scale of the data, 0.1>]`
#
# Bars: the cost of a version does not grow with the number of versions; after 100 versions the newest is read faster
# than from the fastest peer, and version 100 grows the store by less than 0.03 x the smallest growth of the peers.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
versions=${2:-100}
scale=${3:-0.1}

cluster_start "$sandbox" -c shared_buffers=1GB -c max_wal_size=4GB
psql -XAtqd postgres -c 'create database realistic'
psql -XAtqd realistic -v scale="$scale" -f "$here/realistic.sql" >/dev/null

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" "$versions" "$scale" <<'PYTHON'
import os
import subprocess
import sys

here, sandbox, program, versions, scale = sys.argv[1:]
versions = int(versions)
sys.path.insert(0, here)
import timing

os.environ.update({
    "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": f"{sandbox}/restic-cache", "BORG_BASE_DIR": f"{sandbox}/borg-base",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
})
dump = f"{sandbox}/dump"
OURS, RESTIC, BORG = "git pggit store put", "restic", "borg zstd,3"
REPOS = {OURS: f"{sandbox}/ours", RESTIC: f"{sandbox}/restic", BORG: f"{sandbox}/borg"}


def silently(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names)


def backup(name, number):
    repo = REPOS[name]
    return timing.run({
        OURS: [program, "-q", "store", "put", "--store", repo, "--database", "realistic"],
        RESTIC: ["restic", "-q", "-r", repo, "backup", "--host", "h", "--stdin", "--stdin-filename", "db.dump"],
        BORG: ["borg", "create", "-C", "zstd,3", "--stdin-name", "db.dump", f"{repo}::v{number}", "-"],
    }[name], stdin=dump)


def read(name):
    repo = REPOS[name]
    if name == OURS:
        newest = sorted(os.listdir(f"{repo}/artifacts/realistic"))[-1]
        return timing.run([program, "store", "get", "--store", repo, newest])
    if name == RESTIC:
        return timing.run(["restic", "-q", "-r", repo, "dump", "latest", "/db.dump"])
    return timing.run(["borg", "extract", "--stdout", f"{repo}::v{versions}"])


silently(program, "store", "init", REPOS[OURS])
silently("restic", "-r", REPOS[RESTIC], "init")
silently("borg", "init", "-e", "none", REPOS[BORG])
shown = {1, 2, 10, 50, 100, 200, 500, 1000, versions}
sizes = {name: 0 for name in REPOS}
grown = {}
print(f"\n  {'version':>7} {'dump':>9} " + " ".join(f"{name:>30}" for name in REPOS))
for number in range(1, versions + 1):
    if number > 1:
        silently("psql", "-XAtqd", "realistic", "-v", f"scale={scale}", "-v", f"version={number}", "-f", f"{here}/realistic-change.sql")
    with open(dump, "wb") as file:
        subprocess.run(["pg_dump", "-Fc", "-Z0", "realistic"], check=True, stdout=file)
    cells = []
    for name, repo in REPOS.items():
        seconds = backup(name, number).seconds
        if number in shown or number + 1 in shown:
            size = size_of(repo)
            grown[name, number] = size - sizes[name]
            sizes[name] = size
            cells.append(f"{seconds:>12.2f} s {(grown[name, number]) / 1e6:>9.2f} MB")
    if number in shown:
        print(f"  {number:>7} {os.path.getsize(dump) / 1e6:>6.1f} MB " + " ".join(f"{cell:>30}" for cell in cells))
results = timing.interleaved(5, 1, {name: (lambda _, name=name: read(name)) for name in REPOS})
timing.table(f"Reading version {versions}", results, OURS, timing.in_seconds)
bars = timing.Bars()
ours = timing.median(results[OURS])
best = min(timing.median(results[name]) for name in (RESTIC, BORG))
bars.check("reading against the fastest of theirs", f"{ours / best:.2f}x", "< 1x", ours < best)
growth = grown[OURS, versions] / min(grown[name, versions] for name in (RESTIC, BORG))
bars.check(f"growth of version {versions} against the smallest of theirs", f"{growth:.3f}x", "< 0.03x", growth < 0.03)
print(f"\n  all versions: " + ", ".join(f"{name} {size_of(repo) / 1e6:.1f} MB" for name, repo in REPOS.items()))
bars.finish()
PYTHON
