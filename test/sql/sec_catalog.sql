--
-- sec_catalog: the key tables as a session reads them, in odd circumstances.
--
\i test/sql/include/prepare.sql
SELECT pgenvelope.create_key('sec_catalog', required_context => '{}') > 0 AS created;
SELECT pgenvelope.rotate_key('sec_catalog');

-- A grant to pg_database_owner follows the database's owner
CREATE ROLE sec_owner;
SELECT pgenvelope.grant_key('sec_catalog', 'encrypt', 'pg_database_owner');
SET ROLE sec_owner;
SELECT env_encrypt('x', '{}', 'sec_catalog') IS NOT NULL AS sealed;
RESET ROLE;
DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO sec_owner', current_database()); END$$;
SET ROLE sec_owner;
SELECT env_encrypt('x', '{}', 'sec_catalog') IS NOT NULL AS sealed;
RESET ROLE;
DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END$$;
SET ROLE sec_owner;
SELECT env_encrypt('x', '{}', 'sec_catalog') IS NOT NULL AS sealed;
RESET ROLE;
DROP ROLE sec_owner;

-- Anybody may connect with ignore_system_indexes
\connect -reuse-previous=on options=-P
SHOW ignore_system_indexes;
SELECT env_key_version(v), env_decrypt(v, '{}')
FROM env_encrypt('x', '{}', 'sec_catalog') v;
