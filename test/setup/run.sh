#!/usr/bin/env bash
# Builds, installs and tests pgenvelope, and counts what passed.
#
#   run.sh [SUITE | PATH]...
#
# Without arguments, or for "all", it runs all suites but the optional ones; a
# PATH is a program that prints TAP.  Servers run as postgres when this is run
# as root, else as the caller, in a copy of the tree with a short path; nothing
# of it is left when this ends.  prove runs the programs, several at a time,
# and Tally.pm counts their tests; pg_regress and make do what they are for.
#
# Logs are in build/log, with how long each program took in "durations".  The
# last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
all="unit vectors fuzz-replay asan regress isolation tap soak quickstart lint"
optional="asan-regress providers"
export LOG=${PGENVELOPE_TEST_LOG:-build/log} LC_ALL=C.UTF-8
export TALLY=$LOG/tally
python=/usr/bin/python3     # Debian's own, which has Debian's packages
module=test/modules/pgenvelope_test
jobs=$(($(nproc) < 4 ? $(nproc) : 4))   # of programs that compute
ground='' group='' interrupted='' reinstall=''
as_root=(sudo) as_user=()
[ "$(id -u)" != 0 ] || { as_root=() as_user=(runuser -u postgres --); }

made() { make -s --no-print-directory "print-$1"; }

indented_end() { tail -n 60 "$1" | sed 's/^/    /'; }

# Runs a command in a session of its own, which stop ends.
in_group() {
    setsid "$@" &
    group=$!
    wait $group
    local code=$?
    group=
    return $code
}

stop() {
    interrupted=1
    [ -n "$group" ] || return
    kill -- "-$group"
    while pgrep -g "$group" >/dev/null; do sleep 0.1; done
}

# Now and then a line: the last one of the log that was written last.
tell_progress() {
    local file
    while sleep 5; do
        file=$(find "$LOG" -name '*.log' -newer "$TALLY" \
            -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
        [ -z "$file" ] || printf '     ... %3d s  %s: %.50s\n' $SECONDS \
            "${file##*/}" "$(tail -n 1 "$file" | tr -cd '[:print:]')"
    done
}

# Runs a command that has to succeed for anything else to make sense.
step() {
    echo "  $1"
    in_group test/setup/limit.sh 600 step "$@" && return
    indented_end "$LOG/${1// /-}.log"
    [ -n "$interrupted" ] || echo "failed $1" >>"$TALLY"
    return 1
}

# Runs tests, some at a time: JOBS "SECONDS READER COMMAND..." TEST...
check() {
    [ $# -gt 2 ] && PERL5LIB=${PERL5LIB-}:test/setup in_group prove --norc \
        --formatter Tally -j "$1" --exec "test/setup/limit.sh $2" "${@:3}" ||
        grep -q '^failed' "$TALLY" || echo "failed prove" >>"$TALLY"
}

# The copy of the tree, which the servers' user owns.
prepare_ground() {
    [ -z "$ground" ] || return 0
    local pg_config name
    pg_config=$(made PG_CONFIG)
    bindir=$("$pg_config" --bindir)
    pgxs=$("$pg_config" --pgxs)
    pgxs=${pgxs%/makefiles/*}
    step build make "-j$jobs" all &&
        step install "${as_root[@]}" make install PG_CONFIG="$pg_config" &&
        step "build test module" make -C $module &&
        step "install test module" "${as_root[@]}" make -C $module install ||
        return
    ground=$(mktemp -d /tmp/pge.XXXX) || return
    tar -c --exclude=./.git --exclude=./build . | tar -x -C "$ground"
    sed "s|@DIR@|$ground|g" test/setup/regress.conf >"$ground/regress.conf"
    for name in root spare typed; do
        (umask 077 && openssl rand -base64 32 >"$ground/$name.key")
    done
    install -m 600 test/setup/session.jwks "$ground"
    chmod 755 "$ground"
    own_ground
}

own_ground() { [ "$(id -u)" != 0 ] || chown -R postgres "$ground"; }

# Also what a killed test left running.
stop_servers() {
    local file
    find "$ground" -name postmaster.pid | while read -r file; do
        "${as_user[@]}" "$bindir/pg_ctl" -D "${file%/*}" -m immediate -w \
            -t 20 stop
    done >/dev/null 2>&1
}

remove_ground() {
    [ -n "$ground" ] || return
    stop_servers
    [ -z "$reinstall" ] || "${as_root[@]}" make -s install >/dev/null
    "${as_root[@]}" make -s -C $module uninstall >/dev/null
    rm -rf -- "$ground"
}

run_unit() {
    local tests
    read -ra tests <<<"$(made UNIT_TESTS)"
    step "build unit $1" make "-j$jobs" "unit-$1" &&
        check "$jobs" "120 tap" "${tests[@]/#/build/$1/}"
}

run_replay() {
    local tests
    read -ra tests <<<"$(made FUZZERS)"
    step "build replay $1" make "-j$jobs" "replay-$1" &&
        check "$jobs" "120 tap test/fuzz/replay.sh" \
            "${tests[@]/#fuzz_/build/$1/replay_}"
}

# regress or isolation, by PGXS.
run_regress() {
    local file
    rm -f "$LOG/$1.regression.diffs"
    check 1 "$2 regress ${as_user[*]} make -s -C $ground" "$1"
    for file in "$ground/regression.diffs" "$ground/log/postmaster.log"; do
        [ ! -e "$file" ] || mv "$file" "$LOG/$1.${file##*/}"
    done
    [ ! -s "$LOG/$1.regression.diffs" ] ||
        indented_end "$LOG/$1.regression.diffs"
}

run_in_instance() {
    prepare_ground || return
    local -x EXTRA_REGRESS_OPTS="--temp-instance=$ground/$1 --no-locale \
--encoding=UTF8 --temp-config=$ground/regress.conf"
    local -x EXTRA_ISOLATION_OPTS=$EXTRA_REGRESS_OPTS
    run_regress "$1" 300
}

# Perl tests by the servers' user, with what PGXS's prove_installcheck gives
# them: JOBS SECONDS TEST...
run_perl() {
    local -x TESTDIR=$ground PGPORT=65432 PATH=$bindir:$PATH
    local -x PG_REGRESS=$pgxs/test/regress/pg_regress
    local -x PERL5LIB=$pgxs/test/perl:test/perl
    check "$1" "$2 tap ${as_user[*]} env -C $ground perl" "${@:3}"
}

# What they have written about themselves and their nodes.
keep_logs() {
    rm -rf "${LOG:?}/$1"
    cp -r "$ground/tmp_check/log" "$LOG/$1" 2>/dev/null
}

# They wait for their servers more than they compute.  One that is made long
# by PGENVELOPE_SOAK needs its time.
run_tap() {
    prepare_ground || return
    run_perl $((2 * jobs)) "${PGENVELOPE_TEST_TIMEOUT:-300}" \
        ${PROVE_TESTS:-$(made PROVE_TESTS)}
    keep_logs tap
}

run_asan_regress() {
    prepare_ground || return
    local sanitize=-fsanitize=address,undefined
    local -x LOG=$LOG/asan
    mkdir -p "$LOG"
    local make=(make -C "$ground" SANITIZE="$sanitize"
        COPT="$sanitize -fno-omit-frame-pointer -O1 -U_FORTIFY_SOURCE")
    reinstall=1
    step clean "${make[@]}" clean &&
        step "build asan" "${make[@]}" "-j$jobs" all &&
        step "install asan" "${as_root[@]}" "${make[@]}" install || return
    own_ground
    step "start asan" "${as_user[@]}" test/setup/asan_server.sh "$ground" \
        "$bindir" || return
    PGHOST=$ground run_regress regress 900
    PGHOST=$ground run_regress isolation 900
    stop_servers
    cp "$ground/asan.log" "$LOG/server.log"
    if grep -E "Sanitizer:|runtime error:" "$ground/asan.log"; then
        echo "failed the server's log" >>"$TALLY"
    else
        echo "passed 1 the server's log" >>"$TALLY"
    fi
}

# Where servers for the tests are kept: their user must get there.
shared_cache() {
    local cache=${PGENVELOPE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pgenvelope}
    local path=$cache
    until [ -e "$path" ]; do path=$(dirname "$path"); done
    "${as_user[@]}" test -x "$path" || cache=/var/tmp/pgenvelope-test-cache
    echo "$cache"
}

# A Perl test's "# needs: SCRIPT" are run before; a Python test installs what
# it needs by itself, and gives up being root then.
run_providers() {
    prepare_ground || return
    local cache
    cache=$(shared_cache)
    local -x PGENVELOPE_KMS=$ground/pgenvelope-kms
    local -x PGENVELOPE_PKCS11=$ground/pgenvelope-pkcs11
    local -x PGENVELOPE_TEST_CACHE=$cache
    local tests name limit=${PGENVELOPE_TEST_TIMEOUT:-600}
    tests=${PROVIDER_TESTS:-$(grep -l '^#!' test/providers/*)}
    for name in $(sed -n 's/^# needs: \(.*\.sh\)$/\1/p' $tests | sort -u); do
        in_group test/setup/limit.sh 600 step "$name" "test/setup/$name" ||
            indented_end "$LOG/$name.log"
    done
    for name in $tests; do
        case $name in
            *.pl) run_perl 1 "$limit" "$name" ;;
            *) check 1 "$limit tap env -C $ground $python" "$name" ;;
        esac
        name=${name##*/}
        sed -n "s/^# servers:/  $name ran against/p" "$LOG/$name.log"
    done
    keep_logs providers
    if grep -q '^skipped' "$TALLY"; then
        echo "skipped the table of docs/providers.md (not all was run)" >>"$TALLY"
    elif [ -z "${PROVIDER_TESTS:-}" ]; then
        check 1 "120 tap $python" test/providers/table.py :: --check
    fi
}

run_suite() {
    case $1 in
        unit) echo "C functions of core and providers, also with EVP_ONLY=1"
            run_unit plain
            run_unit evp ;;
        vectors) echo "the vectors, by their generator and by other decoders"
            check 1 "120 code $python" test/vectors/generate.py :: --check
            check "$jobs" "120 tap $python" test/vectors/{decode,jose}.py ;;
        fuzz-replay) echo "fuzz targets on their corpus and former crashes"
            run_replay plain ;;
        asan) echo "unit and fuzz-replay under the sanitizers"
            local -x UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
            local -x ASAN_OPTIONS=abort_on_error=1:disable_coredump=1:detect_leaks=1
            run_unit asan
            run_replay asan ;;
        regress) echo "SQL, by pg_regress in a server of its own"
            run_in_instance regress ;;
        isolation) echo "sessions that meet, by pg_isolation_regress"
            run_in_instance isolation ;;
        tap) echo "what needs servers of its own, a Perl test for each subject"
            run_tap ;;
        soak) echo "kills and many connections, the short form of make soak"
            check 1 "240 tap env SOAK_SECONDS=10" test/soak/soak.sh \
                :: kills connections ;;
        quickstart) echo "make quickstart, as a person runs it"
            check 1 "240 tap" test/quickstart/quickstart_test.sh ;;
        lint) echo "format, warnings, layers, symbols, documentation, this"
            check 1 "600 tap" test/lint/lint.sh test/setup/run_test.sh ;;
        asan-regress) echo "regress and isolation under the sanitizers"
            run_asan_regress ;;
        providers) echo "providers against real key services"
            run_providers ;;
        *) echo "a program"
            check 1 "${PGENVELOPE_TEST_TIMEOUT:-300} tap" "$1" ;;
    esac
}

# What a tally has.
count() {
    awk '$1 == "passed" {n += $2} $1 == "failed" {f++} $1 == "skipped" {s++}
        END {printf "%d passed, %d failed, %d skipped\n", n, f, s}' "$1"
}

[ $# -gt 0 ] || set -- all
suites=" $* "
suites=${suites/ all / $all }
for name in $suites; do
    [[ " $all $optional " = *" $name "* || $name = */* ]] || {
        echo "there is no suite \"$name\"; the suites are: $all $optional" >&2
        exit 1
    }
done
for name in $(compgen -e); do
    [[ ! $name =~ ^(PG|MAKE|MFLAGS$) || $name =~ ^PG(ENV|_CONFIG$) ]] ||
        unset "$name"
done
mkdir -p "$LOG" || exit 1
rm -f "$LOG/durations" "$LOG/summary"
: >"$TALLY.all"
SECONDS=0
trap stop INT TERM
tell_progress 2>/dev/null &
progress=$!
for name in $suites; do
    [ -z "$interrupted" ] || break
    start=$SECONDS
    : >"$TALLY"
    echo -n "$name: "
    run_suite "$name"
    [ -z "$interrupted" ] || echo "failed interrupted" >>"$TALLY"
    [ -s "$TALLY" ] || echo "failed no test was run" >>"$TALLY"
    sed -E "s=^(failed|skipped) =&$name: =" "$TALLY" >>"$TALLY.all"
    printf '%-13s %-44s%6d s\n' "$name" "$(count "$TALLY")" $((SECONDS - start))
done
trap '' INT TERM
pkill -P $progress
remove_ground
sed -n 's/^skipped/skipped:/p' "$TALLY.all"
sed -n 's/^failed/FAILED:/p' "$TALLY.all"
sort -rn -o "$LOG/durations" "$LOG/durations"
echo "$SECONDS seconds; logs in $LOG"
count "$TALLY.all" | tee "$LOG/summary"
! grep -q '^failed' "$TALLY.all" && grep -q '^passed [^0]' "$TALLY.all"
