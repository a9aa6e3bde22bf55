--
-- sec_trigger: what env_encrypt_column puts into a domain satisfies it.
--
\i test/sql/include/prepare.sql
SELECT pgenvelope.create_key('sec_one', required_context => '{}') > 0 AS created,
    pgenvelope.create_key('sec_two', required_context => '{}') > 0 AS created;
CREATE DOMAIN sec_of_one AS envelope CHECK (env_key(VALUE) = 'sec_one');
CREATE TABLE sec_trigger (plain text, v sec_of_one);
CREATE TRIGGER encrypt BEFORE INSERT ON sec_trigger FOR EACH ROW
EXECUTE FUNCTION env_encrypt_column('plain', 'v');
SET pgenvelope.default_key = 'sec_one';
INSERT INTO sec_trigger (plain) VALUES ('a'), ('b');
SET pgenvelope.default_key = 'sec_two';
INSERT INTO sec_trigger (plain) VALUES ('c');
SELECT plain, env_decrypt(v, '{}') FROM sec_trigger ORDER BY 2;
DROP TABLE sec_trigger;
DROP DOMAIN sec_of_one;
