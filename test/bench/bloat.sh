#!/usr/bin/env bash
# Whether autovacuum keeps its pace beside a rewrap in place; prints a table,
# writes nothing here.
#
#   bloat.sh            ROWS=200000 SECONDS_EACH=60 RATE=200
#
# A table takes RATE updates a second, which leave dead rows, while autovacuum
# looks at it every second; without a job, and beside jobs in place that follow
# one another without a pause or a limit.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh
# shellcheck source=test/bench/jobs.sh
source test/bench/jobs.sh
rows=${ROWS:-200000}
seconds=${SECONDS_EACH:-60}
rate=${RATE:-200}

cluster_up "shared_buffers = 512MB" "max_wal_size = 8GB" \
    "autovacuum_naptime = 1s" "log_min_messages = warning" \
    "pgenvelope.rewrap_rate = 0"
cluster_sql -v rows="$rows" >/dev/null <<'SQL'
CREATE EXTENSION pgenvelope;
SELECT pgenvelope.create_key('bench', required_context => '{"id": null}');
CREATE TABLE filled AS
SELECT i::bigint AS id, repeat('x', 110) AS filler,
    env_encrypt(lpad(i::text, 32, '0'), jsonb_build_object('id', i),
        'bench')::text AS v
FROM generate_series(1, :rows) AS i;
CREATE TABLE took (name text, before bigint, after bigint, dead bigint,
    vacuums bigint, moved bigint);
SQL
cluster_as tee "$cluster/update" >/dev/null <<SQL
\\set id random(1, $rows)
UPDATE value SET filler = repeat('y', 110) WHERE id = :id;
SQL

# One case, on a table that was just filled.
measure() {
    local name=$1
    cluster_sql >/dev/null <<'SQL'
SET client_min_messages = warning;
DROP TABLE IF EXISTS value;
CREATE TABLE value (id bigint PRIMARY KEY, filler text, v envelope)
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO value SELECT id, filler, v::envelope FROM filled;
VACUUM (FREEZE, ANALYZE) value;
SELECT pgenvelope.set_rewrap_method('value', 'inplace');
SELECT pg_relation_size('value') AS before,
    (SELECT coalesce(sum(in_place), 0) FROM pgenvelope.rewrap_target) AS moved
\gset
INSERT INTO took (name, before, moved) VALUES ('new', :before, :moved);
SQL
    if [ "$name" != "no job" ]; then
        jobs_begin
    fi
    cluster_quietly cluster_as "$bin/pgbench" -n -h "$cluster" \
        -U "$cluster_user" -c 4 -R "$rate" -T "$seconds" -f "$cluster/update" \
        postgres
    cluster_sql -v name="$name" >/dev/null <<'SQL'
UPDATE took SET name = :'name', after = pg_relation_size('value'),
    dead = n_dead_tup, vacuums = autovacuum_count,
    moved = (SELECT sum(in_place) FROM pgenvelope.rewrap_target) - moved
FROM pg_stat_user_tables WHERE relname = 'value' AND name = 'new';
SQL
    jobs_end
}

measure "no job"
measure "jobs in place"
measure "no job"
measure "jobs in place"
cluster_sql -P footer=off <<'SQL'
SELECT name AS "beside",
    round(100 * (after::numeric / before - 1), 2) AS "heap grows by %",
    dead AS "dead rows at the end", vacuums AS autovacuums,
    coalesce(moved, 0) AS "values moved"
FROM took ORDER BY name DESC, after;
SQL
