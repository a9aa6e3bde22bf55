#!/usr/bin/python3
"""Checks that what users can name is documented.

Every setting and every SQL function, type, trigger function, table and view
is in docs/reference.md, and every SQL object has a COMMENT ON.  The plumbing
of the type (in, out, operators' functions) needs the comment only.  Links
between documents lead to a file and a heading that are there.  Every test
program has its line in docs/testing.md.  Whatever a document or a COMMENT
calls env_* or pgenvelope.* exists.  The picture of the dashboard is that
of monitoring/dashboard.json.
"""

import glob
import os
import re
import subprocess
import sys

SCHEMA = r"(?:@extschema@|pgenvelope)\."
PLUMBING = re.compile(r"^(envelope_|guard_)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def anchors(path):
    """What GitHub calls the headings of a document."""
    found = {}
    text = re.sub(r"^```.*?^```", "", read(path), flags=re.M | re.S)
    for heading in re.findall(r"^#+ +(.*?) *$", text, flags=re.M):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        if count:
            found[f"{name}-{count}"] = 1
    return found


def bad_links(path):
    """Links of a document to files and headings that are not there."""
    for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)(#[^)\s]+)?\)",
                                     read(path)):
        name = os.path.normpath(os.path.join(os.path.dirname(path), target)) \
            if target else path
        if not os.path.exists(name):
            yield f"{path} links to {target}, which is not there"
        elif anchor and name.endswith(".md") \
                and anchor[1:] not in anchors(name):
            yield f"{path} links to {target}{anchor}: no such heading"


def untold_tests():
    """Test programs that docs/testing.md does not name."""
    testing = read("docs/testing.md")
    for path in sorted(glob.glob("test/t/*.pl") + glob.glob("test/sql/*.sql")
                       + glob.glob("test/specs/*.spec")):
        name = os.path.splitext(os.path.basename(path))[0]
        if f"| `{name}` |" not in testing:
            yield f"docs/testing.md does not tell of {path}"


def names_not_there(text, known):
    """Names of functions, views and settings that are in a text only."""
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"^## Names of 0\.1\.0$.*", "", text, flags=re.M | re.S)
    for name in re.findall(r"(?<![\w/.-])(?:env_|pgenvelope\.)\w+", text):
        if name not in known and name != "pgenvelope.control" \
                and not name.endswith("_seq"):
            yield name


def stale_pictures():
    """Pictures that are not what their program draws now."""
    drawn = subprocess.run([sys.executable, "docs/images/dashboard.py"],
                           stdout=subprocess.PIPE, check=True).stdout
    if drawn.decode() != read("docs/images/dashboard.svg"):
        yield "docs/images/dashboard.svg is stale: docs/images/dashboard.py"


def main():
    parts = "".join(read(name) for name in sorted(glob.glob("sql/parts/*")))
    sql = re.sub(r"^\s*--.*$", "", parts, flags=re.M)
    guc = "".join(read(name) for name in glob.glob("src/server/**/*.c",
                                               recursive=True))
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

    known = {*settings, *functions}
    known.update(f"pgenvelope.{name}" for name in functions)
    known.update(name for _, name in relations)
    comments = re.findall(r"^COMMENT ON .*?;$", sql, flags=re.M | re.S)
    for name in names_not_there("\n".join(comments), known):
        bad.append(f"a COMMENT names {name}, which is not there")

    for path in sorted(glob.glob("*.md") + glob.glob("docs/*.md")
                       + glob.glob("*/*.md") + glob.glob("docs/*/*.md")
                       + glob.glob("test/*/*.md")):
        bad += bad_links(path)
        if path != "CHANGELOG.md":
            bad += [f"{path} names {name}, which is not there"
                    for name in names_not_there(read(path), known)]
    bad += untold_tests()
    bad += stale_pictures()

    print("\n".join(dict.fromkeys(bad)), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
