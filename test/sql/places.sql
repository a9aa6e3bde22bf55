-- Where envelopes can be is found in the catalogs: every kind of table that a
-- job reaches, and, with the reason, everything that it does not.
\i test/sql/include/prepare.sql

SET search_path = places, public, envelope;
CREATE SCHEMA places;
SELECT pgenvelope.create_key('places', required_context => '{}') > 0 AS created;
SELECT env_encrypt('x', '{}', 'places') AS value \gset

-- What the job's first step finds.
CREATE VIEW found AS
SELECT t.name, t.columns, t.state, t.last_error AS reason
FROM pgenvelope.rewrap_target t
JOIN pgenvelope.rewrap_job j USING (job_id)
WHERE t.name ~ 'places\.' AND j.state = 'running'
ORDER BY t.name COLLATE "C";

-- Tables: of the type, of domains over it, partitions, heirs.
CREATE DOMAIN secret AS envelope;
CREATE DOMAIN deeper AS secret NOT NULL;
CREATE TABLE plain (id int PRIMARY KEY, a envelope, b text, "C d" envelope);
CREATE TABLE "Quoted" (a secret, b deeper);
CREATE TABLE parted (id int, a envelope) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2)
    PARTITION BY LIST (id);
CREATE TABLE parted_2_2 PARTITION OF parted_2 FOR VALUES IN (2);
CREATE TABLE heir (c int) INHERITS (plain);
CREATE UNLOGGED TABLE unlogged (a envelope);
CREATE TEMPORARY TABLE own_temp (a envelope);
CREATE TABLE generated (a envelope,
                        b envelope GENERATED ALWAYS AS (a) STORED);
CREATE TABLE fast_default (id int);
INSERT INTO fast_default VALUES (1);
ALTER TABLE fast_default ADD a envelope DEFAULT :'value';
ALTER TABLE fast_default ALTER a DROP DEFAULT;
CREATE TABLE none (a text, b bytea);
CREATE TABLE dropped (a envelope, b int);
ALTER TABLE dropped DROP a;
CREATE VIEW looks AS SELECT a FROM plain;

-- What no UPDATE of a value reaches.
CREATE MATERIALIZED VIEW copy AS SELECT a FROM plain;
CREATE TYPE pair AS (a envelope, b int);
CREATE DOMAIN list AS envelope[];
CREATE TABLE nested (a envelope[], b list, c pair, d pair[], e plain,
                     f envelope);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE away (a envelope) SERVER nowhere;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other_method (a envelope) USING heap_too;

-- Constants; a null is none.
CREATE TABLE constants (
    a envelope DEFAULT :'value',
    b envelope DEFAULT NULL::envelope,
    CONSTRAINT other CHECK (a <> :'value'::envelope));
CREATE DOMAIN born AS envelope DEFAULT :'value';
CREATE VIEW holds AS SELECT :'value'::envelope AS a;
CREATE INDEX part ON constants USING hash (a) WHERE a <> :'value'::envelope;
CREATE FUNCTION gives() RETURNS envelope LANGUAGE sql
RETURN :'value'::envelope;
CREATE FUNCTION takes(a envelope DEFAULT :'value') RETURNS int
LANGUAGE sql AS 'SELECT 1';
CREATE POLICY sees ON constants USING (a <> :'value'::envelope);

-- Tables whose UPDATEs are refused.
SET client_min_messages = error;
CREATE TABLE published (a envelope);
CREATE TABLE published_full (a envelope);
ALTER TABLE published_full REPLICA IDENTITY FULL;
CREATE TABLE published_key (id int PRIMARY KEY, a envelope);
CREATE TABLE published_inserts (a envelope);
CREATE PUBLICATION places_all FOR TABLE published, published_full,
    published_key;
CREATE PUBLICATION places_inserts FOR TABLE published_inserts
    WITH (publish = 'insert');
RESET client_min_messages;

SELECT pgenvelope.start_rewrap('places') AS job \gset
SELECT step, state FROM pgenvelope.step_rewrap(:job);
SELECT name, columns, state, reason FROM found;

SELECT pgenvelope.cancel_rewrap(:job);
SET client_min_messages = error;
DROP SCHEMA places CASCADE;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP ACCESS METHOD heap_too;
DROP PUBLICATION places_all, places_inserts;
