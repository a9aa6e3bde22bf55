

-- ---------------------------------------------------------------------------
-- Health and statistics: what monitoring reads
-- ---------------------------------------------------------------------------

-- What env_health and env_lint report.  A key without versions, too: every
-- key is created with one.
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

CREATE FUNCTION @extschema@.env_health(
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
CREATE FUNCTION @extschema@.env_ready()
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_ready'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION @extschema@.env_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.env_health() TO pg_monitor;

COMMENT ON FUNCTION @extschema@.env_health() IS
    'what works and what does not: the keeper, the launcher, the cache, jobs, rotations, the audit, and each provider, asked now';
COMMENT ON FUNCTION @extschema@.env_ready() IS
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

CREATE FUNCTION pgenvelope.stat_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_stat_reset'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.stat_use() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.stat_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.stat_use() TO pg_monitor;
GRANT SELECT ON pgenvelope.stat_use TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.stat_use() IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON VIEW pgenvelope.stat_use IS
    'values by database, key, role, operation and outcome, since the server started';
COMMENT ON FUNCTION pgenvelope.stat_reset() IS
    'sets the counts of stat_use and stat_providers to zero';
