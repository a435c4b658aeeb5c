#!/usr/bin/env bash
# Measures ledger commands as a user runs them: whole processes in a small repository, then in the repository of many
# years of `ledger-scale.sh`, which can also be run alone.
# `ledger.sh [<directory of git-pggit>] [<commits of the large one, 100000>]`
#
# Bars of the small one: `backup list` with 10 backups < 10 ms; `backup register` and `backup complete` < 15 ms each;
# 8 concurrent writers on one commit > 60 writes/s, no record lost, no findings of git fsck.
# They are compared with git for-each-ref and git commit --allow-empty.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

# repository <name>: makes a repository with a migration and a database to register backups of.
repository() {
    git init -q "$sandbox/$1"
    cd "$sandbox/$1"
    printf 'create table t ();\n' >0001.sql
    git add 0001.sql
    git commit -q -m 'a migration'
    git tag base
    git pggit -q database add shop --url postgresql:///shop
}

export PATH=$program_dir:$PATH
repository list
for number in 1 2 3 4 5 6 7 8 9 10; do
    git pggit -q backup register --in-progress --tool pg_basebackup --name "backup-$number" >/dev/null
    git pggit -q backup complete "backup-$number" --size 1000 >/dev/null
done
repository write
repository crowd

status=0
PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" <<'PYTHON' || status=1
import os
import subprocess
import sys
import time

here, sandbox, program = sys.argv[1:]
sys.path.insert(0, here)
import timing

ROUNDS, WRITERS, EACH = 30, 8, 200
bars = timing.Bars()


def bar_ms(results, name, limit):
    found = timing.median(results[name])
    bars.check(name, timing.milliseconds(found), f"< {limit} ms", found < limit / 1e3)


os.chdir(f"{sandbox}/list")
listed = timing.interleaved(ROUNDS, 3, {
    "git for-each-ref refs/backups": lambda _: timing.run(["git", "for-each-ref", "refs/backups"]),
    "backup list": lambda _: timing.run([program, "backup", "list"]),
    "backup list --json": lambda _: timing.run([program, "backup", "list", "--json"]),
})
timing.table("Listing 10 backups", listed, "git for-each-ref refs/backups")
bar_ms(listed, "backup list", 10)

os.chdir(f"{sandbox}/write")
written = timing.interleaved(ROUNDS, 3, {
    "git commit --allow-empty": lambda n: timing.run(
        ["git", "commit", "-q", "--allow-empty", "-m", f"commit {n}"]),
    "backup register": lambda n: timing.run(
        [program, "backup", "register", "-q", "--in-progress", "--tool", "pg_basebackup",
         "--commit", "base", "--name", f"round{n}"]),
    "backup complete": lambda n: timing.run(
        [program, "backup", "complete", "-q", f"round{n}", "--size", "1000"]),
})
timing.table("One write, on a commit that has more and more records", written, "git commit --allow-empty")
bar_ms(written, "backup register", 15)
bar_ms(written, "backup complete", 15)

os.chdir(f"{sandbox}/crowd")
script = """
for n in $(seq "$2"); do
    "$0" backup register -q --in-progress --tool pg_basebackup --name "writer-$1-$n" >/dev/null || echo "writer $1: $n failed" >&2
done
"""
start = time.perf_counter()
crowd = [subprocess.Popen(["sh", "-c", script, program, str(w), str(EACH)]) for w in range(WRITERS)]
for writer in crowd:
    writer.wait()
seconds = time.perf_counter() - start
commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
tree = subprocess.check_output(["git", "ls-tree", "--name-only", f"refs/backups/{commit}:.pggit"], text=True)
records = sum(name.endswith(".json") for name in tree.splitlines())
note = subprocess.check_output(["git", "notes", "--ref=backups", "show", commit], text=True)
lines = sum(line.startswith("Backup ") for line in note.splitlines())
subprocess.run(["git", "gc", "-q", "--prune=now"], check=True)
fsck = subprocess.run(["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"],
                      capture_output=True, text=True)
locks = [name for _, _, names in os.walk(".git") for name in names if name.endswith(".lock")]
wanted, rate = WRITERS * EACH, WRITERS * EACH / seconds
print(f"\n{WRITERS} writers, {EACH} registrations each, on one commit: {seconds:.1f} s, {rate:.0f} writes/s")
bars.check("writes at once", f"{rate:.0f}/s", "> 60/s", rate > 60)
bars.check("records lost", wanted - records, 0, records == wanted)
bars.check("lines of the note lost", wanted - lines, 0, lines == wanted)
bars.check("locks left", len(locks), 0, not locks)
bars.check("git fsck", (fsck.stdout + fsck.stderr).strip() or "clean", "clean",
           fsck.returncode == 0 and not fsck.stdout + fsck.stderr)
bars.finish()
PYTHON

"$here/ledger-scale.sh" "$program_dir" "${2:-100000}" || status=1
exit "$status"
