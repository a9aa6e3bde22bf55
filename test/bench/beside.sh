#!/usr/bin/env bash
# What pgbench makes of a rewrap beside it; prints a table, writes nothing here.
#
#   beside.sh           ROWS=1000000 SECONDS_EACH=20 ROUNDS=3 CLIENTS=4
#                       RATES="10000 50000 0" METHODS="update inplace"
#
# A table of rows of about 250 bytes with an envelope of 110 is rewrapped by
# the worker while pgbench runs its own, TPC-B-like, transactions.  Every round
# takes each case once, in another order: no run, and a run paced to each of
# RATES rows a second (0: unpaced) by each of METHODS.  Whatever ends early is
# begun anew.  CONF is a line for postgresql.conf.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh
# shellcheck source=test/bench/jobs.sh
source test/bench/jobs.sh
rows=${ROWS:-1000000}
seconds=${SECONDS_EACH:-20}
rounds=${ROUNDS:-3}
clients=${CLIENTS:-4}
read -ra rates <<<"${RATES:-10000 50000 0}"
read -ra methods <<<"${METHODS:-update inplace}"

cluster_up "shared_buffers = 1GB" "max_wal_size = 8GB" "jit = off" \
    "checkpoint_timeout = 15min" "wal_compression = off" \
    "log_min_messages = warning" "${CONF:-}"
printf '%s; %s cores; %s; %s rows, %s clients, %s s each\n' \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(nproc)" "$(cluster_as "$bin/postgres" --version)" "$rows" "$clients" \
    "$seconds"
cluster_sql -v rows="$rows" >/dev/null <<'SQL'
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('bench', required_context => '{"id": null}');
CREATE TABLE value (id bigint PRIMARY KEY, v envelope, filler text);
INSERT INTO value
SELECT i, env_encrypt(lpad(i::text, 32, '0'), jsonb_build_object('id', i),
    'bench'), repeat('x', 100)
FROM generate_series(1, :rows) AS i;
VACUUM (FREEZE, ANALYZE) value;
CREATE TABLE took (name text, tps float8, moved float8);
SQL
cluster_quietly cluster_as "$bin/pgbench" -i -q -s 20 -h "$cluster" \
    -U "$cluster_user" postgres

moved() {
    cluster_sql -At -c "SELECT coalesce(sum(rewrapped), 0)
        FROM pgenvelope.rewrap_target"
}

# One case: a name, and what the rate is; "-" is no run.
measure() {
    local name=$1 method=$2 pace=$3 before after tps
    cluster_sql -c "VACUUM value" -c CHECKPOINT
    before=$(moved)
    if [ "$pace" != - ]; then
        cluster_sql >/dev/null -c "SELECT pgenvelope.set_rewrap_method('value', '$method')" \
            -c "ALTER SYSTEM SET pgenvelope.rewrap_rate = $pace" \
            -c "SELECT pg_reload_conf()"
        jobs_begin
    fi
    tps=$(cluster_as "$bin/pgbench" -n -h "$cluster" -U "$cluster_user" \
        -c "$clients" -j 2 -T "$seconds" postgres 2>&1 |
        sed -n 's/^tps = \([0-9.]*\).*/\1/p')
    after=$(moved)
    jobs_end
    cluster_sql -c "INSERT INTO took VALUES ('$name', $tps,
        ($after - $before) / $seconds.0)"
}

cases=("no run|-|-")
for method in "${methods[@]}"; do
    for rate in "${rates[@]}"; do
        name="$method, $rate rows/s"
        [ "$rate" != 0 ] || name="$method, unpaced"
        cases+=("$name|$method|$rate")
    done
done
for ((round = 1; round <= rounds; round++)); do
    while IFS='|' read -r name method pace; do
        measure "$name" "$method" "$pace" </dev/null
    done < <(printf '%s\n' "${cases[@]}" | shuf)
done
cluster_sql -P footer=off <<'SQL'
SELECT name AS "beside",
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY tps)::numeric) AS tps,
    round(min(tps)::numeric) AS least, round(max(tps)::numeric) AS most,
    round((100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY tps)
        / (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY tps) FROM took
           WHERE name = 'no run'))::numeric, 1) AS "% of no run",
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY moved)::numeric)
        AS "values/s moved"
FROM took GROUP BY name ORDER BY name <> 'no run', name;
SQL
