#!/usr/bin/env bash
# Runs a command with /tmp and /var/tmp in memory: `in-memory.sh <command> [argument]...`.
#
# Tests create thousands of files and wait until they are on disk. Only the command sees the mounts, and they end with
# it. Without the permission to mount, with too little memory, or with PGGIT_TEST_ON_DISK=1, the command runs on the
# disk.
set -euo pipefail

# The maximum that the tests need, with a margin.
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
    # TMPDIR may name a directory on the disk.
    exec env -u TMPDIR unshare --mount sh -c "$mount_it" sh "$@"
fi
echo "$0: the tests use the disk" >&2
exec "$@"
