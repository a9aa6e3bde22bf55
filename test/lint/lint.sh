#!/usr/bin/env bash
# Checks the sources; one line of TAP a check.
#
#   lint.sh            all checks
#   lint.sh NAME...    some: format gcc clang cppcheck layering symbols
#                      documentation words tidy shell python
#
# Lists of files and flags are split into words on purpose, no name of ours
# has white space; the checks are called by a name that is put together.
# shellcheck disable=SC2046,SC2086,SC2317
set -uo pipefail
shopt -s nullglob
cd "$(dirname "$0")/../.." || exit 1

made() {
    make -s --no-print-directory "print-$1"
}

# A variable of PostgreSQL's own makefiles, and where its headers are: as
# system headers, for their warnings are not ours.
pg_config=$(made PG_CONFIG)
pg_headers="-isystem $("$pg_config" --includedir-server) -isystem $("$pg_config" --includedir)/internal"
warnings=$(made LIBRARY_WARNINGS)
read -ra core_objects <<<"$(made CORE_OBJS)"
read -ra provider_objects <<<"$(made PROVIDER_OBJS)"
read -ra helper_objects <<<"$(made HELPER_OBJS)"
read -ra server_objects <<<"$(made SERVER_OBJS)"
test_sources=(test/unit/*.c test/fuzz/*.c)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# The files of the tree with one of these endings.
files() {
    local ending
    for ending in "$@"; do
        find . \( -path ./build -o -path ./.git -o -path ./results \
            -o -path ./tmp_check -o -path ./output_iso \) -prune -o \
            -name "*.$ending" ! -path './sql/pgenvelope--*' -printf '%P\n'
    done
}

check_format() {
    test/lint/format.py --check src/*/*.[ch] src/*/*/*.[ch] test/unit/*.[ch] \
        test/fuzz/*.[ch] test/modules/*/*.[ch]
}

# Compiles everything with one compiler, warnings being errors, as many files
# at a time as there are processors.  clang warns without optimizing, gcc does
# not warn of all.
compile_with() {
    local compiler=$1 failed=0 server=""
    local common="-Werror $warnings -O2 -c -o /dev/null"
    # What PostgreSQL's printf is called only gcc knows.
    [ "$compiler" = gcc ] || {
        common="-Werror $warnings -fsyntax-only"
        server=-Wno-ignored-attributes
    }
    each() {
        xargs -P "$(nproc)" -n 1 "$compiler" -D_GNU_SOURCE $common "$@" ||
            failed=1
    }
    printf '%s.c\n' "${core_objects[@]%.o}" "${provider_objects[@]%.o}" \
        "${helper_objects[@]%.o}" >"$list"
    each -std=c11 -Isrc -Isrc/core <"$list"
    printf '%s\n' "${test_sources[@]}" | grep -v /fuzz_server_ >"$list"
    each -std=c11 -Isrc -Isrc/core -Itest/unit \
        -DTEST_DIR='"test"' <"$list"
    # PostgreSQL's own conventions: functions that take FunctionCallInfo and
    # hooks need not use every argument, lengths are compared with int.
    printf '%s.c\n' "${server_objects[@]%.o}" >"$list"
    each -std=gnu11 -Isrc -Isrc/core -Isrc/server -Wno-unused-parameter -Wno-sign-compare \
        -Wno-missing-field-initializers -fwrapv -fno-strict-aliasing \
        -DPGENVELOPE_VERSION='"lint"' $pg_headers $server <"$list"
    printf '%s\n' test/fuzz/fuzz_server_*.c >"$list"
    each -std=gnu11 -Isrc -Isrc/core -Isrc/server -Wno-unused-parameter \
        $pg_headers $server <"$list"
    return $failed
}

check_gcc() {
    compile_with gcc
}

check_clang() {
    compile_with clang-14
}

check_cppcheck() {
    cppcheck --quiet --std=c11 --enable=warning,performance,portability \
        --inline-suppr --error-exitcode=1 -D_GNU_SOURCE \
        --suppressions-list=test/lint/cppcheck.suppress \
        -j2 -Isrc -Isrc/core -Isrc/server src/core src/providers src/server
}

# Which folder may include which (layers.py), that the check fails where it
# must, and what includes of others' headers are for whom.
check_layering() {
    local found=0
    forbid() {
        if grep -nE "$1" $2; then
            echo "$3"
            found=1
        fi
    }
    test/lint/layers.py || found=1
    test/lint/layers_test.py || found=1
    forbid '#include "(postgres|fmgr|utils/|access/|catalog/|libpq/|storage/)' \
        "$(find src/core src/providers -name '*.[ch]' | tr '\n' ' ')" \
        "Only src/server includes PostgreSQL's headers."
    forbid '#include.*(curl/|jansson|p11-kit)' \
        "$(printf '%s ' "${provider_objects[@]/%.o/.c}") $(find src/server -name '*.[ch]' | tr '\n' ' ')" \
        "What the helper programs use does not come into the server."
    forbid '\bPG_VERSION_NUM\b' \
        "$(find src/server -name '*.[ch]' ! -name pge_compat.h | tr '\n' ' ')" \
        "Only pge_compat.h asks for PostgreSQL's version."
    return $found
}

# What the library shows, and what the core needs and keeps.
check_symbols() {
    local object found=0 names wanted
    make -s --no-print-directory all >/dev/null || return 1
    names=$(nm -D --defined-only pgenvelope.so | awk '{print $3}' |
        grep -vE '^(Pg_magic_func|_PG_init|pgenvelope_[a-z0-9_]+|pg_finfo_pgenvelope_[a-z0-9_]+)$')
    if [ -n "$names" ]; then
        echo "pgenvelope.so exports:" "$names"
        found=1
    fi
    names=$(readelf -d pgenvelope.so | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE '^lib(c|crypto)\.so\.')
    if [ -n "$names" ]; then
        echo "pgenvelope.so needs:" "$names"
        found=1
    fi
    for object in $(made HELPERS); do
        names=$(readelf -dlW "$object")
        for wanted in 'Flags:.* NOW.* PIE' 'GNU_RELRO' \
                'GNU_STACK .* RW  '; do
            grep -q "$wanted" <<<"$names" && continue
            echo "$object is linked without $wanted"
            found=1
        done
    done
    for object in "${core_objects[@]}"; do
        names=$(nm --undefined-only "$object" | awk '{print $2}' | grep -E \
            '^_*(malloc|calloc|realloc|free|strdup|f?open.*|f?printf(_chk)?|puts|f(read|write|gets|puts)|read|write|getenv|secure_getenv|time|clock.*|gettimeofday|localtime.*|gmtime.*|rand(om)?|getpid|abort|exit|setlocale|errno_location)$')
        if [ -n "$names" ]; then
            echo "$object calls:" "$names"
            found=1
        fi
        names=$(size -A "$object" |
            awk '$1 ~ /^\.(t?data|t?bss)$/ && $2 > 0 {print $1}')
        if [ -n "$names" ]; then
            echo "$object keeps state that can change:" "$names"
            found=1
        fi
    done
    return $found
}

check_documentation() {
    test/lint/documentation.py
}

check_words() {
    test/lint/words.py
}

check_tidy() {
    local found=0 file lines
    local sources
    sources=$(files c h py sh sql pl pm mk spec md)
    sources+=$'\n'"Makefile"$'\n'".ci/run"
    if grep -nE '[[:space:]]+$' $sources; then
        echo "White space ends these lines."
        found=1
    fi
    if grep -nE '\b(TODO|FIXME|XXX)\b' $(grep -v test/lint <<<"$sources"); then
        echo "Open an issue instead."
        found=1
    fi
    for file in $(grep '^src/' <<<"$sources"); do
        lines=$(wc -l <"$file")
        if [ "$lines" -gt 700 ]; then
            echo "$file has $lines lines: split it along an idea."
            found=1
        fi
    done
    return $found
}

check_shell() {
    shellcheck -x -S warning .ci/run $(files sh)
}

check_python() {
    local file
    for file in $(files py); do
        /usr/bin/python3 -W error -c 'import ast, sys
with open(sys.argv[1], encoding="utf-8") as file:
    ast.parse(file.read(), sys.argv[1])' "$file" ||
            return 1
    done
}

[ $# -gt 0 ] || set -- format gcc clang cppcheck layering symbols \
    documentation words tidy shell python
echo "1..$#"
number=0
failed=0
for name in "$@"; do
    number=$((number + 1))
    if output=$("check_$name" 2>&1); then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        failed=1
    fi
    [ -z "$output" ] || sed 's/^/# /' <<<"$output"
done
exit $failed
