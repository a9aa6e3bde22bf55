\echo Use "ALTER EXTENSION pgenvelope UPDATE" to load this file. \quit

-- From 0.1.0 to 0.2.0.  The server runs the library of 0.2.0 by then.
--
-- Functions are moved and renamed, not made anew: they keep the privileges
-- that were granted on them, and what depends on them.  Nor is anything
-- granted or revoked on what was there, or pg_dump would take privileges of
-- the administrator's for the extension's own.


-- ---------------------------------------------------------------------------
-- Functions that administer and report move to the schema pgenvelope
-- ---------------------------------------------------------------------------

ALTER FUNCTION @extschema@.env_create_key(text, text, jsonb, boolean, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_create_key(text, text, jsonb, boolean, boolean)
    RENAME TO create_key;
ALTER FUNCTION @extschema@.env_rotate_key(text, integer, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rotate_key(text, integer, boolean)
    RENAME TO rotate_key;
ALTER FUNCTION @extschema@.env_activate_key(text, integer, integer, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_activate_key(text, integer, integer, boolean)
    RENAME TO activate_key;
ALTER FUNCTION @extschema@.env_rollback_key(text) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rollback_key(text) RENAME TO rollback_key;
ALTER FUNCTION @extschema@.env_retire_key(text, integer, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_retire_key(text, integer, boolean)
    RENAME TO retire_key;
ALTER FUNCTION @extschema@.env_restore_key(text, integer)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_restore_key(text, integer) RENAME TO restore_key;
ALTER FUNCTION @extschema@.env_destroy_key(text, integer, text, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_destroy_key(text, integer, text, boolean)
    RENAME TO destroy_key;
ALTER FUNCTION @extschema@.env_reseal_keys(text, text, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_reseal_keys(text, text, boolean)
    RENAME TO reseal_keys;
ALTER FUNCTION @extschema@.env_schedule_rotation(text, interval)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_schedule_rotation(text, interval)
    RENAME TO schedule_rotation;
ALTER FUNCTION @extschema@.env_rotate_due() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rotate_due() RENAME TO rotate_due_keys;
ALTER FUNCTION @extschema@.env_evict(text) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_evict(text) RENAME TO evict_key;
ALTER FUNCTION @extschema@.env_grant(text, text, regrole, jsonb, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_grant(text, text, regrole, jsonb, boolean)
    RENAME TO grant_key;
ALTER FUNCTION @extschema@.env_revoke(text, text, regrole, jsonb, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_revoke(text, text, regrole, jsonb, boolean)
    RENAME TO revoke_key;
ALTER FUNCTION @extschema@.env_why_denied(text, text, jsonb, regrole)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_why_denied(text, text, jsonb, regrole)
    RENAME TO why_denied;
ALTER FUNCTION @extschema@.env_require_approval(text, boolean)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_require_approval(text, boolean)
    RENAME TO require_approval;
ALTER FUNCTION @extschema@.env_approve(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_approve(bigint) RENAME TO approve;
ALTER FUNCTION @extschema@.env_reject(bigint, text) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_reject(bigint, text) RENAME TO reject;
ALTER FUNCTION @extschema@.env_limit(text, regrole, jsonb, integer, integer, text)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_limit(text, regrole, jsonb, integer, integer, text)
    RENAME TO limit_grant;
ALTER FUNCTION @extschema@.env_unlock_grant(text, regrole)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_unlock_grant(text, regrole)
    RENAME TO unlock_grant;
ALTER FUNCTION @extschema@.env_honey(@extschema@.envelope, jsonb, boolean, text)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_honey(@extschema@.envelope, jsonb, boolean, text)
    RENAME TO mark_honey;
ALTER FUNCTION @extschema@.env_unhoney(@extschema@.envelope, jsonb)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_unhoney(@extschema@.envelope, jsonb)
    RENAME TO unmark_honey;
ALTER FUNCTION @extschema@.env_create_audit_key(text, text)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_create_audit_key(text, text)
    RENAME TO create_audit_key;
ALTER FUNCTION @extschema@.env_audit_verify() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_audit_verify() RENAME TO verify_audit;
ALTER FUNCTION @extschema@.env_audit_accept_restore(text)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_audit_accept_restore(text)
    RENAME TO accept_restore;
ALTER FUNCTION @extschema@.env_health() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_health() RENAME TO health;
ALTER FUNCTION @extschema@.env_ready() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_ready() RENAME TO ready;
ALTER FUNCTION @extschema@.env_lint() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_lint() RENAME TO lint;
ALTER FUNCTION @extschema@.env_census() SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_census() RENAME TO take_census;
ALTER FUNCTION @extschema@.env_rewrap_start(text, text, integer)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_start(text, text, integer)
    RENAME TO start_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_pause(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_pause(bigint) RENAME TO pause_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_resume(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_resume(bigint) RENAME TO resume_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_cancel(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_cancel(bigint) RENAME TO cancel_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_retry(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_retry(bigint) RENAME TO retry_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_step(bigint) SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_step(bigint) RENAME TO step_rewrap;
ALTER FUNCTION @extschema@.env_rewrap_method(regclass, text)
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_method(regclass, text)
    RENAME TO set_rewrap_method;
ALTER FUNCTION @extschema@.env_rewrap_context(regclass, name, text[])
    SET SCHEMA pgenvelope;
ALTER FUNCTION pgenvelope.env_rewrap_context(regclass, name, text[])
    RENAME TO set_rewrap_context;
ALTER FUNCTION pgenvelope.stat_reset() RENAME TO reset_stat;

-- Those whose C function has another name, too.

CREATE OR REPLACE FUNCTION pgenvelope.rotate_due_keys()
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_rotate_due_keys'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.evict_key(name text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'pgenvelope_evict_key'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.grant_key(
    key text,
    privilege text,
    role regrole,
    context jsonb DEFAULT NULL,
    definer boolean DEFAULT true)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_grant_key'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.revoke_key(
    key text,
    privilege text,
    role regrole,
    context jsonb DEFAULT NULL,
    all_contexts boolean DEFAULT false)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_revoke_key'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.limit_grant(
    key text,
    role regrole,
    context jsonb DEFAULT NULL,
    per_minute integer DEFAULT NULL,
    per_transaction integer DEFAULT NULL,
    action text DEFAULT 'deny')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_limit_grant'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.mark_honey(
    value @extschema@.envelope,
    context jsonb,
    lock boolean DEFAULT false,
    note text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_mark_honey'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.unmark_honey(
    value @extschema@.envelope,
    context jsonb)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_unmark_honey'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.verify_audit(
    OUT seq bigint,
    OUT finding text,
    OUT ok boolean,
    OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_verify_audit'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.accept_restore(reason text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_accept_restore'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.take_census(
    OUT relation regclass,
    OUT "column" name,
    OUT key text,
    OUT version integer,
    OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_take_census'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.start_rewrap(
    key text,
    kind text DEFAULT 'rewrap',
    version integer DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_start_rewrap'
LANGUAGE C VOLATILE;

CREATE OR REPLACE FUNCTION pgenvelope.pause_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_pause_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.resume_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_resume_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.cancel_rewrap(job bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pgenvelope_cancel_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.retry_rewrap(job bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pgenvelope_retry_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.step_rewrap(
    job bigint,
    OUT step text,
    OUT wait_ms integer,
    OUT state text,
    OUT phase text,
    OUT relation text,
    OUT next_block bigint,
    OUT total_blocks bigint,
    OUT rows_seen bigint,
    OUT rewrapped bigint,
    OUT in_place bigint,
    OUT failed bigint,
    OUT busy bigint,
    OUT bytes bigint,
    OUT message text)
RETURNS record
AS 'MODULE_PATHNAME', 'pgenvelope_step_rewrap'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.set_rewrap_method(relation regclass, method text)
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_method'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.set_rewrap_context(
    relation regclass,
    "column" name,
    VARIADIC members text[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_set_rewrap_context'
LANGUAGE C VOLATILE STRICT;

CREATE OR REPLACE FUNCTION pgenvelope.reset_stat()
RETURNS void
AS 'MODULE_PATHNAME', 'pgenvelope_reset_stat'
LANGUAGE C VOLATILE;


-- ---------------------------------------------------------------------------
-- New functions
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.env_encrypt_bytea(
    plaintext bytea,
    context jsonb,
    key text DEFAULT NULL)
RETURNS @extschema@.envelope
AS 'MODULE_PATHNAME', 'pgenvelope_encrypt_bytea'
LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

CREATE FUNCTION @extschema@.env_try_decrypt(
    value @extschema@.envelope,
    context jsonb,
    key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'pgenvelope_try_decrypt'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION @extschema@.env_encrypt_bytea(bytea, jsonb, text) IS
    'encrypts bytes, bound to a context, with the named or default key';
COMMENT ON FUNCTION
    @extschema@.env_try_decrypt(@extschema@.envelope, jsonb, text) IS
    'decrypts text; null where the value does not open in the context, or its key version may not be used';


-- ---------------------------------------------------------------------------
-- Tables.  pg_dump writes no order between the data of tables that it dumps,
-- and a parallel restore loads them at once: no foreign keys between them.
--
-- That a key table is altered tells every session to look at the version of
-- the extension again.
-- ---------------------------------------------------------------------------

ALTER TABLE pgenvelope.key_version DROP CONSTRAINT key_version_key_id_fkey;
ALTER TABLE pgenvelope.key_seal
    DROP CONSTRAINT key_seal_key_id_version_fkey;
ALTER TABLE pgenvelope.key_escrow
    DROP CONSTRAINT key_escrow_key_id_version_fkey;
ALTER TABLE pgenvelope.key_proof
    DROP CONSTRAINT key_proof_key_id_version_fkey;
ALTER TABLE pgenvelope.key_grant DROP CONSTRAINT key_grant_key_id_fkey;
ALTER TABLE pgenvelope.honey DROP CONSTRAINT honey_key_id_fkey;

ALTER TABLE pgenvelope.rewrap_job
    ADD COLUMN lost_workers integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN pgenvelope.rewrap_job.lost_workers IS
    'workers in a row that ended at it without a word, whatever ended them';

-- Requests name the function that was called.  The audit's log is chained and
-- keeps the names of then.
UPDATE pgenvelope.request
SET operation = CASE operation
        WHEN 'env_create_key' THEN 'create_key'
        WHEN 'env_rotate_key' THEN 'rotate_key'
        WHEN 'env_activate_key' THEN 'activate_key'
        WHEN 'env_rollback_key' THEN 'rollback_key'
        WHEN 'env_retire_key' THEN 'retire_key'
        WHEN 'env_restore_key' THEN 'restore_key'
        WHEN 'env_destroy_key' THEN 'destroy_key'
        WHEN 'env_reseal_keys' THEN 'reseal_keys'
        WHEN 'env_schedule_rotation' THEN 'schedule_rotation'
        WHEN 'env_rotate_due' THEN 'rotate_due_keys'
        WHEN 'env_evict' THEN 'evict_key'
        WHEN 'env_grant' THEN 'grant_key'
        WHEN 'env_revoke' THEN 'revoke_key'
        WHEN 'env_why_denied' THEN 'why_denied'
        WHEN 'env_require_approval' THEN 'require_approval'
        WHEN 'env_approve' THEN 'approve'
        WHEN 'env_limit' THEN 'limit_grant'
        WHEN 'env_unlock_grant' THEN 'unlock_grant'
        WHEN 'env_honey' THEN 'mark_honey'
        WHEN 'env_unhoney' THEN 'unmark_honey'
        WHEN 'env_create_audit_key' THEN 'create_audit_key'
        WHEN 'env_audit_verify' THEN 'verify_audit'
        WHEN 'env_audit_accept_restore' THEN 'accept_restore'
        WHEN 'env_health' THEN 'health'
        WHEN 'env_ready' THEN 'ready'
        WHEN 'env_lint' THEN 'lint'
        WHEN 'env_census' THEN 'take_census'
        WHEN 'env_rewrap_start' THEN 'start_rewrap'
        WHEN 'env_rewrap_pause' THEN 'pause_rewrap'
        WHEN 'env_rewrap_resume' THEN 'resume_rewrap'
        WHEN 'env_rewrap_cancel' THEN 'cancel_rewrap'
        WHEN 'env_rewrap_retry' THEN 'retry_rewrap'
        WHEN 'env_rewrap_step' THEN 'step_rewrap'
        WHEN 'env_rewrap_method' THEN 'set_rewrap_method'
        WHEN 'env_rewrap_context' THEN 'set_rewrap_context'
        ELSE operation
    END;


-- ---------------------------------------------------------------------------
-- Views
-- ---------------------------------------------------------------------------

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

-- With exact operators: what is in the extension's schema is not for these.
CREATE OR REPLACE VIEW pgenvelope.rewrap_progress AS
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

CREATE OR REPLACE VIEW pgenvelope.requests WITH (security_barrier) AS
SELECT r.request_id,
       k.name AS key,
       r.operation,
       CASE WHEN m.decides OR m.asked THEN r.arguments
            ELSE r.arguments - 'context'::text
       END AS arguments,
       CASE WHEN r.state = 'pending'
             AND r.expires_at <= pg_catalog.clock_timestamp()
            THEN 'expired'
            ELSE r.state
       END AS state,
       r.requested_by,
       r.requested_session,
       r.requested_login,
       r.requested_identity,
       r.requested_at,
       r.expires_at,
       r.decided_by,
       r.decided_session,
       r.decided_login,
       r.decided_identity,
       r.decided_at,
       r.reason,
       r.result
FROM pgenvelope.request r
JOIN pgenvelope.key k USING (key_id)
CROSS JOIN LATERAL (
    SELECT pgenvelope.may_decide(r.key_id, r.operation, r.arguments)
               AS decides,
           COALESCE(pg_catalog.pg_has_role(r.requester, 'USAGE'), false)
               AS asked
) m
WHERE m.decides OR m.asked
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');


-- ---------------------------------------------------------------------------
-- Lint
-- ---------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION pgenvelope.lint_approval(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH approver AS (
        SELECT DISTINCT k.key_id, r.oid, r.rolname, r.rolcreaterole
        FROM pgenvelope.key k
        JOIN pgenvelope.key_grant g
            ON g.key_id = k.key_id AND g.privilege = 'admin'
        JOIN pg_roles e ON e.oid = g.grantee::oid
        JOIN pg_roles r ON pg_has_role(r.oid, e.oid, 'USAGE')
        JOIN pgenvelope.own_functions() f ON f.name = 'approve'
        WHERE k.dual_control AND r.rolcanlogin AND NOT r.rolsuper
          AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    )
    SELECT 'warning', 'one_approver', format('key %s', k.name),
        format('It is under dual control, and %s: requests are left to '
               'superusers, or expire.',
               CASE count(a.oid) WHEN 0 THEN 'nobody who can log in may '
                                             'approve'
                                 ELSE 'only ' || min(a.rolname) || ' can log '
                                      'in and approve' END),
        'Grant admin on it, and EXECUTE on pgenvelope.approve, to two who log in as '
        'themselves.'
    FROM pgenvelope.key k
    LEFT JOIN approver a USING (key_id)
    WHERE k.dual_control
    GROUP BY k.key_id, k.name
    HAVING count(a.oid) < 2
    UNION ALL
    SELECT 'warning', 'two_in_one',
        format('key %s, role %s', k.name, a.rolname),
        CASE WHEN a.rolcreaterole
             THEN 'It may approve for a key under dual control, and make '
                  'roles: it can be the second person, too.'
             ELSE 'It may approve for a key under dual control, and let '
                  'others in: it can be the second person, too.' END,
        'Take CREATEROLE, and ADMIN OPTION on the administrators'' group, '
        'from who approves.'
    FROM approver a
    JOIN pgenvelope.key k USING (key_id)
    WHERE a.rolcreaterole
       OR EXISTS (
        SELECT FROM pgenvelope.key_grant g
        JOIN pg_roles e ON e.oid = g.grantee::oid
        WHERE g.key_id = k.key_id AND g.privilege = 'admin'
          AND a.oid <> e.oid
          AND pg_has_role(a.oid, e.oid, 'MEMBER WITH ADMIN OPTION'))
    UNION ALL
    SELECT 'info', 'no_dual_control', 'keys for values',
        format('%s of %s are not under dual control: one administrator can '
               'destroy them, and let anybody decrypt.',
               count(*) FILTER (WHERE NOT k.dual_control), count(*)),
        'See docs/operations.md, Two persons; pgenvelope.require_approval().'
    FROM pgenvelope.key k
    WHERE k.purpose = 'data'
    HAVING NOT bool_and(k.dual_control)
$$;

CREATE OR REPLACE FUNCTION pgenvelope.lint_keys(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'schema_owner', format('schema %I', n.nspname),
        format('It belongs to %I, who can put functions beside ours, or drop it '
               'with all keys.', r.rolname),
        'Install into a schema of its own, or ALTER SCHEMA ... OWNER TO the '
        'extension''s owner.'
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace
    JOIN pg_roles r ON r.oid = n.nspowner
    WHERE e.extname = 'pgenvelope' AND n.nspowner <> e.extowner
    UNION ALL
    SELECT 'error', 'orphans',
        format('key %s', COALESCE(k.name, lpad(to_hex(o.key_id), 12, '0'))),
        CASE WHEN o.version IS NULL THEN format('%s (%s).', o.finding, o.count)
             ELSE format('%s (version %s).', o.finding, o.version)
        END,
        'The restore was not complete: restore the key tables again, all from '
        'one dump.'
    FROM pgenvelope.orphans o
    LEFT JOIN pgenvelope.key k USING (key_id)
    UNION ALL
    SELECT 'warning', 'no_audit_key', 'pgenvelope.audit_log',
        'There is no audit key: what is done to keys and rights is not '
        'recorded in this database.',
        'SELECT pgenvelope.create_audit_key();'
    WHERE EXISTS (SELECT FROM pgenvelope.key)
      AND NOT EXISTS (SELECT FROM pgenvelope.key WHERE purpose = 'audit')
    UNION ALL
    SELECT 'warning', 'no_row_member', format('key %s', k.name),
        CASE WHEN k.required_context = '{}'
             THEN 'It takes any context, an empty one too: values can be '
                  'moved anywhere.'
             ELSE 'Its required context names no member that tells rows '
                  'apart: a writer of rows can exchange values of a tenant.'
        END,
        'Require a member with the row''s key, such as "id": null.'
    FROM pgenvelope.key k
    WHERE k.purpose = 'data'
      AND NOT EXISTS (
        SELECT FROM jsonb_each(k.required_context) m
        WHERE m.value = 'null' AND m.key NOT IN ('tenant', 'type'))
    UNION ALL
    SELECT 'warning', 'rotation_overdue', format('key %s', k.name),
        format('It was to be rotated %s.',
               to_char(v.activated_at + k.rotate_every, 'YYYY-MM-DD')),
        'See the server''s log for why it was not; SELECT pgenvelope.rotate_due_keys();'
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'active'
      AND v.activated_at + k.rotate_every
          < statement_timestamp() - interval '1 hour'
    UNION ALL
    SELECT 'info', 'never_rotated', format('key %s', k.name),
        'Its active version is older than a year, and it has no schedule.',
        format('SELECT pgenvelope.schedule_rotation(%L, ''1 year'');', k.name)
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'active' AND k.rotate_every IS NULL
      AND v.activated_at < statement_timestamp() - interval '1 year'
    UNION ALL
    SELECT 'warning', 'no_proof',
        format('key %s, version %s', k.name, v.version),
        'It was deactivated a week ago or more, and there is no proof that '
        'no value needs it.',
        format('See pgenvelope.rewrap_progress; SELECT pgenvelope.start_rewrap(%L);',
               k.name)
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state = 'deactivated'
      AND v.deactivated_at < statement_timestamp() - interval '7 days'
      AND NOT EXISTS (
        SELECT FROM pgenvelope.key_proof p
        WHERE p.key_id = v.key_id AND p.version = v.version
          AND p.proved_at > v.deactivated_at AND p.uncovered = 0)
    UNION ALL
    SELECT CASE WHEN current_setting('pgenvelope.escrow_provider') = ''
                THEN 'info' ELSE 'warning' END,
        'no_escrow', format('key %s, version %s', k.name, v.version),
        'There is no second seal: if its provider is lost, so are its '
        'values.',
        'Set pgenvelope.escrow_provider; SELECT pgenvelope.reseal_keys();'
    FROM pgenvelope.key k
    JOIN pgenvelope.key_version v USING (key_id)
    WHERE v.state <> 'destroyed'
      AND NOT EXISTS (
        SELECT FROM pgenvelope.key_escrow e
        WHERE e.key_id = v.key_id AND e.version = v.version)
$$;

CREATE OR REPLACE FUNCTION pgenvelope.lint_rights(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'public_function', p.oid::regprocedure::text,
        'Everybody may execute this function of administrators.',
        format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC;',
               p.oid::regprocedure)
    FROM pgenvelope.own_functions() f
    JOIN pg_proc p ON p.oid = f.oid
    JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass
        AND i.objoid = p.oid AND i.objsubid = 0
    WHERE EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)
      AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) a
                      WHERE a.grantee = 0)
    UNION ALL
    SELECT 'error', 'public_table', c.oid::regclass::text,
        'Everybody has rights on this table.',
        format('REVOKE ALL ON %s FROM PUBLIC;', c.oid::regclass)
    FROM pg_class c
    WHERE c.relnamespace = 'pgenvelope'::regnamespace
      AND c.relkind = 'r'
      AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
      AND NOT EXISTS (
        SELECT FROM pg_init_privs i, aclexplode(i.initprivs) a
        WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
          AND a.grantee = 0)
    UNION ALL
    SELECT DISTINCT 'warning', 'dropped_grantee',
        format('key %s, role %s', k.name, g.grantee::oid),
        format('The role that held %s was dropped; the number may be given '
               'to another.', g.privilege),
        format('SELECT pgenvelope.revoke_key(%L, %L, %L, all_contexts => true);',
               k.name, g.privilege, g.grantee::oid)
    FROM pgenvelope.key_grant g
    JOIN pgenvelope.key k USING (key_id)
    WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.grantee::oid)
    UNION ALL
    SELECT DISTINCT 'warning', 'superuser_grant',
        format('key %s, role %s', k.name, r.rolname),
        'A superuser holds the privilege decrypt.',
        format('SELECT pgenvelope.revoke_key(%L, ''decrypt'', %L, all_contexts => true); '
               'and create keys with grant_creator => false.', k.name,
               r.rolname)
    FROM pgenvelope.key_grant g
    JOIN pgenvelope.key k USING (key_id)
    JOIN pg_roles r ON r.oid = g.grantee::oid
    WHERE g.privilege = 'decrypt' AND r.rolsuper
    UNION ALL
    SELECT CASE WHEN b.rolname = 'pg_read_all_data' THEN 'info'
                ELSE 'warning' END,
        'bypass_role', format('role %s', r.rolname),
        format('It is a member of %s, and may read %s.', b.rolname,
               CASE WHEN b.rolname = 'pg_read_all_data'
                    THEN 'the sealed keys'
                    ELSE 'or write what the server''s user may, such as a '
                         'file of a root key' END),
        format('REVOKE %I FROM %I;', b.rolname, r.rolname)
    FROM pg_roles r
    JOIN pg_roles b ON b.rolname IN ('pg_read_server_files',
        'pg_write_server_files', 'pg_execute_server_program',
        'pg_read_all_data')
        AND b.oid <> r.oid
        AND pg_has_role(r.oid, b.oid, 'MEMBER')
    WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'
$$;

CREATE OR REPLACE FUNCTION pgenvelope.lint(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.* FROM (
        SELECT * FROM pgenvelope.lint_server()
        UNION ALL SELECT * FROM pgenvelope.lint_log()
        UNION ALL SELECT * FROM pgenvelope.lint_settings()
        UNION ALL SELECT * FROM pgenvelope.lint_triggers()
        UNION ALL SELECT * FROM pgenvelope.lint_objects()
        UNION ALL SELECT * FROM pgenvelope.lint_rights()
        UNION ALL SELECT * FROM pgenvelope.lint_sharing()
        UNION ALL SELECT * FROM pgenvelope.lint_approval()
        UNION ALL SELECT * FROM pgenvelope.lint_keys()) l
    ORDER BY position(l.severity IN 'error warning info'), l."check",
        l.object, l.message
$$;


-- ---------------------------------------------------------------------------
-- Comments
-- ---------------------------------------------------------------------------

COMMENT ON SCHEMA pgenvelope IS
    'pgenvelope: keys, rights, jobs and audit, and the functions that administer and report; what is called for each value is in the schema that CREATE EXTENSION named';
COMMENT ON TABLE pgenvelope.key IS
    'keys, by name; written by pgenvelope.create_key';
COMMENT ON COLUMN pgenvelope.key_proof.job_id IS
    'the job that took it';
COMMENT ON TABLE pgenvelope.key_grant IS
    'who may do what with a key; written by pgenvelope.grant_key and pgenvelope.revoke_key';
COMMENT ON TABLE pgenvelope.rewrap_table IS
    'how a table''s values are rewrapped; written by pgenvelope.set_rewrap_method and pgenvelope.set_rewrap_context';
COMMENT ON TABLE pgenvelope.audit_log IS
    'what was done to keys and rights, chained; pgenvelope.verify_audit checks it';
COMMENT ON TABLE pgenvelope.honey IS
    'honey values, that raise an alert when they are decrypted; written by pgenvelope.mark_honey';
COMMENT ON FUNCTION pgenvelope.lint_server() IS
    'part of pgenvelope.lint: files, memory and providers';
COMMENT ON FUNCTION pgenvelope.lint_log() IS
    'part of pgenvelope.lint: what is logged or shown of statements';
COMMENT ON FUNCTION pgenvelope.lint_settings() IS
    'part of pgenvelope.lint: other settings';
COMMENT ON FUNCTION pgenvelope.lint_triggers() IS
    'part of pgenvelope.lint: env_encrypt_column, and plaintext beside it';
COMMENT ON FUNCTION pgenvelope.lint_objects() IS
    'part of pgenvelope.lint: what else decrypts, or is taken for ours';
COMMENT ON FUNCTION pgenvelope.lint_rights() IS
    'part of pgenvelope.lint: roles and their rights';
COMMENT ON FUNCTION pgenvelope.lint_sharing() IS
    'part of pgenvelope.lint: what tenants who share connections leave for each other';
COMMENT ON FUNCTION pgenvelope.lint_approval() IS
    'part of pgenvelope.lint: keys that need a second person, and whether there is one';
COMMENT ON FUNCTION pgenvelope.lint_keys() IS
    'part of pgenvelope.lint: keys and their versions';
