#!/usr/bin/env bash
# Branch coverage of src/core by the unit programs and the fuzz corpus; fails
# below COVERAGE_MIN (95) per cent.  The pages are in build/coverage-html.
set -euo pipefail
cd "$(dirname "$0")/../.."
test/setup/packages.sh build test coverage
mkdir -p build/log build/coverage-html
make -s -j"$(nproc)" unit-coverage replay-coverage \
    >build/log/build-coverage.log 2>&1 || {
    tail -n 40 build/log/build-coverage.log >&2
    exit 1
}
find build/coverage -name '*.gcda' -delete
for program in build/coverage/test_* build/coverage/replay_*; do
    name=${program##*/}
    inputs=()
    case $name in
        *.* | replay_\*) continue ;;
        replay_*) inputs=("test/fuzz/corpus/${name#replay_}") ;;
    esac
    "$program" "${inputs[@]}" >"build/log/coverage-$name.log" || {
        tail -n 40 "build/log/coverage-$name.log" >&2
        echo "$name failed" >&2
        exit 1
    }
done
gcovr --root . --object-directory build/coverage --filter src/core/ \
    --branches --sort-uncovered --html-details build/coverage-html/index.html \
    --txt --fail-under-branch "${COVERAGE_MIN:-95}"
