# jobs.sh: rewrap jobs that follow one another without a pause.
# shellcheck shell=bash
#
#   source test/setup/cluster.sh; source test/bench/jobs.sh
#   jobs_begin      of the key "bench", from now on, in the background
#   jobs_end        none any more, also not the one that is running
#
# One session files them and waits for them: starting a psql for each look
# would take a good part of a core from what is measured.

jobs_pid=

jobs_begin() {
    cluster_sql >/dev/null 2>&1 <<'SQL' &
SET application_name = 'jobs';
DO $$
BEGIN
    LOOP
        PERFORM pgenvelope.rotate_key('bench');
        COMMIT;
        WHILE EXISTS (SELECT FROM pgenvelope.rewrap_job
            WHERE state NOT IN ('complete', 'cancelled')) LOOP
            COMMIT;
            PERFORM pg_sleep(0.1);
        END LOOP;
    END LOOP;
END $$;
SQL
    jobs_pid=$!
}

jobs_end() {
    [ -n "$jobs_pid" ] || return 0
    cluster_sql >/dev/null -c "SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity WHERE application_name = 'jobs'"
    wait "$jobs_pid" || :
    jobs_pid=
    cluster_sql >/dev/null -c "SELECT pgenvelope.cancel_rewrap(job_id)
        FROM pgenvelope.rewrap_job
        WHERE state NOT IN ('complete', 'cancelled')"
}
