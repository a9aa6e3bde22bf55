#!/usr/bin/python3
"""
Makes the test vectors (README.md) out of docs/format.md.

    generate.py            write the files, and remove those of cases gone
    generate.py --check    say whether the files are what it would write

Nothing is random: running it again changes nothing.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import argparse
import pathlib
import sys

from generator.contexts import (canonical_vectors, context_vectors,
                                policy_vectors)
from generator.envelopes import envelope_vectors, equality_vectors
from generator.jwes import jwe_vectors
from generator.keys import key_vectors, root_vectors
from generator.primitives import gcm_vectors, wrap_vectors

HERE = pathlib.Path(__file__).resolve().parent

DIRECTORIES = {
    "canonical": canonical_vectors,
    "context": context_vectors,
    "envelope": envelope_vectors,
    "equality": equality_vectors,
    "gcm": gcm_vectors,
    "jwe": jwe_vectors,
    "key": key_vectors,
    "policy": policy_vectors,
    "root": root_vectors,
    "wrap": wrap_vectors,
}


def expected_files():
    """Path to content, of every file there should be."""
    files = {}
    for directory, vectors in DIRECTORIES.items():
        for vector in vectors():
            path = HERE / directory / vector.name
            assert path not in files, path
            files[path] = vector.content()
    return files


def present_files():
    return {path: path.read_bytes() for directory in DIRECTORIES
            for path in (HERE / directory).glob("*")}


def check(files, present):
    """Prints what differs; true if nothing does."""
    for path in sorted(files.keys() | present.keys()):
        if path not in present:
            print(f"missing: {path.relative_to(HERE)}")
        elif path not in files:
            print(f"not generated: {path.relative_to(HERE)}")
        elif files[path] != present[path]:
            print(f"differs: {path.relative_to(HERE)}")
    return files == present


def write(files, present):
    for path in present.keys() - files.keys():
        path.unlink()
    for path, content in files.items():
        if present.get(path) != content:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description="Makes the test vectors.")
    parser.add_argument("--check", action="store_true",
                        help="compare the files, write nothing")
    arguments = parser.parse_args()
    files, present = expected_files(), present_files()
    if arguments.check:
        if not check(files, present):
            return 1
        print(f"{len(files)} vectors are as generated")
        return 0
    write(files, present)
    print(f"{len(files)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
