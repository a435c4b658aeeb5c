#!/usr/bin/env bash
# Measures the time that the git hooks of git-pggit add to a merge and to a commit.
# `hooks.sh [<directory of git-pggit>] [<rounds, 40>]`
#
# Bar: a merge that enqueues a backup takes < 20 ms more than one in a repository without hooks. It is compared with a
# hook that does nothing, a repository in which no branch is watched, and a merge that does not change the schema.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
export PATH=$program_dir:$PATH
rounds=${2:-40} warm_up=4

# repository <name> <file of each branch>: makes a repository with one branch to merge per round.
repository() {
    local number
    git init -q "$sandbox/$1"
    cd "$sandbox/$1"
    printf 'create table t ();\n' >0001.sql
    git add 0001.sql
    git commit -q -m 'a migration'
    for number in $(seq 1 $((rounds + warm_up))); do
        git switch -q -c "b$number" main
        mkdir -p "$(dirname "$2")"
        printf '%s\n' "$number" >"$(dirname "$2")/$number-$(basename "$2")"
        git add .
        git commit -q -m "work $number"
    done
    git switch -q main
}

watched() {
    git config pggit.shop.url service=shop
    git config pggit.shop.onMerge 'main release/*'
    git pggit -q hooks install
}

repository plain new.sql
repository idle new.sql
printf '#!/bin/sh\nexit 0\n' >.git/hooks/post-merge
chmod +x .git/hooks/post-merge
repository unwatched new.sql
git pggit -q hooks install 2>/dev/null
repository words new.md
watched
repository queued new.sql
watched

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$rounds" "$warm_up" <<'PYTHON'
import subprocess
import sys

here, sandbox, rounds, warm_up = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sys.path.insert(0, here)
import timing

bars = timing.Bars()


# The output of the hooks is discarded: it does not belong into the figures.
QUIETLY = ["sh", "-c", 'exec "$0" "$@" 2>/dev/null']


def merge(name):
    return lambda n: timing.run(
        [*QUIETLY, "git", "-C", f"{sandbox}/{name}", "merge", "-q", "--no-ff", "-m", "merged", f"b{n + warm_up + 1}"])


def commit(name):
    return lambda n: timing.run(
        [*QUIETLY, "git", "-C", f"{sandbox}/{name}", "commit", "-q", "--allow-empty", "-m", f"commit {n}"])


merged = timing.interleaved(rounds, warm_up, {
    "without hooks": merge("plain"),
    "a hook that does nothing": merge("idle"),
    "no branch is watched": merge("unwatched"),
    "watched, nothing of the schema": merge("words"),
    "watched, a backup is queued": merge("queued"),
})
timing.table("git merge --no-ff", merged, "without hooks")
committed = timing.interleaved(rounds, warm_up, {
    "without hooks": commit("plain"),
    "watched, no merge": commit("queued"),
})
timing.table("git commit --allow-empty", committed, "without hooks")
plain = timing.median(merged["without hooks"])
for name in ["watched, nothing of the schema", "watched, a backup is queued"]:
    added = timing.median(merged[name]) - plain
    bars.check(f"added to a merge: {name}", timing.milliseconds(added), "< 20 ms", added < 0.020)
added = timing.median(committed["watched, no merge"]) - timing.median(committed["without hooks"])
bars.check("added to a commit", timing.milliseconds(added), "< 20 ms", added < 0.020)
out = subprocess.check_output(["git-pggit", "-C", f"{sandbox}/queued", "queue", "stats", "--json"], text=True)
ready = rounds + warm_up
bars.check("jobs in the queue", f'"ready" {ready}' if f"{ready}" in out else out, f"{ready} ready", f"{ready}" in out)
bars.finish()
PYTHON
