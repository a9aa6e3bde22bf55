\set ECHO none
-- Included by tests of rewrap jobs: does a job step by step, each in a
-- transaction of its own, until it is over or has to wait for long.
CREATE PROCEDURE pg_temp.finish(job bigint, INOUT outcome text DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    result record;
BEGIN
    FOR i IN 1..1000 LOOP
        SELECT * INTO result FROM pgenvelope.step_rewrap(job);
        COMMIT;
        EXIT WHEN result.step = 'over' OR result.wait_ms > 5000;
        PERFORM pg_sleep(result.wait_ms / 5000.0);
    END LOOP;
    outcome := result.step || ' ' || result.state;
END
$$;
\set ECHO all
