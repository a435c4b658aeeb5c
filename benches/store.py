"""Stores three versions of two databases with each of several programs, in turns."""

import os
import shutil
import statistics
import subprocess
import sys
import time

sandbox, program, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import timing  # noqa: E402

VERSIONS = (1, 2, 3)
os.environ.update({
    "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": f"{sandbox}/restic-cache", "BORG_BASE_DIR": f"{sandbox}/borg-base",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
})


class Run:
    """A finished pipeline: wall clock, CPU and memory of its own processes, without the server."""

    def __init__(self, seconds, cpu, rss_bytes):
        self.seconds, self.cpu, self.rss_bytes = seconds, cpu, rss_bytes


def pipeline(*commands, cwd=None):
    """Runs commands with pipes between them. The output of the last one goes to /dev/null."""
    start = time.perf_counter()
    started, source = [], subprocess.DEVNULL
    for number, command in enumerate(commands):
        last = number == len(commands) - 1
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL if last else subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, cwd=cwd)
        if source not in (None, subprocess.DEVNULL):
            source.close()
        source = process.stdout
        started.append(process)
    cpu = rss = 0
    for process, command in zip(started, commands):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
        cpu += usage.ru_utime + usage.ru_stime
        rss = max(rss, usage.ru_maxrss * 1024)
    return Run(time.perf_counter() - start, cpu, rss)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names)


class Peer:
    """One of the competitors."""

    def __init__(self, name, directory, prepare, backup, read):
        self.name, self.directory = name, f"{sandbox}/{directory}"
        self.prepare, self.backup, self.read = prepare, backup, read


def ours_backup(repo, data, version):
    return pipeline(dump(data, version), [program, "-q", "store", "put", "--store", repo, "--database", data])


def ours_read(repo, data, _):
    newest = sorted(os.listdir(f"{repo}/artifacts/{data}"))[-1]
    return pipeline([program, "store", "get", "--store", repo, newest])


def dump(data, version):
    return ["pg_dump", "-Fc", "-Z0", f"{data}{version}"]


def silently(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


OURS = "git pggit store put"
PEERS = [
    Peer(OURS, "ours", lambda repo: silently(program, "store", "init", repo), ours_backup, ours_read),
    Peer("restic backup --stdin", "restic", lambda repo: silently("restic", "-r", repo, "init"),
         lambda repo, data, version: pipeline(
             dump(data, version), ["restic", "-q", "-r", repo, "backup", "--host", "h", "--stdin", "--stdin-filename", "db.dump"]),
         lambda repo, *_: pipeline(["restic", "-q", "-r", repo, "dump", "latest", "/db.dump"])),
    Peer("borg create -C zstd,3", "borg", lambda repo: silently("borg", "init", "-e", "none", repo),
         lambda repo, data, version: pipeline(
             dump(data, version), ["borg", "create", "-C", "zstd,3", "--stdin-name", "db.dump", f"{repo}::v{version}", "-"]),
         lambda repo, data, version: pipeline(["borg", "extract", "--stdout", f"{repo}::v{version}"])),
]


def zstd(data, version):
    return pipeline(dump(data, version), ["zstd", "-q", "-3", "-T2", "-c"])


def measure(data):
    backups = {peer.name: {version: [] for version in VERSIONS} for peer in PEERS}
    sizes = {peer.name: {version: [] for version in VERSIONS} for peer in PEERS}
    reads = {peer.name: [] for peer in PEERS}
    floor, plain = [], []
    pipeline(dump(data, 1))
    for _ in range(rounds):
        for peer in PEERS:
            shutil.rmtree(peer.directory, ignore_errors=True)
            peer.prepare(peer.directory)
        for version in VERSIONS:
            os.sync()
            floor.append(pipeline(dump(data, version)))
            plain.append(zstd(data, version))
            for peer in PEERS:
                os.sync()
                backups[peer.name][version].append(peer.backup(peer.directory, data, version))
                sizes[peer.name][version].append(size_of(peer.directory))
        for peer in PEERS:
            reads[peer.name].append(peer.read(peer.directory, data, VERSIONS[-1]))
    return floor, plain, backups, sizes, reads


def median(values):
    return statistics.median(values)


def report(data, bars, growth_bar):
    floor, plain, backups, sizes, reads = measure(data)
    least = median([run.seconds for run in floor])
    least_cpu = median([run.cpu for run in floor])
    print(f"\n{data}: three versions, {rounds} rounds, medians\n")
    print(f"  {'':<26} {'first':>8} {'later':>8} {'ratio':>7} {'CPU':>7} {'MiB':>6} {'MB: 1':>8} {'2':>8} {'3':>8} {'read':>7}")
    print(f"  {'pg_dump -Fc -Z0':<26} {'':>8} {least:>6.2f} s {1:>6.2f}x {least_cpu:>5.2f} s")
    shown = median([run.seconds for run in plain])
    print(f"  {'... | zstd -3 -T2':<26} {'':>8} {shown:>6.2f} s {shown / least:>6.2f}x {median([run.cpu for run in plain]):>5.2f} s")
    found = {}
    for peer in PEERS:
        first = median([run.seconds for run in backups[peer.name][1]])
        runs = backups[peer.name][2] + backups[peer.name][3]
        later, cpu = median([run.seconds for run in runs]), median([run.cpu for run in runs])
        memory = max(run.rss_bytes for run in runs + backups[peer.name][1]) / 2**20
        size = [median(sizes[peer.name][version]) for version in VERSIONS]
        growth = ((size[2] - size[0]) / 2)
        read = median([run.seconds for run in reads[peer.name]])
        found[peer.name] = (later, cpu, memory, growth, size[2], read)
        print(f"  {peer.name:<26} {first:>6.2f} s {later:>6.2f} s {later / least:>6.2f}x {cpu:>5.2f} s {memory:>6.0f} "
              + " ".join(f"{value / 1e6:>8.2f}" for value in size) + f" {read:>5.2f} s")
    ours = found[OURS]
    theirs = [values for name, values in found.items() if name != OURS]
    best = [min(values[column] for values in theirs) for column in range(6)]

    def ratio(what, value, limit):
        bars.check(f"{data}: {what}", f"{value:.3f}x", f"< {limit}x", value < limit)

    ratio("wall against the fastest of theirs", ours[0] / best[0], 0.6)
    ratio("wall against pg_dump", ours[0] / least, 1.3)
    ratio("CPU against borg", ours[1] / found["borg create -C zstd,3"][1], 1)
    ratio("growth against the smallest of theirs", ours[3] / best[3], growth_bar)
    ratio("three versions against the smallest of theirs", ours[4] / best[4], 0.5)
    ratio("reading back against the fastest of theirs", ours[5] / best[5], 1)
    bars.check(f"{data}: memory", f"{ours[2]:.0f} MiB", "< 300 MiB", ours[2] < 300)


bars = timing.Bars()
report("pgbench", bars, 0.3)
report("realistic", bars, 0.03)
bars.finish()
