#!/usr/bin/python3
"""Checks which folder includes which.

LAYERS is the plan of the house, bottom up: each folder, and the folders that
its files may include beside itself.  src/README.md draws it.  Anything else is
an error, and so is a folder that is not in the table, a cycle in the table, an
include of our own that does not name its folder, and an extern function that
is not declared in the header of its own file or the public header of its
folder.

    layers.py [DIRECTORY]       checks DIRECTORY/src, the tree's by default
    layers.py --table           prints the table and what is used of it
"""

import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

CORE = ["core"]
LIBRARY = CORE + ["providers", "providers/local"]
HELPER = CORE + ["providers", "providers/serve"]
CLOUD = HELPER + ["providers/http"]

# Sizes and names of seals, and reading a file of secrets, are the providers'.
LOW = CORE + ["providers", "base"]
CATALOG = LOW + ["context", "catalog"]
KEYS = CATALOG + ["keys"]
RIGHTS = KEYS + ["rights"]
AUDIT = RIGHTS + ["audit"]
VALUE = AUDIT + ["redact", "value"]

LAYERS = {
    "core": [],
    "providers": CORE,
    "providers/local": LIBRARY,
    "providers/serve": LIBRARY,
    "providers/http": HELPER,
    "providers/vault": CLOUD,
    "providers/aws": CLOUD,
    "providers/gcp": CLOUD,
    "providers/azure": CLOUD,
    "providers/kms": CLOUD + ["providers/" + name
                              for name in ("vault", "aws", "gcp", "azure")],
    "providers/pkcs11": LIBRARY + ["providers/serve"],
    "base": CORE,
    "redact": CORE + ["base"],
    "context": LOW,
    "catalog": LOW + ["context"],
    "keys": CATALOG + ["providers/local"],
    "rights": KEYS,
    "audit": RIGHTS,
    "value": VALUE,
    "admin": VALUE,
    "rewrite": VALUE,
    "rewrap": VALUE + ["rewrite", "admin"],
    "lifecycle": VALUE + ["rewrite", "admin", "rewrap"],
    "watch": VALUE + ["rewrite", "admin", "rewrap", "lifecycle"],
    "workers": VALUE + ["rewrite", "admin", "rewrap", "lifecycle"],
    "server": VALUE + ["rewrite", "admin", "rewrap", "lifecycle", "watch",
                       "workers"],
}
SERVER = [name for name in LAYERS if name not in ("core", "server")
          and not name.startswith("providers")]


def folder_of(path):
    """The name in the table of a file's folder: src/server/keys is "keys"."""
    folder = os.path.dirname(path)
    return folder.replace("src/server/", "", 1).replace("src/", "", 1)


def sources(top):
    for pattern in ("src/**/*.c", "src/**/*.h"):
        for path in glob.glob(os.path.join(top, pattern), recursive=True):
            yield os.path.relpath(path, top)


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    return re.sub(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", "", text, flags=re.S)


def includes(top):
    """(file, line, folder or None, header) of every include of our own."""
    names = {os.path.basename(path) for path in sources(top)
             if path.endswith(".h")}
    for path in sorted(sources(top)):
        for number, line in enumerate(read(top, path).split("\n"), 1):
            match = re.match(r'#include "(?:(.*)/)?([^/"]+\.h)"', line)
            if match and match.group(2) in names:
                folder = match.group(1)
                if folder is None and folder_of(path) in ("core", "server"):
                    folder = folder_of(path)
                yield path, number, folder, match.group(2)


def cycle():
    """Folders of the table that may include each other, directly or not."""
    def reaches(start):
        seen, todo = set(), list(LAYERS[start])
        while todo:
            name = todo.pop()
            if name not in seen and name != start:
                seen.add(name)
                todo += LAYERS[name]
            elif name == start and name not in LAYERS[start]:
                seen.add(name)
        return seen
    return [(a, b) for a in LAYERS for b in reaches(a)
            if a < b and a in reaches(b)]


def bad_includes(top):
    for path, number, folder, header in includes(top):
        where = f"{path}:{number}"
        mine = folder_of(path)
        if mine not in LAYERS:
            yield f"{where}: folder {mine} is not in the table of layers.py"
        elif folder is None:
            yield f"{where}: the include of {header} does not name its folder"
        elif folder != mine and folder not in LAYERS[mine]:
            yield (f"{where}: {mine} may not include {folder} "
                   f"({folder}/{header})")


DECLARATION = re.compile(
    r"^extern\s+(?:[\w*]+\s+)*?[\s*]*((?:pge|envl|prov)_\w+)\s*\(", re.M)
DEFINITION = re.compile(
    r"^((?:pge|envl|prov)_\w+)\(", re.M)


def bad_doors(top):
    """Functions that are not declared in the header of their own file, or in
    the header of a file that is none, the door of their folder."""
    defined = {}
    paths = sorted(sources(top))
    for path in paths:
        if path.endswith(".c"):
            for name in DEFINITION.findall(without_comments(read(top, path))):
                defined.setdefault(name, path)
    for path in paths:
        if not path.endswith(".h"):
            continue
        for name in DECLARATION.findall(without_comments(read(top, path))):
            home = defined.get(name)
            if home and home[:-2] != path[:-2] and (
                    folder_of(home) != folder_of(path)
                    or path[:-2] + ".c" in paths):
                yield (f"{path}: declares {name}, which is defined in "
                       f"{home}")


def print_table():
    used = {}
    for path, _, folder, _ in includes(TOP):
        if folder and folder != folder_of(path):
            key = (folder_of(path), folder)
            used[key] = used.get(key, 0) + 1
    for name, may in LAYERS.items():
        print(f"{name:18}", " ".join(
            f"{other}:{used[name, other]}" if (name, other) in used
            else f"({other})" for other in dict.fromkeys(may)
            if other != name))


def main():
    if sys.argv[1:] == ["--table"]:
        print_table()
        return 0
    top = sys.argv[1] if sys.argv[1:] else TOP
    bad = [f"{a} and {b} may include each other" for a, b in cycle()]
    bad += bad_includes(top)
    bad += bad_doors(top)
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
