--
-- trigger_arguments: what env_encrypt_column refuses: arguments that it does
-- not understand, columns that are not there or of another type, and being
-- anything but a BEFORE ROW trigger.
--
\i test/sql/include/prepare.sql
SET pgenvelope.default_key = 'arguments';
SELECT pgenvelope.create_key('arguments', required_context => '{}') > 0 AS created;
CREATE TABLE arguments (id integer, plain text, secret envelope, other text);

-- An INSERT with a trigger of these arguments: SQLSTATE, or the plaintext
CREATE FUNCTION pg_temp.try(VARIADIC arguments text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER t BEFORE INSERT ON arguments '
        'FOR EACH ROW EXECUTE FUNCTION env_encrypt_column(%s)',
        (SELECT string_agg(quote_literal(a), ', ') FROM unnest(arguments) a));
    INSERT INTO arguments (id, plain) VALUES (1, 'x')
    RETURNING env_inspect(secret)->>'key' INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT pg_temp.try('plain', 'secret', 'id=id');
SELECT pg_temp.try('plain', 'secret', 'id=id', '@key:arguments', 'type:t');
SELECT pg_temp.try('plain', 'secret', '@key:arguments', 'id=id');
SELECT pg_temp.try('plain', 'secret');
SELECT pg_temp.try('plain', 'secret', 'type:');
SELECT pg_temp.try('plain', 'secret', 'a:=b', 'b:c:d');
SELECT pg_temp.try('plain');
SELECT pg_temp.try('plain', 'secret', '');
SELECT pg_temp.try('plain', 'secret', 'id');
SELECT pg_temp.try('plain', 'secret', '=id');
SELECT pg_temp.try('plain', 'secret', ':literal');
SELECT pg_temp.try('plain', 'secret', 'id=');
SELECT pg_temp.try('plain', 'secret', 'id=missing');
SELECT pg_temp.try('plain', 'secret', 'id=ID');
SELECT pg_temp.try('plain', 'secret', 'id=id + 1');
SELECT pg_temp.try('plain', 'secret', 'id=ctid');
SELECT pg_temp.try('plain', 'secret', 'id=tableoid');
SELECT pg_temp.try('missing', 'secret', 'id=id');
SELECT pg_temp.try('plain', 'missing', 'id=id');
SELECT pg_temp.try('plain', 'other', 'id=id');
SELECT pg_temp.try('plain', 'plain', 'id=id');
SELECT pg_temp.try('plain', 'secret', 'id=id', 'id=id');
SELECT pg_temp.try('plain', 'secret', 'id=id', 'id:1');
SELECT pg_temp.try('plain', 'secret', 'id=id', '@key:nothing');
SELECT pg_temp.try('plain', 'secret', 'id=id', '@key:');
SELECT pg_temp.try('plain', 'secret', 'id=id', '@key=arguments');
SELECT pg_temp.try('plain', 'secret', '@other:arguments');
SELECT pg_temp.try('secret', 'secret', 'id=id');
SELECT pg_temp.try('plain', 'secret', 'id=plain');
SELECT pg_temp.try('plain', 'secret', 'id=secret');
SELECT pg_temp.try(VARIADIC ARRAY['plain', 'secret'] ||
    ARRAY(SELECT 'm' || i || '=id' FROM generate_series(1, 32) i));
SELECT pg_temp.try(VARIADIC ARRAY['plain', 'secret'] ||
    ARRAY(SELECT 'm' || i || '=id' FROM generate_series(1, 33) i));
SELECT pg_temp.try();
DROP TRIGGER t ON arguments;

-- Only BEFORE, for each row, of INSERT or UPDATE
CREATE TRIGGER t AFTER INSERT ON arguments FOR EACH ROW
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
INSERT INTO arguments (id, plain) VALUES (1, 'x');
DROP TRIGGER t ON arguments;
CREATE TRIGGER t BEFORE INSERT ON arguments FOR EACH STATEMENT
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
INSERT INTO arguments (id, plain) VALUES (1, 'x');
DROP TRIGGER t ON arguments;
CREATE TRIGGER t BEFORE INSERT OR DELETE ON arguments FOR EACH ROW
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
INSERT INTO arguments (id, plain) VALUES (1, 'x');
DELETE FROM arguments;
DROP TRIGGER t ON arguments;
CREATE TRIGGER t BEFORE TRUNCATE ON arguments FOR EACH STATEMENT
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
TRUNCATE arguments;
DROP TRIGGER t ON arguments;
CREATE VIEW arguments_view AS SELECT * FROM arguments;
CREATE TRIGGER t INSTEAD OF INSERT ON arguments_view FOR EACH ROW
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
INSERT INTO arguments_view (id, plain) VALUES (1, 'x');
DROP VIEW arguments_view;
SELECT env_encrypt_column();
SELECT count(plain) FROM arguments;

-- UPDATE OF, WHEN and a plaintext column that is another's column default
CREATE TRIGGER t BEFORE INSERT OR UPDATE OF plain ON arguments FOR EACH ROW
    WHEN (NEW.plain IS NOT NULL)
    EXECUTE FUNCTION env_encrypt_column('plain', 'secret', 'id=id');
TRUNCATE arguments;
INSERT INTO arguments (id, plain) VALUES (1, 'x'), (2, NULL);
UPDATE arguments SET plain = 'y' WHERE id = 1;
UPDATE arguments SET other = 'z';
SELECT id, plain, env_decrypt(secret, jsonb_build_object('id', id)), other
FROM arguments ORDER BY id;

-- A type of the same name elsewhere is not ours
CREATE SCHEMA arguments_trap;
CREATE DOMAIN arguments_trap.envelope AS text;
ALTER TABLE arguments ADD COLUMN trap arguments_trap.envelope;
DROP TRIGGER t ON arguments;
SELECT pg_temp.try('plain', 'trap', 'id=id');
DROP TABLE arguments;
DROP DOMAIN arguments_trap.envelope;
DROP SCHEMA arguments_trap;
