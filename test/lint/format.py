#!/usr/bin/python3
"""Formats C sources as pgindent would, near enough, without its typedefs.

clang-format (see .clang-format) does the indenting.  Two habits of pgindent
are beyond it and are added here: declared names stand at a tab stop twelve
columns in, trailing comments at column 33.

    format.py --check FILE...    lists files that differ, exit code 1 if any
    format.py FILE...            rewrites them
"""

import concurrent.futures
import os
import re
import subprocess
import sys

CLANG_FORMAT = os.environ.get("CLANG_FORMAT", "clang-format-14")
TAB = 4
NAME_COLUMN = 12            # of a declared name, counted from the indentation
COMMENT_COLUMN = 32         # of a trailing comment, counted from 0
LINE_MAX = 79

QUALIFIERS = (r"(?:(?:extern|static|const|volatile|unsigned|signed|struct|"
              r"union|enum|long|short|PGDLLIMPORT)\s+)*")
DECLARATION = re.compile(
    r"^(\t*)(" + QUALIFIERS + r"[A-Za-z_]\w*(?:\s+const)?) (\**)"
    r"([A-Za-z_]\w*(?:\[[^\]]*\])*\s*[=;,:(].*)$")
NOT_A_TYPE = re.compile(r"^\t*(return|goto|else|case|typedef|default)\b")
ATTRIBUTE = re.compile(r"^\t+ *(?=(?:pg_attribute_\w+|__attribute__)\W)", re.M)
COMPOUND_LITERAL = re.compile(r"(\((?:struct )?\w+(?:\[\w*\])?\))\{")
LONG_MESSAGE = re.compile(r'"(?:[^"\\]|\\.){20,}"')    # kept whole, for grep
PADDED = re.compile(r"^(.*?)(\$+) ")


def width(text):
    """Columns that a line takes, tabs expanded."""
    return len(text.expandtabs(TAB))


def gap(start, stop):
    """White space between two columns: tabs, but none for a lone blank."""
    out = ""
    while start < stop:
        tab_stop = (start // TAB + 1) * TAB
        if tab_stop > stop or (tab_stop - start == 1
                               and tab_stop + TAB > stop):
            out += " "
            start += 1
        else:
            out += "\t"
            start = tab_stop
    return out


def lines_of(text):
    """Yields (line, depth, comment, plain) for every line.

    depth is the number of open parentheses where the line starts, comment
    the offset of a trailing comment (None without one), plain false where
    the line starts inside a comment, in the body of a macro, or where
    clang-format is off.
    """
    depth, in_comment, in_macro, off = 0, False, False, False
    for line in text.split("\n"):
        off = (off or "clang-format off" in line) \
            and "clang-format on" not in line
        plain = not (in_comment or in_macro or off)
        start_depth, comment, i = depth, None, 0
        while i < len(line):
            if in_comment:
                end = line.find("*/", i)
                if end < 0:
                    break
                in_comment = False
                i = end + 2
                if line[i:].strip():
                    comment = None
            elif line.startswith("/*", i):
                in_comment, comment, i = True, i, i + 2
            elif line[i] in "\"'":
                quote, i = line[i], i + 1
                while i < len(line) and line[i] != quote:
                    i += 2 if line[i] == "\\" else 1
                i += 1
            else:
                depth += (line[i] == "(") - (line[i] == ")")
                i += 1
        macro = line.startswith("#") or in_macro
        if macro:
            depth = 0
        in_macro = macro and line.endswith("\\")
        yield line, start_depth, comment, plain


def pad_types(text):
    """Lengthens the types of declarations with "$" up to the name column, so
    that clang-format places what follows them."""
    out = []
    for line, depth, _, plain in lines_of(text):
        match = DECLARATION.match(line)
        if match and plain and depth == 0 and not NOT_A_TYPE.match(line):
            indent, kind, stars, rest = match.groups()
            pad = NAME_COLUMN - len(kind) - 1 - len(stars)
            line = indent + kind + "$" * max(pad, 0) + " " + stars + rest
        out.append(line)
    return "\n".join(out)


def unpad(line):
    match = PADDED.match(line)
    if not match:
        return line
    start = width(match.group(1))
    return (match.group(1) + gap(start, start + len(match.group(2)) + 1)
            + line[match.end():])


def place_comments(text):
    """Moves trailing comments to their column, the lines under them too."""
    out, column = [], None
    for line, _, comment, plain in lines_of(text):
        if plain:
            column = None
            code = line[:comment].rstrip() if comment is not None else ""
            if code:
                start = width(code)
                column = max(COMMENT_COLUMN, (start // TAB + 1) * TAB)
                line = code + gap(start, column) + line[comment:]
        elif column is not None and line.strip():
            line = gap(0, column) + " " + line.strip()
        out.append(line)
    return "\n".join(out)


def clang_format(text, name):
    run = subprocess.run(
        [CLANG_FORMAT, "--style=file", "--assume-filename=" + name],
        input=text, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return run.stdout


def formatted(text, name):
    text = clang_format(text, name)
    text = clang_format(pad_types(text), name)
    text = "\n".join(unpad(line) for line in text.split("\n"))
    text = ATTRIBUTE.sub("\t\t\t", text)
    text = COMPOUND_LITERAL.sub(r"\1 {", text)
    return place_comments(text)


def look_at(name, check):
    """Rewrites or checks one file; returns what is wrong with it."""
    wrong = []
    with open(name, encoding="utf-8") as source:
        before = source.read()
    after = formatted(before, name)
    if not check and after != before:
        with open(name, "w", encoding="utf-8") as source:
            source.write(after)
    elif after != before:
        pairs = zip(before.split("\n"), after.split("\n"))
        number = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), 1)
        wrong.append(f"{name}:{number}: not as make format would have it")
    for number, line in enumerate(after.split("\n"), 1):
        if width(line) > LINE_MAX and not LONG_MESSAGE.search(line):
            wrong.append(f"{name}:{number}: longer than {LINE_MAX} columns")
    return wrong


def main():
    check = sys.argv[1:2] == ["--check"]
    names = sys.argv[1 + check:]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        found = list(pool.map(look_at, names, [check] * len(names)))
    for line in sum(found, []):
        print(line)
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
