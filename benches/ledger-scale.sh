#!/usr/bin/env bash
# The ledger after years: a repository with many schema commits and a backup on each.
# `ledger-scale.sh [<directory of git-pggit>] [<commits, 100000>]`
#
# Bars: listing everything < 100 ms, finding < 30 ms, coverage of all branches < 60 ms and of all commits < 250 ms,
# the latest events < 50 ms, register and complete < 15 ms, the first index < 8 s, memory < 300 MiB, git itself not
# slower by a tenth.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
commits=${2:-100000}

git init -q "$sandbox/with"
cd "$sandbox/with"
PYTHONDONTWRITEBYTECODE=1 python3 "$here/ledger-history.py" "$commits" 20 | git fast-import --quiet --done
git reset -q --hard
git -c gc.pruneExpire=now gc -q
git commit-graph write --reachable --no-progress
git clone -q --no-local "$sandbox/with" "$sandbox/without"
git -C "$sandbox/without" gc -q
git -C "$sandbox/without" commit-graph write --reachable --no-progress

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" "$commits" <<'PYTHON'
import os
import subprocess
import sys

here, sandbox, program, commits = sys.argv[1:]
sys.path.insert(0, here)
import timing

ROUNDS, last = 15, int(commits) - 1
bars = timing.Bars()
os.chdir(f"{sandbox}/with")
index = ".git/pggit/index"


def bar(results, name, limit):
    found = timing.median(results[name])
    bars.check(name, timing.milliseconds(found), f"< {limit} ms", found < limit / 1e3)


def ours(*args):
    return lambda _: timing.run([program, *args])


def theirs(*args):
    return lambda _: timing.run(list(args))


def first(_):
    if os.path.exists(index):
        os.unlink(index)
    return timing.run([program, "backup", "list", "--limit", "1"])


built = timing.interleaved(3, 0, {"first index": first})
timing.table(f"{commits} commits, {commits} backups: the first index", built, "first index")
bar(built, "first index", 8000)

oids = f"{sandbox}/oids"
with open(oids, "wb") as out:
    subprocess.run(["git", "for-each-ref", "--format=%(objectname)", "refs/backups"], stdout=out, check=True)
newest = subprocess.check_output([program, "backup", "list", "--ids", "--limit", "1"], text=True).strip()
read = timing.interleaved(ROUNDS, 2, {
    "git for-each-ref refs/backups": theirs("git", "for-each-ref", "refs/backups"),
    "git cat-file --batch of all tips": lambda _: timing.run(["git", "cat-file", "--batch"], stdin=oids),
    "list of everything": ours("backup", "list"),
    "list of everything --ids": ours("backup", "list", "--ids"),
    "list --limit 50": ours("backup", "list", "--limit", "50"),
    "show <id>": ours("backup", "show", newest),
    "show <name>": ours("backup", "show", f"nightly-{last // 2}"),
    "find by name": ours("backup", "cat", f"nightly-{last // 2}"),
    "find by id": ours("backup", "cat", newest),
    "coverage of all branches": ours("backup", "coverage"),
    "coverage of all commits": ours("backup", "coverage", "--commits", "main"),
})
timing.table("Reading", read, "git for-each-ref refs/backups")
for name, limit in {"list of everything": 100, "list of everything --ids": 100, "list --limit 50": 30, "show <id>": 30, "show <name>": 30,
                    "find by name": 30, "coverage of all branches": 60, "coverage of all commits": 250}.items():
    bar(read, name, limit)

whole = timing.interleaved(3, 0, {
    "git cat-file --batch of all tips": lambda _: timing.run(["git", "cat-file", "--batch"], stdin=oids),
    "list --json": ours("backup", "list", "--json"),
    "for-each": ours("backup", "for-each"),
    "log": ours("backup", "log"),
    "log --json": ours("backup", "log", "--json"),
    "log --limit 20": ours("backup", "log", "--limit", "20"),
})
timing.table("Reading every record from git", whole, "git cat-file --batch of all tips")
bar(whole, "log --limit 20", 50)

ids = []


def register(n):
    out = f"{sandbox}/id"
    done = timing.run([program, "backup", "register", "-q", "-d", "shop", "--tool", "x", "--in-progress",
                       "--commit", f"main~{n + 20}"], stdout=out)
    with open(out) as file:
        ids.append(file.read().strip())
    return done


written = timing.interleaved(ROUNDS, 2, {
    "git commit --allow-empty": theirs("git", "commit", "-q", "--allow-empty", "-m", "x"),
    "register": register,
    "complete": lambda _: timing.run([program, "backup", "complete", "-q", ids[-1], "--size", "1000"]),
})
timing.table("Writing", written, "git commit --allow-empty")
bar(written, "register", 15)
bar(written, "complete", 15)

plain = timing.interleaved(ROUNDS, 2, {
    "git status without the ledger": theirs("git", "-C", f"{sandbox}/without", "status"),
    "git status": theirs("git", "-C", f"{sandbox}/with", "status"),
    "git log -100 without the ledger": theirs("git", "-C", f"{sandbox}/without", "log", "-100"),
    "git log -100": theirs("git", "-C", f"{sandbox}/with", "log", "-100"),
})
timing.table("Plain git beside it", plain, "git status without the ledger")
for name in ("git status", "git log -100"):
    ratio = timing.median(plain[name]) / timing.median(plain[f"{name} without the ledger"])
    bars.check(name, f"{ratio:.2f}x", "< 1.1x", ratio < 1.1)
memory = max(one.rss_bytes for results in (built, read, whole, written) for name, runs in results.items()
             if not name.startswith("git ") for one in runs)
bars.check("memory", f"{memory >> 20} MiB", "< 300 MiB", memory < 300 << 20)
bars.finish()
PYTHON
