

-- ---------------------------------------------------------------------------
-- Health and statistics: what monitoring reads
-- ---------------------------------------------------------------------------

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
    'what works and what does not: the keeper, the launcher, the cache, jobs, rotations, and each provider, asked now';
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
