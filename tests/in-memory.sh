#!/usr/bin/env bash
# Runs a command with /tmp and /var/tmp in memory: `in-memory.sh <command> [argument]...`.
#
# Tests make thousands of files and wait for them to reach the disk. The mounts
# are seen by the command only and end with it. Where this is not permitted, and
# where memory is scarce, the command runs all the same, on the disk. So it does
# with PGGIT_TEST_ON_DISK=1.
set -euo pipefail

# What the tests need at most, with room to spare.
needed_kib=$((4 * 1024 * 1024))

has_memory() {
    local available
    available=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
    ((available / 2 >= needed_kib))
}

mount_it='set -e
for dir in /tmp /var/tmp; do mount -t tmpfs -o mode=1777,size=50% tmpfs $dir; done
exec "$@"'

if [[ -z ${PGGIT_TEST_ON_DISK:-} && $(id -u) -eq 0 ]] && has_memory &&
    unshare --mount sh -c "$mount_it" sh true 2>/dev/null; then
    # Directories for temporary files that are named elsewhere are on the disk.
    exec env -u TMPDIR unshare --mount sh -c "$mount_it" sh "$@"
fi
echo "$0: the tests use the disk" >&2
exec "$@"
