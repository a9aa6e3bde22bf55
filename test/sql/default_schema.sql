--
-- default_schema: CREATE EXTENSION without a schema, and functions that are
-- called by their full name where no search_path has them.
--
SET client_min_messages = warning;
CREATE DATABASE default_schema;
\c default_schema
SET search_path = public;
CREATE EXTENSION pgenvelope;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pgenvelope';
SELECT pgenvelope.create_key('app', required_context => '{}') > 0 AS created;
SELECT env_decrypt(env_encrypt('plain', '{"id": 1}', 'app'), '{"id": 1}');
CREATE TABLE customer (id int PRIMARY KEY, email text, sealed envelope,
    note envelope DEFAULT env_encrypt('new', '{}', 'app'));
CREATE TRIGGER encrypt BEFORE INSERT OR UPDATE ON customer
FOR EACH ROW EXECUTE FUNCTION env_encrypt_column('email', 'sealed', '@key:app',
    'id=id');

-- Nothing of ours in the search_path
SET search_path = pg_catalog, pg_temp;
INSERT INTO public.customer (id, email) VALUES (1, 'jane@example.com');
SELECT email, public.env_decrypt(sealed, '{"id": 1}') AS sealed,
    public.env_decrypt(note, '{}') AS note
FROM public.customer;
CREATE FUNCTION public.email_of(wanted int) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN (SELECT public.env_decrypt(sealed, pg_catalog.jsonb_build_object('id', id))
        FROM public.customer WHERE id = wanted);
SELECT public.email_of(1);
SELECT component, status FROM pgenvelope.health() WHERE status <> 'ok';

-- Whoever owns the schema can put something beside the functions
SELECT "check", severity, object FROM pgenvelope.lint()
WHERE "check" = 'schema_owner';
CREATE ROLE schema_owner;
ALTER SCHEMA public OWNER TO schema_owner;
SELECT "check", severity, object FROM pgenvelope.lint()
WHERE "check" = 'schema_owner';
\c contrib_regression
DROP DATABASE default_schema;
DROP ROLE schema_owner;
