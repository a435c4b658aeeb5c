#!/usr/bin/env python3
"""Reads an artifact of an unencrypted git-pggit store, without git-pggit.

    read-store.py <directory of the store>                     lists artifacts
    read-store.py <directory of the store> <id> [<file>] > x   writes a file of one

Needs Python 3 and the program zstd; with b3sum the result is verified, too. A
store in a cloud has to be copied to a directory first, with the cloud's own
tools. What is read here is described in store-format.md.
"""

import json
import os
import shutil
import subprocess
import sys


def zstd(frame):
    return subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE, check=True).stdout


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def signed(data, at):
    value, at = varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def apply(base, delta):
    """The bytes that a delta makes of its base."""
    count, at = varint(delta, 0)
    inserts, froms, copies = [], [], []
    for _ in range(count):
        number, at = varint(delta, at)
        inserts.append(number)
    for _ in range(count):
        number, at = signed(delta, at)
        froms.append(number)
    for _ in range(count):
        number, at = varint(delta, at)
        copies.append(number)
    tail, at = varint(delta, at)
    made, end = bytearray(), 0
    for insert, distance, copy in zip(inserts, froms, copies):
        made += delta[at : at + insert]
        at += insert
        start = end + distance
        end = start + copy
        made += base[start:end]
    made += delta[at : at + tail]
    return bytes(made)


class Artifact:
    """One artifact: its manifest, and the packs that it names."""

    def __init__(self, store, manifest):
        self.store = store
        with open(manifest, "rb") as file:
            # The last 32 bytes are the digest of what is before, and of its place.
            self.manifest = json.loads(self.plain(file.read()[:-32]))
        self.files = {}

    @staticmethod
    def plain(blob):
        return zstd(blob[1:]) if blob[0] == 1 else blob[1:]

    def bytes_at(self, pack, offset, length):
        if pack not in self.files:
            name = self.manifest["packs"][pack]["id"]
            self.files[pack] = open(os.path.join(self.store, "packs", name[:2], name), "rb")
        self.files[pack].seek(offset)
        return self.files[pack].read(length)

    def blob(self, pack, offset, length):
        """What a blob contains, made of its bases if it is a delta."""
        data = self.bytes_at(pack, offset, length)
        if data[0] < 2:
            return self.plain(data)
        count, at = varint(data, 1)
        base = b""
        for _ in range(count):
            ref, at = varint(data, at)
            start, at = varint(data, at)
            stored, at = varint(data, at)
            _, at = varint(data, at)
            base += self.blob(self.manifest["packs"][pack]["refs"][ref], start, stored)
        size, at = varint(data, at)
        made = apply(base, zstd(data[at:]) if data[0] == 3 else data[at:])
        if len(made) != size:
            sys.exit(f"damaged: pack {pack}, offset {offset}")
        return made

    def write(self, name, output):
        for entry in next(file for file in self.manifest["files"] if file["name"] == name)["lists"]:
            columns = json.loads(self.blob(entry["pack"], entry["offset"], entry["stored"]))
            end = 0
            for pack, distance, stored in zip(columns["pack"], columns["offset"], columns["stored"]):
                output.write(self.blob(pack, end + distance, stored))
                end += distance + stored


def manifests(store):
    """The newest revision of every artifact."""
    for lineage in sorted(os.listdir(os.path.join(store, "artifacts"))):
        for artifact in sorted(os.listdir(os.path.join(store, "artifacts", lineage))):
            directory = os.path.join(store, "artifacts", lineage, artifact)
            yield artifact, os.path.join(directory, max(os.listdir(directory)))


def main():
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    store = sys.argv[1]
    with open(os.path.join(store, "config"), encoding="utf-8") as file:
        config = json.load(file)
    if config["encrypted"] or config["format"] != 1:
        sys.exit("encrypted, or of a later format: this script cannot read it")
    if len(sys.argv) == 2:
        for artifact, path in manifests(store):
            manifest = Artifact(store, path).manifest
            for file in manifest["files"]:
                print(artifact, manifest["lineage"], manifest["created_at"], file["name"], file["size"])
        return
    wanted = [path for artifact, path in manifests(store) if artifact.startswith(sys.argv[2])]
    if len(wanted) != 1:
        sys.exit(f"{len(wanted)} artifacts begin with '{sys.argv[2]}'")
    artifact = Artifact(store, wanted[0])
    name = sys.argv[3] if len(sys.argv) == 4 else artifact.manifest["files"][0]["name"]
    output, check = sys.stdout.buffer, None
    if shutil.which("b3sum"):
        check = subprocess.Popen(["b3sum", "--no-names"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    class Both:
        @staticmethod
        def write(data):
            output.write(data)
            if check:
                check.stdin.write(data)

    artifact.write(name, Both)
    output.flush()
    if check:
        expected = next(file for file in artifact.manifest["files"] if file["name"] == name)["digest"]
        if check.communicate()[0].decode().strip() != expected:
            sys.exit("damaged: the digest is not the one of the manifest")


if __name__ == "__main__":
    main()
