#!/usr/bin/env bash
# A store with many artifacts: the cost of the same version of a database in a store with 10, 100 and 1,000 artifacts,
# and the cost of the 500th version of one database.
# `store-many.sh [<directory of git-pggit>] [<artifacts, 1000>] [<rows of a dump, 100000>]`
#
# Bars: with 1,000 artifacts, the processor time of a put and the growth of the store are at most 1.25 x those
# with 10.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

PYTHONDONTWRITEBYTECODE=1 python3 -u - "$here" "$sandbox" "$program_dir/git-pggit" "${2:-1000}" "${3:-100000}" <<'PYTHON'
import hashlib
import os
import random
import statistics
import subprocess
import sys

here, sandbox, program, most, rows = sys.argv[1:]
most, rows = int(most), int(rows)
sys.path.insert(0, here)
import timing

# The number of puts around a number of artifacts that are averaged.
WINDOW = 10
bars = timing.Bars()
dump = f"{sandbox}/dump"


class Database:
    """A database whose next version changes one row in two hundred."""

    def __init__(self, name, rows):
        self.name, self.version = name, 0
        self.rows = [self.row(number) for number in range(rows)]

    def row(self, number):
        digest = hashlib.md5(f"{self.name} {number} {self.version}".encode()).hexdigest()
        return f"{number}\t{digest}\tcustomer {number}\n"

    def put(self, store):
        with open(dump, "w") as file:
            file.writelines(self.rows)
        self.version += 1
        for number in random.Random(self.version).sample(range(len(self.rows)), len(self.rows) // 200):
            self.rows[number] = self.row(number)
        return timing.run([program, "-q", "store", "put", "--store", store, "--database", self.name], stdin=dump)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names)


def measured(store, database, results, growth, label):
    """Stores the next versions of `database`, and times other commands on the store after each."""
    for _ in range(WINDOW):
        before = size_of(store)
        put = database.put(store)
        newest = sorted(os.listdir(f"{store}/artifacts/{database.name}"))[-1]
        for name, run in {
            "put": put,
            "get": timing.run([program, "store", "get", "--store", store, newest]),
            "gc, dry run": timing.run([program, "store", "gc", "--store", store]),
        }.items():
            results.setdefault(name, {}).setdefault(f"{name}, {label}", []).append(run)
        growth.setdefault(label, []).append(size_of(store) - before)


def report(title, results, growth, limited):
    for runs in results.values():
        timing.table(title, runs, next(iter(runs)))
    print()
    for label, bytes in growth.items():
        print(f"  {label}: the next grows the store by {statistics.median(bytes) / 1e3:.1f} kB")
    if limited:
        first, *_, last = results["put"]
        ratio = timing.median_cpu(results["put"][last]) / timing.median_cpu(results["put"][first])
        bars.check(f"{last}, against the first", f"{ratio:.2f}x", "< 1.25x", ratio < 1.25)
        first, *_, last = growth
        ratio = statistics.median(growth[last]) / statistics.median(growth[first])
        bars.check(f"growth, {last}, against the first", f"{ratio:.2f}x", "< 1.25x", ratio < 1.25)


def made(name):
    store = f"{sandbox}/store-{name}"
    subprocess.run([program, "-q", "store", "init", store], check=True)
    return store


# Each measurement is of the eleventh and later versions of one database; the others fill the store with other
# databases.
steps = [step for step in (10, 100, 1000, 10000) if step <= most]
if len(steps) < 2:
    sys.exit("at least 100 artifacts")
results, growth = {}, {}
for step in steps:
    store = made(step)
    others = [Database(f"other{number}", 200) for number in range(min(step, 50))]
    for number in range(step - 10):
        others[number % len(others)].put(store)
    shop = Database("shop", rows)
    for _ in range(10):
        shop.put(store)
    measured(store, shop, results, growth, f"{step} artifacts")
report("The same version in stores with more and more artifacts", results, growth, True)

# The cost of a long history of one database.
results, growth, store, shop = {}, {}, made("one"), Database("shop", rows)
for number in range(1, 501):
    if number in (11, 101, 251, 491):
        measured(store, shop, results, growth, f"version {number}")
    else:
        shop.put(store)
report("One database", results, growth, False)
bars.finish()
PYTHON
