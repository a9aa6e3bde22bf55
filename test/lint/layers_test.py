#!/usr/bin/python3
"""Shows that layers.py fails where it must, and only there.

Each case is a small tree with one fault; what layers.py prints must name it.
"""

import os
import subprocess
import sys
import tempfile

LAYERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers.py")

GOOD = {
    "src/core/envl_a.h": "extern int envl_a(void);\n",
    "src/core/envl_a.c": '#include "envl_a.h"\nint\nenvl_a(void)\n{\n}\n',
    "src/server/base/pge_b.h": "extern int pge_b(void);\n",
    "src/server/base/pge_b.c": '#include "base/pge_b.h"\n'
                               '#include "core/envl_a.h"\n'
                               "int\npge_b(void)\n{\n}\n",
    "src/server/keys/pge_k.h": "extern int pge_k(void);\n",
    "src/server/keys/pge_k.c": '#include "postgres.h"\n'
                               '#include "base/pge_b.h"\n'
                               '#include "keys/pge_k.h"\n'
                               "int\npge_k(void)\n{\n}\n",
}

# What is changed in the good tree, and what the check is to say of it.
FAULTS = [
    ("an include upwards",
     {"src/server/base/pge_b.c": '#include "keys/pge_k.h"\n'},
     "base may not include keys"),
    ("core that includes the server",
     {"src/core/envl_a.c": '#include "base/pge_b.h"\n'},
     "core may not include base"),
    ("an include that does not name its folder",
     {"src/server/keys/pge_k.c": '#include "pge_k.h"\n'},
     "does not name its folder"),
    ("a folder that nobody knows",
     {"src/server/other/pge_o.c": '#include "base/pge_b.h"\n'},
     "folder other is not in the table"),
    ("a function declared in another folder",
     {"src/server/base/pge_b.h": "extern int pge_k(void);\n"},
     "declares pge_k, which is defined in src/server/keys/pge_k.c"),
    ("a function declared in another file's header",
     {"src/server/keys/pge_l.h": "extern int pge_k(void);\n",
      "src/server/keys/pge_l.c": "", "src/server/keys/pge_k.h": ""},
     "declares pge_k, which is defined in src/server/keys/pge_k.c"),
]


def said_of(files):
    """The exit code and the output of layers.py for a tree."""
    with tempfile.TemporaryDirectory() as top:
        for path, text in files.items():
            path = os.path.join(top, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run([sys.executable, LAYERS, top], check=False,
                             stdout=subprocess.PIPE, encoding="utf-8")
        return run.returncode, run.stdout


def main():
    bad = []
    code, said = said_of(GOOD)
    if code != 0 or said != "":
        bad.append(f"the good tree: {code}, {said}")
    for name, files, expected in FAULTS:
        code, said = said_of({**GOOD, **files})
        if code != 1 or expected not in said:
            bad.append(f"{name}: {code}, {said}")
    print("\n".join(bad), end="\n" if bad else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
