#!/usr/bin/env bash
# Fuzzes every parser in turn, FUZZ_SECONDS (60) each; make fuzz.
#
#   fuzz.sh [TARGET...]
#
# Prints TAP, a line for each target; its log is build/fuzz/TARGET.log.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
test/setup/packages.sh build fuzz || exit 1

seconds=${FUZZ_SECONDS:-60}
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in test/fuzz/fuzz_*.c; do
        target=${source#test/fuzz/fuzz_}
        targets+=("${target%.c}")
    done
fi

mkdir -p build/fuzz
count=0 failed=0
for target in "${targets[@]}"; do
    count=$((count + 1))
    log=build/fuzz/$target.log
    if test/fuzz/run.sh "$target" "$seconds" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "ok $count - fuzz $target: $runs runs in $seconds s"
    else
        failed=1
        echo "not ok $count - fuzz $target"
        tail -n 20 "$log" | sed 's/^/# /'
    fi
done
echo "1..$count"
exit $failed
