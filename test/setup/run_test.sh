#!/usr/bin/env bash
# Proves that run.sh counts what tests do wrong.  Prints TAP.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
place=$(mktemp -d /tmp/pge.XXXXXX)
trap 'rm -rf -- "$place"' EXIT
export PGENVELOPE_TEST_LOG=$place/log PGENVELOPE_TEST_TIMEOUT=2
unset PGENVELOPE_TEST_REQUIRE
number=0 failed=0

check() {
    local outcome=$?
    number=$((number + 1))
    [ $outcome = 0 ] && echo "ok $number - $1" && return
    echo "not ok $number - $1"
    sed 's/^/# /' "$place/out"
    failed=1
}

# What a test is, "PASSED FAILED SKIPPED", something that is printed, the test.
counts() {
    printf '#!/bin/sh\n%s\n' "$4" >"$place/program"
    chmod +x "$place/program"
    test/setup/run.sh "$place/program" >"$place/out" 2>&1
    local code=$? passed bad skipped
    read -r passed bad skipped <<<"$2"
    [ "$(tail -n 1 "$place/out")" = \
        "$passed passed, $bad failed, $skipped skipped" ] &&
        [ "$code" = $((bad > 0 || passed == 0)) ] && grep -q "$3" "$place/out"
    check "$1"
}

skip='echo "ok 1"; echo "ok 2 # SKIP needs a-tool for it"; echo 1..2'
counts "passes" "2 0 0" "" 'echo 1..2; echo ok; echo ok 2 - two'
counts "fails" "1 1 0" "FAILED: .*: one$" 'echo 1..2; echo not ok - one; echo ok'
counts "does what is to do later" "1 0 1" "to do: later" \
    'echo 1..2; echo "not ok # todo later"; echo ok'
counts "dies" "1 1 0" "No plan" 'echo ok; kill -9 $$'
counts "exits with a code" "1 1 0" "exit code 3" 'echo 1..1; echo ok; exit 3'
counts "plans wrongly" "1 1 0" "planned 2 tests" 'echo 1..2; echo ok'
counts "gives up" "0 1 0" "FAILED: .*Bail out! why" 'echo 1..1; echo Bail out! why'
counts "says nothing" "0 1 0" "No plan" ''
counts "hangs, and leaves a process behind" "1 1 0" "still running after 2 s" \
    'echo 1..2; echo ok; setsid sleep 9 & sleep 99'
counts "skips" "1 0 1" "needs a-tool" "$skip"
counts "skips everything" "0 0 1" "needs a-tool" 'echo "1..0 # SKIP needs a-tool"'
export PGENVELOPE_TEST_REQUIRE="all -other"
counts "skips what is required" "1 1 0" "which is required" "$skip"
export PGENVELOPE_TEST_REQUIRE="all -a-tool"
counts "skips what is excepted" "1 0 1" "needs a-tool" "$skip"

regress() {
    LOG=$place TALLY=$place/tally test/setup/limit.sh 9 regress printf '%s\n' "$@" >"$place/out"
    printf '%s\n' "ok - one" "not ok - two" "1..2" | diff - "$place/out" >&2
}
regress "test one   ... ok   5 ms" "     two  ... FAILED  5 ms"
check "pg_regress before 16"
regress "ok 1         - one   5 ms" "not ok 2     + two   5 ms" "1..2"
check "pg_regress from 16"

printf '#!/bin/sh\necho $$ >%s/pid; exec sleep 99\n' "$place" >"$place/program"
PGENVELOPE_TEST_TIMEOUT=99 test/setup/run.sh "$place/program" >"$place/out" 2>&1 &
until [ -s "$place/pid" ]; do sleep 0.1; done
kill $!
wait $!
grep -q "FAILED: .*interrupted" "$place/out" && ! kill -0 "$(cat "$place/pid")" 2>&1
check "an interrupted run leaves no process"
echo "1..$number"
exit $failed
