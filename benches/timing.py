"""Times whole processes and compares them.

The competitors of one table run in turns, so that other load of the machine
affects all of them. The tables show medians, because outliers distort means.
"""

import os
import statistics
import sys
import time


class Finished:
    """A finished process: wall clock and processor time in seconds, memory of its largest process."""

    def __init__(self, seconds, cpu, rss_bytes, status):
        self.seconds = seconds
        self.cpu = cpu
        self.rss_bytes = rss_bytes
        self.status = status


def run(argv, stdout=None, stdin=None, fine=True):
    """Runs `argv` until it exits. Its output goes to the file `stdout`, by default to /dev/null."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, stdin or os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, stdout or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    status = os.waitstatus_to_exitcode(status)
    if fine and status != 0:
        sys.exit(f"{' '.join(argv)}: exit status {status}")
    # On Linux, `ru_maxrss` is the largest of the process and of the children it has waited for, in KiB. The processor
    # time is the sum of all of these.
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, status)


def interleaved(rounds, warm_up, competitors):
    """Runs every competitor (name -> function of the round that returns a `Finished`) in turns."""
    results = {name: [] for name in competitors}
    for number in range(-warm_up, rounds):
        for name, competitor in competitors.items():
            finished = competitor(number)
            if number >= 0:
                results[name].append(finished)
    return results


def median(finished):
    return statistics.median(one.seconds for one in finished)


def median_cpu(finished):
    """The median processor time: other load of the machine affects it less than the wall clock."""
    return statistics.median(one.cpu for one in finished)


def milliseconds(seconds):
    return f"{seconds * 1e3:.1f} ms"


def in_seconds(seconds):
    return f"{seconds:.2f} s"


def table(title, results, base, show=milliseconds):
    """Prints medians, extremes, and the ratio to the competitor `base`."""
    print(f"\n{title}\n")
    print(f"  {'':<42} {'median':>10} {'best':>10} {'worst':>10} {'ratio':>7} {'cpu':>10} {'ratio':>7}")
    for name, finished in results.items():
        times = [one.seconds for one in finished]
        ratio = median(finished) / median(results[base])
        shown = [show(value) for value in (statistics.median(times), min(times), max(times), median_cpu(finished))]
        # A clock with a resolution of whole ticks may have measured 0.
        of_base = median_cpu(results[base])
        cpu_ratio = f"{median_cpu(finished) / of_base:>6.2f}x" if of_base else ""
        print(f"  {name:<42} {shown[0]:>10} {shown[1]:>10} {shown[2]:>10} {ratio:>6.2f}x {shown[3]:>10} {cpu_ratio:>7}")


class Bars:
    """The required results, and whether all were reached."""

    def __init__(self):
        self.met = True
        self._lines = []

    def check(self, what, value, bar, good):
        self.met = self.met and good
        self._lines.append(f"  {'ok  ' if good else 'MISS'}  {what}: {value} (bar: {bar})")

    def finish(self):
        print("\n" + "\n".join(self._lines) + "\n")
        sys.exit(0 if self.met else 1)
