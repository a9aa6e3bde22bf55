#!/usr/bin/env bash
# The long forms of what make test does briefly; one line of TAP each.
#
#   soak.sh            SOAK_SECONDS=600 a part
#   soak.sh PART...    some: fuzz kills connections rewrap-kills rewrap-reads
#                      rewrap-concurrent create-kills subscriber
#                      audit-tamper outage
#
# fuzz         every parser, under ASan and UBSan
# kills        sessions encrypt, decrypt, rotate and roll back while the
#              keeper, its helper, sessions and the postmaster are killed;
#              no statement may wait past its deadline, no session may get a
#              wrong answer, every value must decrypt afterwards
# connections  many sessions want one key at once, right after a restart:
#              one provider call
#
# The others are tests of test/t and test/providers at length:
#
# rewrap-kills       017_worker_crash.pl, 20 kills of each process in a job, and
#                    20 at each point, by each method; and 022_inplace_job.pl,
#                    20 kills in a job in place
# rewrap-reads       015_inplace.pl, 120 s of reads on primary and standby
# rewrap-concurrent  020_concurrent.pl, 120 s of writes and DDL by each method
# create-kills       014_life.pl, 50 kills while keys are made
# subscriber         021_subscriber.pl, 120 s of changes
# audit-tamper       042_audit_tamper.pl, 100 tamperings with 10,000 entries
# outage             test/providers/outage_server.pl, 300 s
#
# The parts are called by a name that is put together.
# shellcheck disable=SC2317
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh
seconds=${SOAK_SECONDS:-600}
clients=${SOAK_CLIENTS:-100}
deadline=40             # seconds for a statement, a crash restart included
number=0
failed=0

tap() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        echo "not ok $number - $2"
        failed=1
    fi
}

note() { echo "# $*"; }

scalar() { cluster_sql -At "$@"; }

part_fuzz() {
    local code=0
    FUZZ_SECONDS=$seconds test/fuzz/fuzz.sh | sed 's/^/# /' || code=1
    tap $code "fuzzed each parser for $seconds s"
}

# Two root keys, one of them a helper's, a key with each, and a table that
# pgbench fills and reads.
prepare() {
    [ -z "$cluster" ] || return 0
    cluster_up "max_connections = $((clients + 50))" "fsync = off" \
        "restart_after_crash = on" "log_min_messages = warning" \
        "pgenvelope.key_timeout = '10s'" "pgenvelope.key_cache_ttl = '2s'"
    cluster_as tee "$cluster/helper" <test/perl/helper_double.py >/dev/null
    cluster_as chmod 700 "$cluster/helper"
    cluster_sql >/dev/null <<SQL
ALTER SYSTEM SET pgenvelope.providers =
    'main=file://$cluster/root.key, kms=command:$cluster/helper';
SELECT pg_reload_conf();
SQL
    cluster_sql >/dev/null <<'SQL'
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('soak0', 'main', required_context => '{"id": null}');
SELECT pgenvelope.create_key('soak1', 'kms', required_context => '{"id": null}');
CREATE TABLE value (id bigserial, plain text, v envelope);
SQL
    cluster_as tee "$cluster/write" >/dev/null <<'SQL'
\set id random(1, 1000000000)
INSERT INTO value (id, plain, v) VALUES (:id, 'plain ' || :id,
    env_encrypt('plain ' || :id, jsonb_build_object('id', :id),
        'soak' || :id % 2));
SQL
    cluster_as tee "$cluster/read" >/dev/null <<'SQL'
SELECT 1 / (env_decrypt(v, jsonb_build_object('id', id)) = plain)::int
FROM value TABLESAMPLE SYSTEM (1) LIMIT 20;
SQL
    # A version that is rolled back must leave nothing behind.
    cluster_as tee "$cluster/rotate" >/dev/null <<'SQL'
\set how random(1, 20)
\set key random(0, 1)
\if :how < 20
BEGIN;
SAVEPOINT before;
SELECT pgenvelope.rotate_key('soak' || :key);
SELECT env_encrypt('x', '{"id": 1}', 'soak' || :key);
ROLLBACK TO before;
SELECT env_decrypt(env_encrypt('x', '{"id": 1}', 'soak' || :key), '{"id": 1}');
COMMIT;
\else
SELECT pgenvelope.rotate_key('soak' || :key);
\endif
SQL
}

postmaster() { cluster_as head -n 1 "$cluster/data/postmaster.pid"; }

# One of the postmaster's children.
child() { pgrep -P "$(postmaster)" -f "$1" | shuf -n 1; }

# Starts a server whose postmaster was killed, once its children are gone.
revive() {
    local tries=0
    until cluster_start 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 20 ] || return 1
        sleep 0.5
    done
}

# Sessions come back after each crash.
load() {
    while [ -e "$cluster/load" ]; do
        cluster_as "$bin/pgbench" -n -h "$cluster" -U "$cluster_user" \
            -c 6 -j 2 -T "$seconds" -f "$cluster/write@5" \
            -f "$cluster/read@5" -f "$cluster/rotate@1" postgres \
            >>"$cluster/pgbench.log" 2>&1 || true
        sleep 0.2
    done
}

# A session that is there within the deadline, whatever was just killed.
answers() {
    local until=$((SECONDS + deadline))
    while [ $SECONDS -lt $until ]; do
        if [ "$(PGCONNECT_TIMEOUT=5 timeout "$deadline" "$bin/psql" -X -At \
            -h "$cluster" -U "$cluster_user" -d postgres -c "SELECT
            string_agg(env_decrypt(env_encrypt('x', '{\"id\": 1}', k),
                '{\"id\": 1}'), '') FROM unnest('{soak0,soak1}'::text[]) k
            " 2>/dev/null)" = xx ]; then
            return 0
        fi
        sleep 0.2
    done
    return 1
}

part_kills() {
    local end=$((SECONDS + seconds)) kills=0 hangs=0 pid loader victim wrong
    local -A killed=()
    prepare
    touch "$cluster/load"
    load &
    loader=$!
    while [ $SECONDS -lt $end ]; do
        sleep "0.$((RANDOM % 10))"
        victim=$((RANDOM % 12))
        case $victim in
            0) victim=postmaster pid=$(postmaster) ;;
            1 | 2) victim=session pid=$(child 'postgres: .* \[local\]' || :) ;;
            3 | 4) victim='keeper, politely' pid=$(child 'pgenvelope keeper' || :) ;;
            5) victim='eviction' pid= ;;
            6 | 7) victim=helper
                pid=$(pgrep -P "$(child 'pgenvelope keeper')" 2>/dev/null || :) ;;
            *) victim=keeper pid=$(child 'pgenvelope keeper' || :) ;;
        esac
        case $victim in
            'keeper, politely') [ -z "$pid" ] || kill -TERM "$pid" || : ;;
            eviction) scalar -c 'SELECT pgenvelope.evict_key()' >/dev/null 2>&1 || : ;;
            *) [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || : ;;
        esac
        [ "$victim" != postmaster ] || revive || break
        killed[$victim]=$((${killed[$victim]:-0} + 1))
        kills=$((kills + 1))
        answers || {
            hangs=$((hangs + 1))
            note "no answer within $deadline s after: $victim"
        }
    done
    rm -f "$cluster/load"
    [ -e "$cluster/data/postmaster.pid" ] || revive || :
    cluster_sql -At -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'pgbench'" >/dev/null || :
    wait $loader || :
    for victim in "${!killed[@]}"; do
        note "${killed[$victim]} x $victim"
    done
    tap $((hangs > 0 || kills == 0)) "$kills kills, none of which made a statement hang"
    # Lost connections are what a crash looks like, and a session may be told
    # that the keeper is not there yet.
    wrong=$(grep -E 'ERROR:' "$cluster/pgbench.log" |
        grep -cvE 'terminating connection|was not unsealed within|could not get key' || :)
    tap "$wrong" "no session saw a wrong answer"
    cluster_stop fast || :
    revive
    tap "$(scalar -c "SELECT count(*) FROM value
        WHERE env_decrypt(v, jsonb_build_object('id', id))
            IS DISTINCT FROM plain" || echo 1)" \
        "$(scalar -c 'SELECT count(*) FROM value') values decrypt after a restart, $(scalar -c \
            'SELECT count(*) FROM pgenvelope.key_version') versions"
    if [ $failed = 1 ]; then
        grep -E 'PE00|PANIC|FATAL' "$cluster/log" | sort | uniq -c |
            sort -rn | head -n 20 | sed 's/^/# /'
        grep -vE '^pgbench|^$' "$cluster/pgbench.log" | sort | uniq -c |
            sort -rn | head -n 20 | sed 's/^/# /'
    fi
}

part_connections() {
    local end=$((SECONDS + seconds)) rounds=0 wrong=0 calls
    prepare
    # Jobs of keys that were rotated before would unseal them, too.
    cluster_sql >/dev/null <<'SQL'
ALTER SYSTEM SET pgenvelope.rewrap_workers = 0;
CREATE TABLE one AS SELECT
    env_encrypt('plain', '{"id": 1}', 'soak0') AS v;
SQL
    cluster_as tee "$cluster/first" >/dev/null <<'SQL'
SELECT env_decrypt(v, '{"id": 1}') FROM one;
SQL
    while [ $SECONDS -lt $end ]; do
        cluster_stop fast
        cluster_start
        cluster_as sh -c "cd '$cluster' && exec '$bin/pgbench' -n \
            -h '$cluster' -U '$cluster_user' -c $clients -j 2 -t 1 -f first \
            --log --log-prefix=first.log postgres" \
            >"$cluster/first.out" 2>&1 || {
            wrong=$((wrong + 1))
            tail -n 3 "$cluster/first.out" | sed 's/^/# /'
        }
        calls=$(scalar -c 'SELECT unseal_calls FROM pgenvelope.stat')
        # A key that outlives its soft TTL meanwhile is asked for again.
        [ "$calls" -le $(($(scalar -c 'SELECT 1 + refreshes
            FROM pgenvelope.stat'))) ] || {
            wrong=$((wrong + 1))
            note "$calls provider calls"
        }
        rounds=$((rounds + 1))
    done
    note "$(cat "$cluster"/first.log* | awk '{print $3 / 1000}' | sort -g |
        awk '{a[NR] = $1} END {printf "waits: median %.1f ms, p99 %.1f ms, longest %.1f ms",
            a[int((NR + 1) / 2)], a[int(NR * 0.99)], a[NR]}')"
    tap $((wrong > 0 || rounds == 0)) \
        "$rounds restarts, $clients connections each, one provider call"
}

# A test of test/t with a server of its own, made long by PGENVELOPE_SOAK, which
# counts rounds or seconds.  Its checks count as one.
long_test() {
    local file=$1 length=$2 what=$3 code=0
    PROVE_TESTS=test/t/$file PGENVELOPE_SOAK=$length \
        PGENVELOPE_TEST_TIMEOUT=7200 test/setup/run.sh tap |
        sed 's/^ *#* */# /' || code=1
    tap $code "$what"
}

part_rewrap_kills() {
    long_test 017_worker_crash.pl 20 \
        "jobs survive 20 kills of each process and at each point"
    long_test 022_inplace_job.pl 20 "jobs in place survive 20 kills"
}

part_rewrap_reads() {
    long_test 015_inplace.pl 120 \
        "120 s of reads by each method, none torn"
}

part_rewrap_concurrent() {
    long_test 020_concurrent.pl 120 \
        "120 s of writes and DDL by each method"
}

part_create_kills() {
    long_test 014_life.pl 50 "50 kills while keys are made"
}

part_subscriber() {
    long_test 021_subscriber.pl 120 \
        "120 s of changes reach a subscriber"
}

# Its notes say what was tried.
part_audit_tamper() {
    long_test 042_audit_tamper.pl 100 \
        "100 tamperings with 10,000 entries of the audit, each found"
    grep -E '^# .*(tried|SEED|tamperings)' build/log/042_audit_tamper.pl.log || :
}

# Its notes are the figures.
part_outage() {
    local code=0
    test/setup/packages.sh build helpers server test providers
    PROVIDER_TESTS=test/providers/outage_server.pl PGENVELOPE_SOAK=300 \
        PGENVELOPE_TEST_TIMEOUT=7200 test/setup/run.sh providers |
        sed 's/^ *#* */# /' || code=1
    grep '^# .*: ' build/log/outage_server.pl.log || code=1
    tap $code "every provider down for 300 s"
}

[ $# -gt 0 ] || set -- fuzz kills connections rewrap-kills rewrap-reads \
    rewrap-concurrent create-kills subscriber audit-tamper outage
for part in "$@"; do
    "part_${part//-/_}"
done
echo "1..$number"
exit $failed
