--
-- planted: CREATE EXTENSION into a schema where somebody has planted operators,
-- functions and types that would fit better than PostgreSQL's own: the views,
-- defaults and constraints bind none of them.  Nor do they after an update.
--
SET client_min_messages = warning;
CREATE ROLE planter;
CREATE DATABASE planted;
\c planted
\i test/sql/include/plant.sql

SELECT (SELECT count(*) > 1000 FROM pg_operator
        WHERE oprowner = to_regrole('planter')) AS operators,
    (SELECT count(*) > 1000 FROM pg_proc
     WHERE proowner = to_regrole('planter')) AS functions,
    (SELECT count(*) > 10 FROM pg_type
     WHERE typowner = to_regrole('planter')) AS types;
CREATE EXTENSION pgenvelope SCHEMA planted;

SELECT * FROM mistaken ORDER BY 1, 2;

-- The check can fail
CREATE VIEW planted.mistake AS SELECT 1::numeric OPERATOR(planted.*) 1::bigint;
SELECT count(*) > 0 AS found FROM mistaken;
\c contrib_regression
DROP DATABASE planted;

-- What 0.1.0 bound is replaced by the update.  With this operator it could not
-- be installed.
CREATE DATABASE planted;
\c planted
\i test/sql/include/plant.sql
DROP OPERATOR planted.- (jsonb, jsonb);
CREATE EXTENSION pgenvelope SCHEMA planted VERSION '0.1.0';
SELECT * FROM mistaken ORDER BY 1, 2;
ALTER EXTENSION pgenvelope UPDATE;
SELECT * FROM mistaken ORDER BY 1, 2;
\c contrib_regression
DROP DATABASE planted;
DROP ROLE planter;
