

-- ---------------------------------------------------------------------------
-- Lint: what would leak or break.  docs/lint.md has every check under its
-- name.  One function for each subject; pgenvelope.lint, as the owner, calls
-- them.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pgenvelope.own_functions(
    OUT oid oid,
    OUT name name)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid, p.proname
    FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass
        AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid
    WHERE e.extname = 'pgenvelope'
$$;

CREATE FUNCTION pgenvelope.lint_server(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgenvelope_lint_server'
LANGUAGE C VOLATILE;

CREATE FUNCTION pgenvelope.lint_log(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH redact (is_off) AS (
        SELECT current_setting('pgenvelope.redact_statements') = 'off'
    )
    SELECT 'error', 'redact_off', 'pgenvelope.redact_statements',
        'The server''s log shows statements with their plaintexts.',
        'Set it to calls.'
    FROM redact WHERE is_off
    UNION ALL
    SELECT 'warning', 'log_setting', s.name,
        format('Statements are logged (%s = %s), and not redacted.', s.name,
               s.setting),
        'Set pgenvelope.redact_statements to calls, or turn this off.'
    FROM pg_settings s, redact
    WHERE is_off
      AND (s.name, s.setting) IN
          (SELECT n.name, s.setting FROM (VALUES
              ('log_statement', 'none'),
              ('log_min_duration_statement', '-1'),
              ('log_min_duration_sample', '-1'),
              ('log_parameter_max_length_on_error', '0'),
              ('auto_explain.log_min_duration', '-1'),
              ('pgaudit.log', 'none')) AS n (name, quiet)
           WHERE s.setting <> n.quiet)
    UNION ALL
    SELECT 'info', 'log_first_statement', 'log_statement',
        'Statements are logged before they run: one that leads to pgenvelope '
        'in a way that the server does not know yet is logged whole.',
        'Set log_statement to none or ddl, or '
        'pgenvelope.redact_statements to all.'
    FROM redact
    WHERE NOT is_off
      AND current_setting('pgenvelope.redact_statements') <> 'all'
      AND current_setting('log_statement') IN ('mod', 'all')
    UNION ALL
    SELECT 'info', 'names_not_learned', 'pgenvelope.rewrap_workers',
        'There are no workers here, so after a start the log does not know '
        'which functions, views and tables lead to pgenvelope until they are '
        'used.',
        'Set it to 1 or more; on a standby, have no statements logged.'
    WHERE current_setting('pgenvelope.rewrap_workers') = '0'
       OR pg_is_in_recovery()
    UNION ALL
    SELECT 'info', 'hook_after_ours', 'shared_preload_libraries',
        'Modules are loaded after pgenvelope: if one has a log hook, that '
        'sees messages before they are redacted.',
        'Put pgenvelope last.'
    FROM regexp_split_to_array(
            current_setting('shared_preload_libraries'), '\s*,\s*') AS l (names)
    WHERE 'pgenvelope' = ANY (l.names)
      AND l.names[array_upper(l.names, 1)] <> 'pgenvelope'
    UNION ALL
    SELECT 'warning', 'statements_kept', 'pg_stat_statements.track_utility',
        'pg_stat_statements keeps DO, COPY (query) and other utility '
        'statements with their literals.',
        'Turn it off.'
    WHERE current_setting('pg_stat_statements.track_utility', true) = 'on'
    UNION ALL
    SELECT 'info', 'activity_shown', 'track_activities',
        'pg_stat_activity shows running statements to their role, to '
        'pg_read_all_stats and to superusers.',
        'Send plaintexts as parameters, or turn this off.'
    WHERE current_setting('track_activities') = 'on'
$$;

CREATE FUNCTION pgenvelope.lint_settings(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'maintenance_decrypt',
        'pgenvelope.allow_maintenance_decrypt',
        'Plaintext is stored by ANALYZE, REFRESH MATERIALIZED VIEW and '
        'CREATE INDEX.',
        'Turn it off; set it in the session that needs it.'
    WHERE current_setting('pgenvelope.allow_maintenance_decrypt') = 'on'
    UNION ALL
    SELECT 'warning', 'stored_context', 'pgenvelope.store_context',
        'New values hold their encryption context, readable.',
        'Turn it off, unless contexts may be read by whoever reads the rows.'
    WHERE current_setting('pgenvelope.store_context') = 'on'
    UNION ALL
    SELECT 'warning', 'audit_off', 'pgenvelope.audit',
        'Nothing of what is done with keys is told.',
        'Set it to admin, failures, decrypts or all.'
    WHERE current_setting('pgenvelope.audit') = 'off'
    UNION ALL
    SELECT o.severity, o."check",
        concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname),
        format('%s is off here.', o.name),
        'Reset it with ALTER ROLE or ALTER DATABASE ... RESET.'
    FROM (VALUES ('error', 'redact_off', 'pgenvelope.redact_statements'),
                 ('warning', 'audit_off', 'pgenvelope.audit'))
        AS o (severity, "check", name)
    JOIN pg_db_role_setting s
        ON o.name || '=off' = ANY (lower(s.setconfig::text)::text[])
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
    UNION ALL
    SELECT 'warning', 'not_encrypted', 'ssl',
        'The server listens for remote clients without TLS: plaintexts, '
        'parameters and tokens cross the network readable.',
        'Turn ssl on, and use hostssl in pg_hba.conf.'
    WHERE current_setting('ssl') = 'off'
      AND EXISTS (
        SELECT FROM regexp_split_to_table(
            current_setting('listen_addresses'), '\s*,\s*') AS a (address)
        WHERE a.address NOT IN ('', 'localhost', '::1')
          AND a.address !~ '^127[.]')
$$;

CREATE FUNCTION pgenvelope.lint_triggers(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH ours AS (
        SELECT t.tgrelid, t.tgname, t.tgenabled, n.nspname, c.relname,
            format('%I.%I', n.nspname, c.relname) AS relation,
            CASE WHEN position('\x00'::bytea IN t.tgargs) > 1
                 THEN convert_from(substring(t.tgargs FOR
                          position('\x00'::bytea IN t.tgargs) - 1),
                      getdatabaseencoding())
            END AS source
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pgenvelope.own_functions() f ON f.oid = t.tgfoid
        WHERE f.name = 'env_encrypt_column'
    )
    SELECT 'error', 'trigger_disabled', format('%s.%I', relation, tgname),
        'The trigger is disabled: plaintexts are stored as they are.',
        format('ALTER TABLE %s ENABLE TRIGGER %I;', relation, tgname)
    FROM ours WHERE tgenabled = 'D'
    UNION ALL
    SELECT 'error', 'plaintext_left', format('%s.%I', relation, source),
        'Rows hold plaintext in the source column of env_encrypt_column, '
        'and so do its statistics.',
        format('UPDATE %s SET %2$I = %2$I WHERE %2$I IS NOT NULL; then '
               'VACUUM FULL and ANALYZE it.', relation, source)
    FROM ours
    JOIN pg_stats s ON s.schemaname = nspname AND s.tablename = relname
        AND s.attname = source
    WHERE s.null_frac < 1
    UNION ALL
    SELECT 'info', 'trigger_before_ours', format('%s.%I', relation, t.tgname),
        format('This trigger fires before %I and is given the plaintext.',
               ours.tgname),
        'Have it not quote the row in errors; or rename it to sort later.'
    FROM ours
    JOIN pg_trigger t ON t.tgrelid = ours.tgrelid AND NOT t.tgisinternal
        AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0
        AND t.tgname < ours.tgname
    WHERE t.tgfoid NOT IN (SELECT f.oid FROM pgenvelope.own_functions() f)
    UNION ALL
    SELECT 'warning', 'twin_column',
        format('%I.%I.%I', n.nspname, c.relname, b.attname),
        format('Column %I holds values beside the encrypted column %I: it '
               'may be its plaintext.', b.attname, a.attname),
        'Drop it once the values have been encrypted, and VACUUM FULL.'
    FROM pg_attribute a
    JOIN pg_type y ON y.oid = a.atttypid
    JOIN pg_proc i ON i.oid = y.typinput
    JOIN pgenvelope.own_functions() f ON f.oid = i.oid
        AND f.name = 'envelope_in'
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute b ON b.attrelid = a.attrelid AND b.attnum > 0
        AND NOT b.attisdropped AND b.attnum <> a.attnum
    JOIN pg_type z ON z.oid = b.atttypid AND z.typcategory IN ('S', 'U')
        AND z.oid <> y.oid
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
        AND s.attname = b.attname
    WHERE a.attnum > 0 AND NOT a.attisdropped
      AND s.null_frac < 1
      AND (b.attname IN (a.attname || '_plain', a.attname || '_plaintext',
                         a.attname || '_clear')
           OR a.attname IN (b.attname || '_enc', b.attname || '_encrypted',
                            b.attname || '_envelope', b.attname || '_sealed'))
      AND NOT EXISTS (SELECT FROM ours o WHERE o.tgrelid = a.attrelid
                      AND o.source = b.attname)
$$;

CREATE FUNCTION pgenvelope.lint_objects(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH ours AS (SELECT oid, name FROM pgenvelope.own_functions()),
    decrypting AS (
        SELECT oid FROM ours WHERE name IN ('env_decrypt', 'env_decrypt_bytea')
    ),
    used AS (
        SELECT DISTINCT d.classid, d.objid
        FROM pg_depend d
        WHERE d.refclassid = 'pg_proc'::regclass
          AND d.refobjid IN (SELECT oid FROM decrypting)
    )
    SELECT 'error', 'plaintext_stored', c.oid::regclass::text,
        'This materialized view stores what env_decrypt returns.',
        'Make it a view, or drop it.'
    FROM used u
    JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
    JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'm'
    UNION ALL
    SELECT 'warning', 'decrypt_in_rule', format('%s.%I', c.oid::regclass,
                                                r.rulename),
        'This rule decrypts: what it writes may be plaintext.',
        'Drop it, or see to what it stores.'
    FROM used u
    JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
        AND r.ev_type <> '1'
    JOIN pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT 'warning', 'decrypt_in_constraint',
        format('%s.%I', k.conrelid::regclass, k.conname),
        'This constraint decrypts: whoever writes rows needs the right to '
        'decrypt, and a dump cannot be restored without the key.',
        'Check the plaintext before it is encrypted.'
    FROM used u
    JOIN pg_constraint k ON u.classid = 'pg_constraint'::regclass
        AND k.oid = u.objid
    UNION ALL
    SELECT 'error', 'decrypt_in_statistics', s.stxname::text,
        'ANALYZE would store plaintexts in pg_statistic_ext_data.',
        format('DROP STATISTICS %I.%I;', n.nspname, s.stxname)
    FROM used u
    JOIN pg_statistic_ext s ON u.classid = 'pg_statistic_ext'::regclass
        AND s.oid = u.objid
    JOIN pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 'warning', 'literal_in_default',
        format('%s.%I', a.attrelid::regclass, a.attname),
        'The default of this column calls env_encrypt: a literal in it is '
        'in the catalog and in every dump.',
        'Encrypt in the application or in a trigger.'
    FROM pg_depend d
    JOIN ours o ON d.refclassid = 'pg_proc'::regclass AND o.oid = d.refobjid
        AND o.name = 'env_encrypt'
    JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
    JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    UNION ALL
    SELECT 'error', 'immutable_wrapper', p.oid::regprocedure::text,
        'This function decrypts and claims to be immutable: an index, a '
        'generated column or statistics over it store plaintext.',
        format('ALTER FUNCTION %s STABLE;', p.oid::regprocedure)
    FROM pg_proc p
    WHERE p.provolatile = 'i'
      AND p.oid NOT IN (SELECT oid FROM ours)
      AND (p.prosrc ~* '\menv_decrypt(_bytea)?\M'
           OR EXISTS (SELECT FROM used u
                      WHERE u.classid = 'pg_proc'::regclass
                        AND u.objid = p.oid))
    UNION ALL
    SELECT CASE WHEN p.pronamespace = e.extnamespace THEN 'error'
                ELSE 'warning' END,
        'overload', p.oid::regprocedure::text,
        'This function has the name of one of pgenvelope''s: calls may reach '
        'it, with plaintexts.',
        format('DROP FUNCTION %s; or call functions by their schema.',
               p.oid::regprocedure)
    FROM pg_proc p, pg_extension e
    WHERE e.extname = 'pgenvelope'
      AND p.proname IN (SELECT name FROM ours WHERE name ~ '^env_')
      AND p.oid NOT IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'warning', 'schema_writable', n.nspname::text,
        format('%s may create functions in the schema of pgenvelope''s: an '
               'overload that fits a call better would be given plaintexts.',
               CASE WHEN a.grantee = 0 THEN 'Everybody'
                    ELSE 'Role ' || a.grantee::regrole END),
        format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname,
               CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                    ELSE a.grantee::regrole::text END)
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace,
        aclexplode(n.nspacl) a
    WHERE e.extname = 'pgenvelope'
      AND a.privilege_type = 'CREATE'
      AND a.grantee <> n.nspowner
      AND a.grantee <> e.extowner
$$;

CREATE FUNCTION pgenvelope.lint_rights(
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

CREATE FUNCTION pgenvelope.lint_keys(
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

-- What tenants who share a role and its connections can leave for one another.
CREATE FUNCTION pgenvelope.lint_sharing(
    OUT severity text,
    OUT "check" text,
    OUT object text,
    OUT message text,
    OUT remedy text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH bound AS (
        SELECT DISTINCT r.oid, r.rolname
        FROM pgenvelope.key_grant g
        JOIN pg_roles e ON e.oid = g.grantee::oid
        JOIN pg_roles r ON pg_has_role(r.oid, e.oid, 'USAGE')
        WHERE g.privilege IN ('encrypt', 'decrypt')
          AND g.context @? '$.*.session'
          AND NOT r.rolsuper
    )
    SELECT 'warning', 'shared_temporary', format('role %s', b.rolname),
        'Its grants are bound to the session, and it may make temporary '
        'objects: they stay on the connection, and are found before all '
        'others in the next tenant''s transaction.',
        format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, %I;', d.datname,
               b.rolname)
    FROM bound b
    JOIN pg_database d ON d.datname = current_database()
    WHERE has_database_privilege(b.oid, d.oid, 'TEMPORARY')
    UNION ALL
    SELECT 'warning', 'shared_schema',
        format('role %s, schema %s', b.rolname, n.nspname),
        'Its grants are bound to the session, and it may create functions, '
        'operators and tables there, for the next tenant to step into.',
        format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I;', n.nspname,
               b.rolname)
    FROM bound b
    JOIN pg_namespace n ON n.nspname !~ '^pg_'
    WHERE has_schema_privilege(b.oid, n.oid, 'CREATE')
    UNION ALL
    SELECT 'warning', 'shared_schema',
        format('role %s, database %s', b.rolname, d.datname),
        'Its grants are bound to the session, and it may create schemas.',
        format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I;', d.datname,
               b.rolname)
    FROM bound b
    JOIN pg_database d ON d.datname = current_database()
    WHERE has_database_privilege(b.oid, d.oid, 'CREATE')
    UNION ALL
    SELECT 'warning', 'shared_ownership', format('role %s', b.rolname),
        format('Its grants are bound to the session, and it owns %s objects '
               'of this database: one tenant can alter them under another.',
               count(*)),
        'Have another role own them: REASSIGN OWNED BY.'
    FROM bound b
    JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass
        AND s.refobjid = b.oid AND s.deptype = 'o'
        AND s.dbid = (SELECT d.oid FROM pg_database d
                      WHERE d.datname = current_database())
    GROUP BY b.rolname
$$;

-- Keys that need a second person, and whether there is one.
CREATE FUNCTION pgenvelope.lint_approval(
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

-- The catalogs and the key tables, whole: it runs as its owner.
CREATE FUNCTION pgenvelope.lint(
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

REVOKE ALL ON FUNCTION pgenvelope.own_functions() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_server() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_log() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_settings() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_triggers() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_objects() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_rights() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_sharing() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_approval() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint_keys() FROM PUBLIC;
REVOKE ALL ON FUNCTION pgenvelope.lint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgenvelope.lint() TO pg_monitor;

COMMENT ON FUNCTION pgenvelope.own_functions() IS 'the extension''s functions';
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
COMMENT ON FUNCTION pgenvelope.lint() IS
    'what would leak or break, how badly, why, and what to do';
