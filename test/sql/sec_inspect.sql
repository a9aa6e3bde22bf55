--
-- sec_inspect: a row that somebody planted makes no look at its table fail.
--
\i test/sql/include/prepare.sql

-- Structure is all that the input checks.  The stored contexts hold U+0000,
-- which no jsonb can, or what only looks like it.
CREATE TEMP TABLE planted (id int, v envelope);
INSERT INTO planted
SELECT id, pg_temp.envelope(
    '\xe1110001000000000001' || decode(repeat('00', 52), 'hex')
    || decode(lpad(to_hex(length(context)), 4, '0'), 'hex')
    || convert_to(context, 'UTF8')
    || decode(repeat('00', 16), 'hex'))
FROM (VALUES
    (1, '{"a":"\u0000"}'), (2, '{"\u0000":1}'), (3, '{"a":"\\u0000"}'),
    (4, '{"a":"\\\u0000"}'), (5, '{"a":"\u0001"}'), (6, '{"a":1}'))
    AS plant (id, context);
SELECT id, env_inspect(v)->'stored_context' AS stored_context,
    env_inspect(v)->'stored_context_verified' AS verified
FROM planted ORDER BY id;
