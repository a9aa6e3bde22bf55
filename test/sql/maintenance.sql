--
-- maintenance: what decryption would leave on disk.  Inside a
-- security-restricted operation (ANALYZE of an expression, CREATE INDEX,
-- REFRESH MATERIALIZED VIEW and the like) it is refused, also to superusers
-- and by way of functions that are called IMMUTABLE, unless
-- pgenvelope.allow_maintenance_decrypt allows it.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'maintenance';
SELECT pgenvelope.create_key('maintenance', required_context => '{}') > 0 AS created;
CREATE TABLE maintenance (id integer, value envelope);
INSERT INTO maintenance SELECT i, env_encrypt('value ' || i % 3, '{}')
    FROM generate_series(1, 100) i;

-- As somebody would get around the volatility
CREATE FUNCTION plain_sql(envelope) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT envelope.env_decrypt($1, '{}') $$;
CREATE FUNCTION plain(envelope) RETURNS text LANGUAGE plpgsql IMMUTABLE
AS $$ BEGIN RETURN envelope.env_decrypt($1, '{}'); END $$;
CREATE FUNCTION plain_bytes(envelope) RETURNS bytea LANGUAGE plpgsql IMMUTABLE
AS $$ BEGIN RETURN envelope.env_decrypt_bytea($1, '{}'); END $$;
CREATE FUNCTION verdict(envelope) RETURNS text LANGUAGE plpgsql IMMUTABLE
AS $$ BEGIN RETURN envelope.env_verify($1, '{}'); END $$;

CREATE INDEX ON maintenance (plain(value));
CREATE INDEX ON maintenance (plain_sql(value));
CREATE INDEX ON maintenance (plain_bytes(value));
CREATE INDEX ON maintenance (verdict(value));
CREATE INDEX ON maintenance (id) WHERE plain(value) = 'value 1';
CREATE INDEX ON maintenance USING hash (plain(value));
CREATE INDEX ON maintenance (id) INCLUDE (value);    -- ciphertext
\set VERBOSITY default
CREATE INDEX ON maintenance (plain(value));
\set VERBOSITY sqlstate

CREATE STATISTICS maintenance_statistics ON (plain(value)) FROM maintenance;
ANALYZE maintenance;
DROP STATISTICS maintenance_statistics;
ANALYZE maintenance;

CREATE VIEW readable AS
    SELECT id, env_decrypt(value, '{}') AS plain FROM maintenance;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM readable;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM readable WITH NO DATA;
REFRESH MATERIALIZED VIEW stored;
SELECT * FROM stored;
CREATE MATERIALIZED VIEW sealed AS SELECT id, value,
    env_reencrypt(value, '{}') AS anew FROM maintenance WHERE id <= 3;
SELECT count(*) FROM sealed WHERE env_decrypt(anew, '{}') LIKE 'value%';

-- Allowed by a superuser, who then finds plaintext on disk
SET pgenvelope.allow_maintenance_decrypt = on;
REFRESH MATERIALIZED VIEW stored;
SELECT plain, count(*) FROM stored GROUP BY 1 ORDER BY 1;
CREATE INDEX maintenance_plain ON maintenance (plain(value));
CREATE STATISTICS maintenance_statistics ON (plain(value)) FROM maintenance;
ANALYZE maintenance;
SELECT most_common_vals FROM pg_stats_ext_exprs
WHERE statistics_name = 'maintenance_statistics';
RESET pgenvelope.allow_maintenance_decrypt;

-- What was made is not maintained any further
REINDEX INDEX maintenance_plain;
REFRESH MATERIALIZED VIEW stored;
ANALYZE maintenance;
DROP STATISTICS maintenance_statistics;
VACUUM (ANALYZE) maintenance;
CLUSTER maintenance USING maintenance_plain;
VACUUM FULL maintenance;
DROP INDEX maintenance_plain;
VACUUM FULL maintenance;
REINDEX TABLE maintenance;

-- Everything else decrypts: queries, table rewrites, constraints, and
-- functions of others
ALTER TABLE maintenance ADD CHECK (plain(value) LIKE 'value%');
ALTER TABLE maintenance ADD COLUMN length integer;
UPDATE maintenance SET length = length(plain(value));
SELECT length, count(*) FROM maintenance GROUP BY 1;
CREATE FUNCTION definer(envelope) RETURNS text LANGUAGE sql SECURITY DEFINER
AS $$ SELECT envelope.env_decrypt($1, '{}') $$;
SELECT definer(value) FROM maintenance WHERE id = 1;

-- The owner of an index is who its function runs as: a superuser's CREATE
-- INDEX on another's table lends nothing
CREATE ROLE maintenance_owner;
ALTER TABLE maintenance OWNER TO maintenance_owner;
SET pgenvelope.allow_maintenance_decrypt = on;
CREATE INDEX ON maintenance (plain(value));
RESET pgenvelope.allow_maintenance_decrypt;
ALTER TABLE maintenance OWNER TO CURRENT_USER;
SET ROLE maintenance_owner;
SET pgenvelope.allow_maintenance_decrypt = on;
RESET ROLE;

DROP MATERIALIZED VIEW stored, sealed;
DROP VIEW readable;
DROP TABLE maintenance;
DROP FUNCTION plain, plain_sql, plain_bytes, verdict, definer;
DROP ROLE maintenance_owner;
