#!/usr/bin/env bash
# Runs a test with a time limit and a log in $LOG, and prints TAP.
#
#   limit.sh SECONDS READER COMMAND...
#
# The command has a process group of its own, which "timeout" ends as a whole,
# and writes to a file: a process that it leaves behind would keep a pipe open.
# The reader makes TAP of the log: "tap", "regress" (pg_regress), "code" (only
# the exit code counts), or "step", for commands that are no test.
set -uo pipefail
trap 'kill $pid; wait $pid' INT TERM
seconds=$1 reader=$2
shift 2
# The log is named for the last word that is a file of the tree.
for word in "${@: -1}" "$@"; do
    case $word in
        build/*) name=${word#build/} name=${name//\//-} ;;
        test/*) name=${word##*/} ;;
        *) name=${name:-${word##*/}} ;;
    esac
done
[ "$reader" != step ] || { name=${1// /-} && shift; }
log=$LOG/$name.log
start=${EPOCHREALTIME/./}
timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null &
pid=$!
wait $pid
code=$?
took=$(((${EPOCHREALTIME/./} - start) / 100000))
printf '%5d.%d  %s\n' $((took / 10)) $((took % 10)) "$name" \
    >>"${TALLY%/*}/durations"

case $reader in
    # What gives up fails; it does not end the whole run.
    tap) sed 's/^ *Bail out!/not ok - &/' "$log" ;;
    # Until PostgreSQL 15, and from 16.
    regress) awk '/^(test|    ) +[^ ]+ +\.\.\. (ok|FAILED)/ {
            sub(/^test/, ""); print ($3 == "ok" ? "" : "not ") "ok - " $1; n++ }
        /^(not )?ok +[0-9]+ +[-+] / { match($0, / [-+] +[^ ]+/); n++
            print ($1 == "ok" ? "" : "not ") "ok -" substr($0, RSTART + 2, RLENGTH - 2) }
        END { if (n) print "1.." n }' "$log" ;;
    code) echo "1..1"
        [ $code = 0 ] && echo "ok - $name" || echo "not ok - exit code $code" ;;
esac
[ $((took / 10)) -lt "$seconds" ] || echo "not ok - still running after $seconds s"
exit $code
