"""A history with a backup on every commit, as input for `git fast-import`.

`ledger-history.py <commits> [<branches>] | git fast-import`

The output follows docs/format.md: for every commit a ref `refs/backups/<commit>`
with one ledger commit and a record of two events. The name of a commit is
computed here, because the record contains it.
"""

import hashlib
import json
import sys

COMMITS = int(sys.argv[1])
BRANCHES = int(sys.argv[2]) if len(sys.argv) > 2 else 1
START = 1_700_000_000
WHO = "Ada <ada@example.com>"
MIGRATION = b"create table t ();\n"
out = sys.stdout.buffer


def name_of(kind, content):
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content).digest()


def time_of(second):
    day, rest = divmod(second, 86_400)
    return f"{date(day)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.000000Z"


def date(day):
    """Returns the calendar date of a number of days since 1970."""
    day += 719_468
    era, of_era = divmod(day, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    number = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return f"{year + era * 400 + (month <= 2):04}-{month:02}-{number:02}"


def uuid(second, number):
    """A UUID of version 7."""
    digits = f"{second * 1000:012x}7{number >> 24 & 0xfff:03x}8{number & 0xffffff:015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def event(kind, number, backup, second, clock, **fields):
    head = {"format": 1, "id": uuid(second, number), "backup": backup, "kind": kind, "clock": clock,
            "at": time_of(second), "by": WHO, "host": "db1"}
    return head | fields


def record(number, commit, second):
    backup = uuid(second, number * 4)
    size, name = 1_000_000 + number, f"nightly-{number}"
    location, tool = f"s3://bucket/shop/{number}", {"name": "pg_dump", "version": "15.18"}
    common = {"name": name, "database": "shop", "commit": commit, "branch": "main", "type": "full", "tool": tool}
    events = [
        event("registered", number * 4 + 1, backup, second, 1, **common),
        event("completed", number * 4 + 2, backup, second, 2, location=location, size_bytes=size,
              stored_bytes=size // 4, compression="zstd:3"),
    ]
    state = common | {
        "format": 1, "id": backup, "status": "completed", "location": location, "size_bytes": size,
        "stored_bytes": size // 4, "compression": "zstd:3", "registered_at": time_of(second),
        "completed_at": time_of(second), "created_by": WHO, "host": "db1", "events": events,
    }
    return backup, json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def note(backup, number, second):
    """Returns the note exactly as the program derives it: the program rewrites any other note."""
    size = (1_000_000 + number) / 1024
    size = f"{size:.0f} KiB" if size < 1023.5 else f"{size / 1024:.1f} MiB"
    at = time_of(second)[:16].replace("T", " ")
    return f"Backup {backup}: completed nightly-{number} (shop, full, pg_dump 15.18, {size}, {at} UTC)\n"


def data(content):
    out.write(b"data %d\n%s\n" % (len(content), content))


def main():
    blob = name_of(b"blob", MIGRATION)
    tree = name_of(b"tree", b"100644 0001.sql\0" + blob)
    parent = None
    out.write(b"blob\nmark :1\n")
    data(MIGRATION)
    notes = []
    for number in range(COMMITS):
        second = START + number * 60
        stamp, subject = f"{WHO} {second} +0000".encode(), f"migration {number}\n".encode()
        line = b"" if parent is None else b"parent %s\n" % parent.encode()
        parent = name_of(b"commit", b"tree %s\n%sauthor %s\ncommitter %s\n\n%s" % (
            tree.hex().encode(), line, stamp, stamp, subject)).hex()
        out.write(b"commit refs/heads/main\nmark :%d\nauthor %s\ncommitter %s\n" % (number * 2 + 2, stamp, stamp))
        data(subject)
        if number == 0:
            out.write(b"M 100644 :1 0001.sql\n")
        backup, content = record(number, parent, second)
        out.write(b"commit refs/backups/%s\nauthor %s\ncommitter %s\n" % (parent.encode(), stamp, stamp))
        data(f"backup: completed nightly-{number} (full, pg_dump, 1 MB)\n\nBackup-Id: {backup}\n".encode())
        out.write(b"from :%d\nM 100644 inline .pggit/%s.json\n" % (number * 2 + 2, backup.encode()))
        data(content)
        notes.append((number * 2 + 2, note(backup, number, second)))
    stamp = f"{WHO} {START + COMMITS * 60} +0000".encode()
    out.write(b"commit refs/notes/backups\nauthor %s\ncommitter %s\n" % (stamp, stamp))
    data(b"backup: notes\n")
    for mark, text in notes:
        out.write(b"N inline :%d\n" % mark)
        data(text.encode())
    for number in range(1, BRANCHES):
        out.write(b"reset refs/heads/branch-%d\nfrom :%d\n" % (number, (COMMITS * number // BRANCHES) * 2 + 2))
    out.write(b"done\n")


main()
