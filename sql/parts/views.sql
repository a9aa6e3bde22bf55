

-- ---------------------------------------------------------------------------
-- Views, health and statistics: what people and monitoring read
-- ---------------------------------------------------------------------------

CREATE VIEW pgenvelope.keys AS
SELECT k.name,
       v.version,
       v.state,
       v.provider,
       v.root_key,
       k.required_context,
       pg_catalog.lpad(pg_catalog.to_hex(k.key_id), 12, '0') AS key_id,
       v.created_at,
       v.activated_at,
       v.deactivated_at,
       v.retired_at,
       v.destroyed_at,
       v.canary_percent,
       k.rotate_every,
       e.provider AS escrow_provider,
       k.dual_control
FROM pgenvelope.key k
JOIN pgenvelope.key_version v USING (key_id)
LEFT JOIN pgenvelope.key_escrow e USING (key_id, version);

CREATE FUNCTION pgenvelope.stat(
    OUT keeper_pid integer,
    OUT keeper_starts bigint,
    OUT cached_keys integer,
    OUT cache_size integer,
    OUT memory_locked boolean,
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT seal_calls bigint,
    OUT unseal_calls bigint,
    OUT refreshes bigint,
    OUT failed_unavailable bigint,
    OUT failed_throttled bigint,
    OUT failed_denied bigint,
    OUT failed_not_found bigint,
    OUT failed_disabled bigint,
    OUT failed_integrity bigint,
    OUT failed_misconfigured bigint,
    OUT launcher_pid integer,
    OUT worker_starts bigint,
    OUT rewrap_batches bigint,
    OUT rewrap_rows bigint,
    OUT rewrapped bigint,
    OUT rewrapped_in_place bigint,
    OUT rewrap_failed bigint,
    OUT rewrap_busy bigint,
    OUT rewrap_bytes bigint,
    OUT rewrap_paced_ms bigint,
    OUT rewrap_lag_waits bigint,
    OUT alerts_honey bigint,
    OUT alerts_budget bigint,
    OUT alerts_locked bigint,
    OUT alerts_lost bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'pgenvelope_stat'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat AS SELECT * FROM pgenvelope.stat();

CREATE FUNCTION pgenvelope.rewrap_activity(
    OUT pid integer,
    OUT database oid,
    OUT job_id bigint,
    OUT phase text,
    OUT relation text,
    OUT done bigint,
    OUT total bigint,
    OUT rows_seen bigint,
    OUT rewrapped bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_rewrap_activity'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.rewrap_progress AS
SELECT j.job_id,
       k.name AS key,
       j.kind,
       j.target_version,
       j.state,
       j.pass,
       t.name AS relation,
       t.method,
       t.state AS relation_state,
       t.next_block AS blocks_done,
       t.total_blocks,
       CASE WHEN t.state = 'uncovered' THEN NULL
            WHEN t.state = 'done' THEN 100
            WHEN t.total_blocks > 0
            THEN pg_catalog.round(100.0 * t.next_block::numeric
                                  / t.total_blocks::numeric, 1)
            ELSE 0
       END AS percent,
       t.rows_seen,
       t.rewrapped,
       t.in_place,
       t.failed,
       t.busy,
       t.bytes,
       t.batches,
       (t.rows_seen::numeric / NULLIF(GREATEST(
            t.busy_ms::numeric / 1000.0,
            extract(epoch FROM t.updated_at - t.started_at)), 0.0))::bigint
           AS rows_per_second,
       CASE WHEN t.state = 'running' AND j.state = 'running'
             AND t.next_block > 0
            THEN t.updated_at + (t.updated_at - t.started_at)
                 * ((t.total_blocks - t.next_block)::double precision
                    / t.next_block::double precision)
       END AS estimated_end,
       t.last_error,
       j.message,
       j.created_at,
       j.started_at,
       t.updated_at,
       j.finished_at
FROM pgenvelope.rewrap_job j
JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pgenvelope.rewrap_target t USING (job_id);

CREATE VIEW pgenvelope.rewrap_failures AS
SELECT f.job_id,
       k.name AS key,
       t.name AS relation,
       a.attname AS "column",
       f.ctid_ AS row_at,
       f.category,
       f.attempts,
       f.first_at,
       f.last_at,
       f.next_try
FROM pgenvelope.rewrap_failure f
JOIN pgenvelope.rewrap_job j USING (job_id)
JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pgenvelope.rewrap_target t
    ON t.job_id = f.job_id AND t.relation = f.relation AND t.attribute = 0
LEFT JOIN pg_catalog.pg_attribute a
    ON a.attrelid = f.relation AND a.attnum = f.attribute;

CREATE VIEW pgenvelope.census AS
SELECT c.relation::pg_catalog.regclass AS relation,
       a.attname AS "column",
       COALESCE(k.name,
                pg_catalog.lpad(pg_catalog.to_hex(c.key_id), 12, '0')) AS key,
       c.version,
       c.count,
       c.taken_at
FROM pgenvelope.census_count c
LEFT JOIN pgenvelope.key k USING (key_id)
LEFT JOIN pg_catalog.pg_attribute a
    ON a.attrelid = c.relation AND a.attnum = c.attribute;

GRANT SELECT ON pgenvelope.rewrap_progress, pgenvelope.rewrap_failures,
    pgenvelope.census TO pg_monitor;

COMMENT ON VIEW pgenvelope.rewrap_progress IS
    'rewrap jobs and, of each, every table: how far it is, and what went wrong';
COMMENT ON VIEW pgenvelope.rewrap_failures IS
    'values that could not be rewrapped, and when they are tried again';
COMMENT ON VIEW pgenvelope.census IS
    'stored values by column and key version, as the last proof counted them';

REVOKE ALL ON FUNCTION pgenvelope.stat() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.rewrap_activity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat() TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgenvelope.rewrap_activity() TO pg_monitor;
GRANT SELECT ON pgenvelope.keys, pgenvelope.stat TO pg_monitor;

COMMENT ON VIEW pgenvelope.keys IS
    'keys and their versions, without the sealed keys';
COMMENT ON FUNCTION pgenvelope.stat() IS
    'counters of the key cache, the keeper and the rewrap workers since the server started';
COMMENT ON VIEW pgenvelope.stat IS
    'counters of the key cache, the keeper and the rewrap workers since the server started';
COMMENT ON FUNCTION pgenvelope.rewrap_activity() IS
    'what rewrap workers, and sessions that count values, do now, in all databases';

-- What pgenvelope.health and pgenvelope.lint report.  A key without versions,
-- too: every key is created with one.
CREATE VIEW pgenvelope.orphans AS
SELECT 'key without versions' AS finding,
       k.key_id,
       NULL::integer AS version,
       pg_catalog.count(*) AS count
FROM pgenvelope.key k
WHERE NOT EXISTS (SELECT FROM pgenvelope.key_version v
                  WHERE v.key_id = k.key_id)
GROUP BY k.key_id
UNION ALL
SELECT 'version without key', v.key_id, v.version, pg_catalog.count(*)
FROM pgenvelope.key_version v
WHERE NOT EXISTS (SELECT FROM pgenvelope.key k WHERE k.key_id = v.key_id)
GROUP BY v.key_id, v.version
UNION ALL
SELECT 'grant without key', g.key_id, NULL, pg_catalog.count(*)
FROM pgenvelope.key_grant g
WHERE NOT EXISTS (SELECT FROM pgenvelope.key k WHERE k.key_id = g.key_id)
GROUP BY g.key_id
UNION ALL
SELECT 'seal without version', s.key_id, s.version, pg_catalog.count(*)
FROM (SELECT key_id, version FROM pgenvelope.key_seal
      UNION ALL
      SELECT key_id, version FROM pgenvelope.key_escrow) s
WHERE NOT EXISTS (SELECT FROM pgenvelope.key_version v
                  WHERE v.key_id = s.key_id AND v.version = s.version)
GROUP BY s.key_id, s.version
UNION ALL
SELECT 'honey value without key', h.key_id, NULL, pg_catalog.count(*)
FROM pgenvelope.honey h
WHERE NOT EXISTS (SELECT FROM pgenvelope.key k WHERE k.key_id = h.key_id)
GROUP BY h.key_id;

COMMENT ON VIEW pgenvelope.orphans IS
    'rows of the key tables whose key or version is missing, as after a partial restore';

CREATE FUNCTION pgenvelope.health(
    OUT component text,
    OUT name text,
    OUT status text,
    OUT category text,
    OUT message text,
    OUT latency_ms bigint,
    OUT root_key text,
    OUT credential_expires timestamptz,
    OUT last_error text,
    OUT last_error_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_health'
LANGUAGE C VOLATILE;

-- For everybody: it asks nobody, says yes or no, and is no error where the
-- answer is no.
CREATE FUNCTION pgenvelope.ready()
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_ready'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.health() TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.health() IS
    'what works and what does not: the keeper, the launcher, the cache, jobs, rotations, the audit, and each provider, asked now';
COMMENT ON FUNCTION pgenvelope.ready() IS
    'whether this server can be sent work: the keeper runs, and keys can be had as far as is known';

CREATE FUNCTION pgenvelope.stat_providers(
    OUT provider text,
    OUT operation text,
    OUT calls bigint,
    OUT failed_unavailable bigint,
    OUT failed_throttled bigint,
    OUT failed_denied bigint,
    OUT failed_not_found bigint,
    OUT failed_disabled bigint,
    OUT failed_integrity bigint,
    OUT failed_misconfigured bigint,
    OUT total_ms bigint,
    OUT longest_ms bigint,
    OUT bounds double precision[],
    OUT counts bigint[],
    OUT last_success timestamptz,
    OUT last_failure timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_stat_providers'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat_providers AS
SELECT * FROM pgenvelope.stat_providers();

REVOKE ALL ON FUNCTION pgenvelope.stat_providers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat_providers() TO pg_monitor;
GRANT SELECT ON pgenvelope.stat_providers TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.stat_providers() IS
    'calls to each provider since the server started: how many, how long, how they failed';
COMMENT ON VIEW pgenvelope.stat_providers IS
    'calls to each provider since the server started: how many, how long, how they failed';

CREATE FUNCTION pgenvelope.stat_use(
    OUT database oid,
    OUT key_id bigint,
    OUT role oid,
    OUT operation text,
    OUT outcome text,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_stat_use'
LANGUAGE C VOLATILE;

CREATE VIEW pgenvelope.stat_use AS
SELECT d.datname AS database,
       COALESCE(k.name,
                pg_catalog.lpad(pg_catalog.to_hex(s.key_id), 12, '0')) AS key,
       COALESCE(r.rolname, s.role::pg_catalog.text) AS role,
       s.operation,
       s.outcome,
       s.count
FROM pgenvelope.stat_use() s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.database
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.role
LEFT JOIN pgenvelope.key k
    ON k.key_id = s.key_id AND d.datname = pg_catalog.current_database()
WHERE d.datname IS NOT NULL OR s.database IS NULL;

CREATE FUNCTION pgenvelope.reset_stat()
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_reset_stat'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.stat_use() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.reset_stat() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat_use() TO pg_monitor;
GRANT SELECT ON pgenvelope.stat_use TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.stat_use() IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON VIEW pgenvelope.stat_use IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON FUNCTION pgenvelope.reset_stat() IS
    'sets the counts of stat_use and stat_providers to zero';
