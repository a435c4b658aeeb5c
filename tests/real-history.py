#!/usr/bin/env python3
"""Restores commits of the real history of a project, and compares each with what the migration tool makes itself.

`real-history.py <directory of git-pggit> <tool> <clone> <directory of the migrations> [<commits>] [<backups>]`

The tool is one of tests/migration-tools that has SQL migrations. It applies the migrations of some commits to a
database, and a backup is made after each. The commit of the backup, which git-pggit derives from the table of the tool,
is compared with the newest commit on the branch whose directory is the same. Then each of the commits is restored: the
tool itself has to find nothing to do, and the schema has to be the one that the tool makes from nothing. Prints a row
for each commit, and exits with 1 if one is wrong. It needs the variables of libpq of a server of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUN = HERE / "migration-tools" / "run.sh"
# The directory in which tests/migration-tools/run.sh expects the migrations.
EXPECTED = {"prisma": "prisma/migrations"}

bindir, tool, clone, directory = sys.argv[1:5]
wanted = int(sys.argv[5]) if len(sys.argv) > 5 else 20
backups = int(sys.argv[6]) if len(sys.argv) > 6 else 5
os.environ["PATH"] = os.path.abspath(bindir) + ":" + os.environ["PATH"]
work = Path(tempfile.mkdtemp(prefix="real-history-"))
repository = work / "repository"
wrong = 0


def run(*words, cwd=repository, check=True):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done


def url(dbname):
    host = os.environ["PGHOST"].replace("/", "%2F")
    return f"postgresql://{os.environ.get('PGUSER', 'postgres')}@/{dbname}?host={host}&port={os.environ.get('PGPORT', '5432')}"


def tree(commit):
    return run("git", "rev-parse", "-q", "--verify", f"{commit}:{directory}", check=False).stdout.strip()


def with_tool(command, commit, dbname):
    """Runs the tool on the migrations of a commit. Returns its words if it fails."""
    place = Path(tempfile.mkdtemp(dir=work))
    archive = subprocess.run(["git", "archive", commit, directory], cwd=repository, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=place, input=archive.stdout, check=True)
    expected = place / EXPECTED.get(tool, "migrations")
    if expected != place / directory:
        expected.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place / directory, expected)
    if tool == "prisma":
        shutil.copy(HERE / "migration-tools/prisma/files/prisma/schema.prisma", place / "prisma/schema.prisma")
    done = run(str(RUN), tool, command, str(place), url(dbname), cwd=place, check=False)
    shutil.rmtree(place)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[-1:]


made = {}
# The schema of the database at each backup.
recorded = {}


def from_nothing(commit):
    """Returns the schema that the tool makes of the commit in an empty database, or why it cannot."""
    key = tree(commit)
    if key not in made:
        dbname = f"nothing_{len(made)}"
        run("createdb", dbname)
        failed = with_tool("migrate", commit, dbname)
        made[key] = (schema(dbname), None) if failed is None else (None, f"the tool fails: {failed}")
        run("dropdb", dbname)
    return made[key]


def schema(dbname):
    text = run("pg_dump", "--schema-only", "--no-owner", dbname).stdout
    return re.sub(r"(?m)^(\\(un)?restrict .*|--.*|)\n", "", text)


run("git", "clone", "-q", "--no-checkout", clone, str(repository), cwd=work)
line = run("git", "log", "--first-parent", "--format=%H").stdout.split()
line = [commit for commit in line if tree(commit)][::-1]
newest = {tree(commit): commit for commit in line}
# As many commits as wanted, of which most change the migrations.
changes = [c for n, c in enumerate(line) if n == 0 or tree(line[n - 1]) != tree(c)]
chosen = [changes[n * (len(changes) - 1) // max(1, wanted - 1)] for n in range(wanted)]
chosen = [newest[tree(c)] if n % 3 == 0 else c for n, c in enumerate(chosen)]
chosen = sorted(set(chosen), key=line.index)
more = [c for n, c in enumerate(line) if c not in chosen]
while len(chosen) < wanted and more:
    chosen.append(more.pop(len(more) // 2))
chosen.sort(key=line.index)
run("git", "pggit", "store", "init", str(work / "store"))
run("git", "config", "pggit.store", str(work / "store"))
run("git", "config", "pggit.shop.migrations", directory)
print(f"# {tool}: {len(line)} commits with {directory}, {len(changes)} of them change it; {len(chosen)} are restored")

dbname, number = "live_0", 0
run("createdb", dbname)
for n in range(backups):
    commit = chosen[n * (len(chosen) - 1) // backups]
    run("git", "config", "pggit.shop.url", url(dbname))
    failed = with_tool("migrate", commit, dbname)
    if failed is not None:
        print(f"backup of {commit[:10]}: the tool itself cannot go on from the backup before: {failed}; a new database")
        number += 1
        dbname = f"live_{number}"
        run("createdb", dbname)
        run("git", "config", "pggit.shop.url", url(dbname))
        failed = with_tool("migrate", commit, dbname)
        if failed is not None:
            print(f"backup of {commit[:10]}: not made, the tool fails: {failed}")
            continue
    record = json.loads(run("git", "pggit", "backup", "create", "--database", "shop", "--json").stdout)
    recorded[record["id"]] = schema(dbname)
    derived, truth = record["commit"], newest[tree(commit)]
    verdict = "right" if derived == truth else "right (same migrations)" if tree(derived) == tree(truth) else "WRONG"
    wrong += verdict == "WRONG"
    why = record["metadata"].get("commit_not_derived", "")
    print(f"backup of {commit[:10]}: derived {derived[:10]} by {record['metadata']['commit_source']}: {verdict} {why}")

print(f"{'COMMIT':10} {'COVERAGE':12} {'CANDIDATE':34} {'PROOF':16} {'TOOL':12} SCHEMA")
for commit in chosen:
    coverage = json.loads(run("git", "pggit", "backup", "coverage", "--commits", f"{commit}~1..{commit}", "--json", check=False).stdout or "null")
    state = "-"
    if isinstance(coverage, dict) and coverage.get("commits"):
        state = coverage["commits"][0]["state"]
    found = json.loads(run("git", "pggit", "backup", "find", commit, "--json", check=False).stdout or "{}")
    best = next((one for one in found.get("candidates", []) if one["eligible"]), None)
    candidate = best["reason"] if best else "none"
    done = run("git", "pggit", "backup", "restore", commit, "--into", "restored", "--json", check=False)
    if done.returncode != 0:
        errors = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"error"')]
        reason = errors[-1]["error"]["message"] if errors else done.stderr.strip()
        print(f"{commit[:10]} {state:12} {candidate[:34]:34} refused: {' '.join(reason.split())[:160]}")
        if "SQLSTATE" in reason and best:
            # Does the tool itself get from the backup to the commit?
            run("git", "pggit", "backup", "restore", best["backup"], "--no-migrate", "--into", "restored")
            failed = with_tool("migrate", commit, "restored")
            wrong += failed is None
            print(f"{'':10} the tool itself {'gets there: WRONG' if failed is None else f'fails, too: {failed}'}")
        run("dropdb", "--if-exists", "restored")
        continue
    level = json.loads(done.stdout)["proof"]["level"]
    pending = with_tool("status", commit, "restored")
    # A backup of the commit itself has what its database had, also if migrations were edited after they ran.
    restored = json.loads(done.stdout)
    exact = recorded.get(restored["backup"]) if best and best["relation"] == "exact" else None
    expected, why = (exact, None) if exact else from_nothing(commit)
    same = why if expected is None else "equal" if schema("restored") == expected else "DIFFERS"
    told = "nothing" if pending is None else f"PENDING {pending}"
    wrong += pending is not None or same == "DIFFERS"
    print(f"{commit[:10]} {state:12} {candidate[:34]:34} {level:16} {told:12} {same}", flush=True)
    run("dropdb", "restored")
shutil.rmtree(work)
print("none is wrong" if wrong == 0 else f"{wrong} are WRONG")
sys.exit(wrong > 0)
