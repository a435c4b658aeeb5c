#!/usr/bin/env bash
# Synchronising ledgers after years: two clones of a repository with many schema commits and a backup on each, and a
# bare remote on the same disk.
# `sync-scale.sh [<directory of git-pggit>] [<commits, 100000>] [<diverged, 1000>]`
#
# Bars: one new backup or no change < 1.5 s, 1,000 refs changed on each side < 10 s. All times are printed next to
# those of plain git.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"
commits=${2:-100000}
diverged=${3:-1000}

git init -q "$sandbox/ours"
cd "$sandbox/ours"
PYTHONDONTWRITEBYTECODE=1 python3 "$here/ledger-history.py" "$commits" 1 | git fast-import --quiet --done
git reset -q --hard
git -c gc.pruneExpire=now gc -q
# The remote and the other clone have all records already.
git clone -q --mirror "$sandbox/ours" "$sandbox/hub.git"
git remote add origin "$sandbox/hub.git"
git fetch -q
"$program_dir/git-pggit" backup list --limit 1 > "$sandbox/newest"
cp -r "$sandbox/ours" "$sandbox/theirs"
# Repositories for the first push and the first fetch begin with the schema history only.
for bare in empty plain; do
    git init -q --bare "$sandbox/$bare.git"
    git push -q "$sandbox/$bare.git" main
done
for clone in new fetched; do
    git clone -q --single-branch --branch main "$sandbox/hub.git" "$sandbox/$clone"
done

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" "$commits" "$diverged" <<'PYTHON'
import os
import subprocess
import sys

here, sandbox, program, commits, diverged = sys.argv[1:]
sys.path.insert(0, here)
import timing

ROUNDS = 5
bars = timing.Bars()
REFS = "refs/backups/*:refs/backups/*"
NOTES = "refs/notes/backups:refs/notes/backups"


def at(place, *args):
    return timing.run(["git", "-C", f"{sandbox}/{place}", *args])


def sync(place):
    os.chdir(f"{sandbox}/{place}")
    return timing.run([program, "sync", "-q"])


def fetch(place, remote="origin", target="refs/plain"):
    return at(place, "fetch", "-q", "--no-tags", "--refmap=", remote, f"+refs/backups/*:{target}/*",
              f"+refs/notes/backups:{target}-notes")


def change(place, args):
    subprocess.run([program, *args], cwd=f"{sandbox}/{place}", check=True, stdout=subprocess.DEVNULL)


def remember(place):
    """Writes the tracking refs of a synchronisation as packed refs, as `git pack-refs` would have."""
    path = f"{sandbox}/{place}/.git/packed-refs"
    at(place, "pack-refs", "--all")
    with open(path) as file:
        header, *refs = file.read().splitlines()
    tracked = {"refs/backups/": "refs/pggit/remotes/origin/backups/", "refs/notes/backups": "refs/pggit/remotes/origin/notes"}
    for line in list(refs):
        for old, new in tracked.items():
            if line[41:].startswith(old):
                refs.append(f"{line[:41]}{new}{line[41 + len(old):]}")
    refs.sort(key=lambda line: line[41:])
    with open(path, "w") as file:
        file.write("\n".join([header, *refs]) + "\n")


for place in ("ours", "theirs"):
    remember(place)
# A plain fetch of all refs, so that a later one fetches only new ones.
at("fetched", "fetch", "-q", "--no-tags", "--refmap=", f"{sandbox}/hub.git", "+refs/backups/*:refs/plain/*",
   "+refs/notes/backups:refs/plain-notes")
at("fetched", "pack-refs", "--all")
# A second hub, for plain pushes.
subprocess.run(["cp", "-r", f"{sandbox}/hub.git", f"{sandbox}/pushed.git"], check=True)


def one(number):
    change("ours", ["backup", "register", "-q", "-d", "shop", "--tool", "x", "--in-progress", "--commit",
                    f"main~{number + 20}"])
    return sync("ours")


def one_taken(_):
    return sync("theirs")


def push_one(number):
    commit = subprocess.check_output(["git", "-C", f"{sandbox}/ours", "rev-parse", f"main~{number + 20}"],
                                     text=True).strip()
    return at("ours", "push", "-q", f"{sandbox}/pushed.git", f"refs/backups/{commit}", NOTES)


usual = timing.interleaved(ROUNDS, 1, {
    "sync of one new backup, given": one,
    "git push of the same two refs": push_one,
    "sync of one new backup, taken": one_taken,
    "git fetch of the same two refs": lambda _: fetch("fetched", f"{sandbox}/hub.git"),
    "sync of nothing": lambda _: sync("ours"),
    "git fetch of nothing": lambda _: fetch("fetched", f"{sandbox}/hub.git"),
})
timing.table("Every day", usual, "git fetch of nothing")

# Adds events to the same records on both sides by an import, which is the fastest way.
lines = subprocess.check_output([program, "ledger", "export"], cwd=f"{sandbox}/ours").splitlines()


def diverge(place, key, number):
    import hashlib
    import json
    import uuid
    chosen, seen = [], set()
    for line in lines[1:]:
        event = json.loads(line)
        if event.get("kind") != "completed":
            continue
        if len(seen) == int(diverged):
            break
        seen.add(event["backup"])
        digest = hashlib.sha256(f"{place}{number}{event['backup']}".encode()).digest()[:16]
        name = str(uuid.UUID(bytes=digest[:6] + bytes([0x70 | digest[6] & 15, digest[7], 0x80 | digest[8] & 63])
                             + digest[9:]))
        new = {"at": event["at"], "backup": event["backup"], "by": event["by"], "clock": event["clock"] + 1,
               "format": 1, "host": event["host"], "id": name, "key": f"{key}{number}", "kind": "tagged"}
        chosen.append(json.dumps(new, sort_keys=True, separators=(",", ":")))
    header = json.dumps({"backups": len(chosen), "format": 1, "kind": "pggit-ledger"}, separators=(",", ":"))
    with open(f"{sandbox}/import", "w") as file:
        file.write("\n".join([header, *chosen]) + "\n")
    change(place, ["ledger", "import", "-q", f"{sandbox}/import"])


def both(number):
    diverge("ours", "a", number)
    diverge("theirs", "b", number)
    sync("theirs")
    return sync("ours")


def after(_):
    return sync("theirs")


apart = timing.interleaved(3, 0, {
    "sync of refs that both sides changed": both,
    "git fetch of the same": lambda _: fetch("fetched", f"{sandbox}/hub.git"),
    "sync of the other side after it": after,
    "sync of nothing": lambda _: sync("ours"),
})
timing.table(f"{diverged} refs changed on both sides", apart, "git fetch of the same")
states = [subprocess.check_output(["git", "-C", f"{sandbox}/{place}", "for-each-ref", "--format=%(refname) %(tree)",
                                   "refs/backups"]) for place in ("ours", "theirs", "hub.git")]
bars.check("the three are the same afterwards", "yes" if len(set(states)) == 1 else "no", "yes", len(set(states)) == 1)


# Synchronises everything once, compared with a plain push and fetch of the same refs.
at("ours", "pack-refs", "--all")
at("ours", "remote", "set-url", "origin", f"{sandbox}/empty.git")
at("ours", "remote", "rename", "origin", "empty")
first = {
    "git push of everything": [at("ours", "push", "-q", f"{sandbox}/plain.git", REFS, NOTES)],
    "sync of everything, given": [sync("ours")],
    "git fetch of everything": [fetch("new", f"{sandbox}/plain.git")],
    "sync of everything, taken": [sync("new")],
}
timing.table(f"{commits} commits, {commits} backups: the first time", first, "git push of everything",
             timing.in_seconds)


def bar(results, name, limit):
    found = timing.median(results[name])
    bars.check(name, timing.in_seconds(found), f"< {limit} s", found < limit)


bar(usual, "sync of one new backup, given", 1.5)
bar(usual, "sync of one new backup, taken", 1.5)
bar(usual, "sync of nothing", 1.5)
bar(apart, "sync of refs that both sides changed", 10)
bars.finish()
PYTHON
