# jobs.sh: rewrap jobs that follow one another without a pause.
# shellcheck shell=bash
#
#   source test/setup/cluster.sh; source test/bench/jobs.sh
#   jobs_begin      of the key "bench", from now on, in the background
#   jobs_end        none any more, also not the one that is running

# $cluster is set by cluster_up.
# shellcheck disable=SC2154

jobs_pid=

jobs_are_live() {
    [ "$(cluster_sql -At -c "SELECT count(*) FROM pgenvelope.rewrap_job
        WHERE state NOT IN ('complete', 'cancelled')")" != 0 ]
}

jobs_follow() {
    while [ -e "$cluster/rewrap" ]; do
        cluster_sql -c "SELECT env_rotate_key('bench')" >/dev/null
        while [ -e "$cluster/rewrap" ] && jobs_are_live; do
            sleep 0.2
        done
    done
}

jobs_begin() {
    touch "$cluster/rewrap"
    jobs_follow &
    jobs_pid=$!
}

jobs_end() {
    [ -n "$jobs_pid" ] || return 0
    rm -f "$cluster/rewrap"
    wait "$jobs_pid"
    jobs_pid=
    cluster_sql >/dev/null -c "SELECT env_rewrap_cancel(job_id)
        FROM pgenvelope.rewrap_job
        WHERE state NOT IN ('complete', 'cancelled')"
}
