

-- ---------------------------------------------------------------------------
-- The guard of the tables.  guard refuses direct writes; guard_row refuses
-- those that fire no statement triggers, which logical replication applies.
-- keep_local has logical replication pass over rows that concern another
-- server: a publication of all tables sends jobs, too, and a subscriber has
-- its own.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pgenvelope.guard()
RETURNS trigger
AS 'MODULE_PATHNAME', 'pgenvelope_guard'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.keep_local()
RETURNS trigger
AS 'MODULE_PATHNAME', 'pgenvelope_keep_local'
LANGUAGE C VOLATILE;

REVOKE ALL ON FUNCTION pgenvelope.guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.keep_local() FROM PUBLIC;

COMMENT ON FUNCTION pgenvelope.guard() IS
    'refuses direct writes to the key tables, and tells every session of the others';
COMMENT ON FUNCTION pgenvelope.keep_local() IS
    'has logical replication pass over rows that concern another server';

-- Every table has the guard.  announced: sessions keep what they have read of
-- it, and are told of changes.  local: it concerns this server alone.
DO $$
DECLARE
    guarded record;
BEGIN
    FOR guarded IN
        SELECT *
        FROM (VALUES ('key', true, false),
                     ('key_version', true, false),
                     ('key_grant', true, false),
                     ('honey', true, false),
                     ('key_seal', false, false),
                     ('key_escrow', false, false),
                     ('key_proof', false, true),
                     ('request', false, true),
                     ('audit_log', false, true),
                     ('rewrap_job', false, true),
                     ('rewrap_target', false, true),
                     ('rewrap_failure', false, true),
                     ('census_count', false, true),
                     ('rewrap_table', false, false))
            AS t (name, is_announced, is_local)
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER guard '
            'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON pgenvelope.%1$I '
            'FOR EACH STATEMENT EXECUTE FUNCTION pgenvelope.guard(%2$s); '
            'CREATE TRIGGER guard_row '
            'AFTER INSERT OR UPDATE OR DELETE ON pgenvelope.%1$I '
            'FOR EACH ROW EXECUTE FUNCTION pgenvelope.guard(%2$s); '
            'ALTER TABLE pgenvelope.%1$I ENABLE ALWAYS TRIGGER guard, '
            'ENABLE ALWAYS TRIGGER guard_row; '
            'COMMENT ON TRIGGER guard ON pgenvelope.%1$I IS '
            '''refuses direct writes''; '
            'COMMENT ON TRIGGER guard_row ON pgenvelope.%1$I IS '
            '''refuses writes that fire no statement triggers''',
            guarded.name,
            CASE WHEN guarded.is_announced THEN '' ELSE '''unannounced''' END);
        IF guarded.is_local THEN
            EXECUTE pg_catalog.format(
                'CREATE TRIGGER keep_local '
                'BEFORE INSERT OR UPDATE OR DELETE ON pgenvelope.%1$I '
                'FOR EACH ROW EXECUTE FUNCTION pgenvelope.keep_local(); '
                'ALTER TABLE pgenvelope.%1$I '
                'ENABLE REPLICA TRIGGER keep_local; '
                'COMMENT ON TRIGGER keep_local ON pgenvelope.%1$I IS '
                '''passes over what another server has done''',
                guarded.name);
        END IF;
    END LOOP;
END
$$;
