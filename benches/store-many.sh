#!/usr/bin/env bash
# A store with many artifacts: what the next one costs when there are 10, 100
# and 1,000 of them, of one database and of ten.
# `store-many.sh [<directory of git-pggit>] [<artifacts, 1000>] [<rows of a dump, 100000>]`
#
# Bars: processor time of a put, and by how much it grows the store, are no more
# than 1.5 x with ten times as many artifacts, everything that is listed included.
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

# So many puts around a number of artifacts are looked at.
WINDOW = 10
bars = timing.Bars()
dump = f"{sandbox}/dump"


class Database:
    """Rows of which one in two hundred changes from version to version."""

    def __init__(self, name):
        self.name, self.version = name, 0
        self.rows = [self.row(number) for number in range(rows)]

    def row(self, number):
        digest = hashlib.md5(f"{self.name} {number} {self.version}".encode()).hexdigest()
        return f"{number}\t{digest}\tcustomer {number}\n"

    def write(self):
        with open(dump, "w") as file:
            file.writelines(self.rows)
        self.version += 1
        for number in random.Random(self.version).sample(range(rows), rows // 200):
            self.rows[number] = self.row(number)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names)


def fill(title, databases):
    store = f"{sandbox}/store-{len(databases)}"
    subprocess.run([program, "-q", "store", "init", store], check=True)
    puts, gets, lists, grown = {}, {}, {}, {}
    steps = [step for step in (10, 100, 1000, 10000) if step <= most]
    if not steps:
        sys.exit("at least 10 artifacts")
    for number in range(1, steps[-1] + WINDOW + 1):
        database = databases[number % len(databases)]
        database.write()
        step = next((step for step in steps if step < number <= step + WINDOW), None)
        before = size_of(store) if step else 0
        put = timing.run([program, "-q", "store", "put", "--store", store, "--database", database.name], stdin=dump)
        if step:
            newest = sorted(os.listdir(f"{store}/artifacts/{database.name}"))[-1]
            puts.setdefault(f"put, {step} artifacts", []).append(put)
            grown.setdefault(step, []).append(size_of(store) - before)
            gets.setdefault(f"get, {step} artifacts", []).append(
                timing.run([program, "store", "get", "--store", store, newest]))
            lists.setdefault(f"gc --dry-run, {step} artifacts", []).append(
                timing.run([program, "store", "gc", "--store", store]))
    for results in (puts, gets, lists):
        timing.table(title, results, next(iter(results)))
    print()
    growth = {step: statistics.median(grown[step]) for step in steps}
    for step in steps:
        print(f"  {step:>6} artifacts: the next grows the store by {growth[step] / 1e3:.0f} kB")
    for before, after in zip(steps, steps[1:]):
        ratio = timing.median_cpu(puts[f"put, {after} artifacts"]) / timing.median_cpu(puts[f"put, {before} artifacts"])
        bars.check(f"{title}: a put with {after} against {before}", f"{ratio:.2f}x", "< 1.5x", ratio < 1.5)
        ratio = growth[after] / growth[before]
        bars.check(f"{title}: its growth with {after} against {before}", f"{ratio:.2f}x", "< 1.5x", ratio < 1.5)


fill("Ten databases", [Database(f"shop{number}") for number in range(10)])
fill("One database", [Database("shop")])
bars.finish()
PYTHON
