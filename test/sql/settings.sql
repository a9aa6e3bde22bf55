--
-- settings: the parameters pgenvelope.*, who sees and sets them, their units
-- and limits; and lists of providers that are refused as a whole.
--
\i test/sql/include/prepare.sql
SELECT name, vartype, unit, context, boot_val, min_val, max_val
FROM pg_settings WHERE name LIKE 'pgenvelope.%' ORDER BY name;
SELECT name, short_desc FROM pg_settings WHERE name LIKE 'pgenvelope.%'
ORDER BY name;

-- Names of providers' files are for superusers
CREATE ROLE settings_user;
SET ROLE settings_user;
SHOW pgenvelope.providers;
SELECT name FROM pg_settings WHERE name = 'pgenvelope.providers';
SHOW pgenvelope.key_provider;
SHOW pgenvelope.default_key;
RESET ROLE;
DROP ROLE settings_user;

-- Nobody sets these in a session
SET pgenvelope.providers = '';
SET pgenvelope.key_provider = 'spare';
SET pgenvelope.key_cache_size = 16;
SET pgenvelope.key_cache_ttl = 1;
SET pgenvelope.key_cache_grace = 0;
SET pgenvelope.provider_timeout = 100;
SET pgenvelope.misspelled = 1;
SET pgenvelope.key_timeout = 99;
SET pgenvelope.key_timeout = '11min';
SET pgenvelope.padding = '1kB';
SHOW pgenvelope.padding;
RESET pgenvelope.padding;

-- A role may have a key of its own
CREATE ROLE settings_role LOGIN;
ALTER ROLE settings_role SET pgenvelope.default_key = 'its own';
ALTER ROLE settings_role SET pgenvelope.padding = 16;
SELECT setconfig FROM pg_db_role_setting
WHERE setrole = 'settings_role'::regrole;
DROP ROLE settings_role;

-- Lists of providers: refused before they are written anywhere, in words that
-- name a provider and not what follows
\set VERBOSITY default
ALTER SYSTEM SET pgenvelope.providers = 'main';
ALTER SYSTEM SET pgenvelope.providers = 'main=file:///a, main=file:///b';
ALTER SYSTEM SET pgenvelope.providers = 'main@a=file:///a, main@b=file:///b';
ALTER SYSTEM SET pgenvelope.providers = 'main=file:///a,';
ALTER SYSTEM SET pgenvelope.providers = 'main=file:secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=file://host/secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=vaults://host/secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=vault://secret@host/secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=vault://host/a?secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=pkcs11:token=a?pin-value=secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=secret';
ALTER SYSTEM SET pgenvelope.providers = 'ma in=file:///secret';
ALTER SYSTEM SET pgenvelope.providers = '=file:///secret';
ALTER SYSTEM SET pgenvelope.providers = 'main@=file:///secret';
ALTER SYSTEM SET pgenvelope.providers = 'main=command:relative';
\set VERBOSITY sqlstate
ALTER SYSTEM RESET pgenvelope.providers;
