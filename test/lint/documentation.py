#!/usr/bin/python3
"""Checks that what users can name is documented.

Every setting and every SQL function, type, trigger function, table and view
is in docs/reference.md, and every SQL object has a COMMENT ON.  The plumbing
of the type (in, out, operators' functions) needs the comment only.
"""

import glob
import re
import sys

SCHEMA = r"(?:@extschema@|pgenvelope)\."
PLUMBING = re.compile(r"^(envelope_|guard_)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    parts = "".join(read(name) for name in
                    ["sql/pgenvelope.sql", *sorted(glob.glob("sql/parts/*"))])
    sql = re.sub(r"^\s*--.*$", "", parts, flags=re.M)
    guc = read("src/server/pge_guc.c")
    reference = read("docs/reference.md")
    bad = []

    def want_in_reference(kind, name):
        if not re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", reference):
            bad.append(f"docs/reference.md does not name the {kind} {name}")

    settings = re.findall(
        r"DefineCustom\w+Variable\(\s*\"(pgenvelope\.\w+)\"", guc)
    functions = set(re.findall(
        rf"CREATE (?:OR REPLACE )?FUNCTION\s+{SCHEMA}(\w+)\s*\(", sql))
    relations = re.findall(
        rf"CREATE (TABLE|VIEW)\s+({SCHEMA}\w+)", sql)
    types = set(re.findall(rf"CREATE TYPE\s+{SCHEMA}(\w+)\s*\(", sql))
    if not (settings and functions and relations and types):
        bad.append("the parser of this check found nothing: mend it")

    for name in settings:
        want_in_reference("setting", name)
    for name in sorted(functions):
        if not PLUMBING.match(name):
            want_in_reference("function", name)
    for kind, name in relations:
        want_in_reference(kind.lower(), name)

    def want_comment(kind, pattern, name):
        if not re.search(rf"COMMENT ON {kind}\s+{pattern}", sql):
            bad.append(f"sql/ has no COMMENT ON {kind} {name}")

    for name, count in ((name, len(re.findall(
            rf"CREATE (?:OR REPLACE )?FUNCTION\s+{SCHEMA}{name}\s*\(", sql)))
            for name in sorted(functions)):
        comments = len(re.findall(
            rf"COMMENT ON FUNCTION\s+{SCHEMA}{name}\s*\(", sql))
        if comments != count:
            bad.append(f"{count} functions {name}, {comments} comments")
    for kind, name in relations:
        want_comment(kind, re.escape(name) + r"\s+IS", name)
    for name in sorted(types):
        want_comment("TYPE", rf"{SCHEMA}{name}\s+IS", name)
    for table, columns in re.findall(
            rf"CREATE TABLE\s+({SCHEMA}\w+) \(\n(.*?)\n\);", sql, re.S):
        for column in re.findall(r"^    (?!CONSTRAINT|PRIMARY|UNIQUE|CHECK"
                                 r"|FOREIGN)(\w+)", columns, re.M):
            name = f"{table}.{column}"
            want_comment("COLUMN", re.escape(name) + r"\s+IS", name)

    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
