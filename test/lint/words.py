#!/usr/bin/python3
"""Checks the words of comments and documents, and the names of functions.

Comments and documents are in plain, direct English.  Their subject is the
code, "it" or "the role", so words that make a person of a program, and words
that nobody says, are errors.  The list is short on purpose: a word is on it
only if another one is always better.

A static function is called verb_object, and no other one in its folder is
called the same.

FOLDERS and DOCUMENTS are what has been put into these words so far; add to
them when another folder is done.

    words.py [FILE...]      checks the files, these folders' by default
"""

import glob
import os
import re
import sys

FOLDERS = [
    "src/core",
    "src/providers",
    "src/server/audit",
    "src/server/catalog",
    "src/server/context",
    "src/server/lifecycle",
    "src/server/rewrite",
    "src/server/value",
    "src/server/watch",
]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md",
             "docs/*/*.md"]

# In comments and in documents: what is wrong, and what to write.
ANYWHERE = {
    r"of ours": "our",
    r"heed\w*": "obeys, uses, reads",
    r"there(?:of|in|unto|upon|with)": "of it, in it",
    r"where(?:in|of|upon|with)": "in which",
    r"here(?:of|in|by|unto|upon)": "by this",
    r"whence|thence|hither|whither": "from which",
    r"lest": "so that ... not",
    r"amid": "within",
    r"ought to": "should, must",
    r"(?:has|have|had|leaves?|left) word": "knows, reports",
    r"(?:sees?|saw) to it": "makes sure",
    r"to be had": "available",
    r"for want of": "without",
    r"(?:is|are|was|were|be|been|being) told": "gets, sees, learns",
    r"(?:is|are|was|were) come by": "comes from",
    r"nought|naught|nay|shalt|unto|upon which": "plain English",
    r"in (?:it|them|these|those) (?:stands?|lies?)": "holds",
}

# In comments, which are never about a person.
COMMENTS = {
    r"whom": "which role, that",
    r"he|him|his|himself|she|hers|herself": "it, the role",
    r"we are told|tells? us": "we get",
}

TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/',
                   re.S)
STATIC = re.compile(r"^static\b[^;{}()=]*\n(\w+)\([^;{}]*\)\n\{", re.M)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def blanked(text, keep):
    """The text with everything but the kept spans turned into blanks."""
    kept, last = [], 0
    for start, end in keep:
        kept += [re.sub(r"[^\n]", " ", text[last:start]), text[start:end]]
        last = end
    kept.append(re.sub(r"[^\n]", " ", text[last:]))
    return "".join(kept)


def comments(text):
    """A C source's comments, each in its place."""
    text = blanked(text, [match.span() for match in TOKEN.finditer(text)
                          if match.group().startswith("/*")])
    return re.sub(r"^(\s*)\*(?=\s)", r"\1 ", text, flags=re.M)


def prose(text):
    """A document without its code, its links and what it only quotes."""
    for code in (r"^```.*?^```", r"<!--.*?-->", r"`[^`\n]*`", r'"[^"\n]*"',
                 r"\]\([^)]*\)"):
        text = re.sub(code, lambda match: re.sub(r"[^\n]", " ",
                                                 match.group()),
                      text, flags=re.M | re.S)
    return text


def bad_words(path, text, words):
    for pattern, better in words.items():
        pattern = pattern.replace(" ", r"\s+")
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.I):
            line = text.count("\n", 0, match.start()) + 1
            word = " ".join(match.group().split())
            yield f"{path}:{line}: \"{word}\": write {better}"


def bad_names(paths):
    homes = {}
    for path in paths:
        for name in STATIC.findall(read(path)):
            home = homes.setdefault((os.path.dirname(path), name), path)
            if home != path:
                yield f"{path}: {home} has a static function {name}, too"
            elif "_" not in name:
                yield f"{path}: call the function {name} verb_object"


def main():
    paths = sys.argv[1:]
    if not paths:
        for folder in FOLDERS:
            paths += glob.glob(folder + "/**/*.[ch]", recursive=True)
        for pattern in DOCUMENTS:
            paths += glob.glob(pattern)
    bad = []
    for path in sorted(paths):
        if path.endswith(".md"):
            bad += bad_words(path, prose(read(path)), ANYWHERE)
        else:
            bad += bad_words(path, comments(read(path)),
                             {**ANYWHERE, **COMMENTS})
    bad += bad_names(sorted(path for path in paths if path.endswith(".c")))
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
