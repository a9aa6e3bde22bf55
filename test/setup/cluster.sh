# cluster.sh: a private server for a script, gone when the script ends.
# shellcheck shell=bash
#
#   source test/setup/cluster.sh
#   cluster_up              builds, installs, starts; sets $cluster, $bin
#   cluster_sql ARGS...     psql in it, database postgres, as its superuser
#   cluster_as ARGS...      runs a command as the server's user
#
# The server runs as postgres when the script is run as root, else as the
# caller.  It has the extension preloaded, a root key "main", and listens on a
# socket in $cluster.

cluster=
cluster_user=postgres
[ "$(id -u)" = 0 ] || cluster_user=$(id -un)

cluster_as() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        (cd / && "$@")
    fi
}

cluster_sql() {
    cluster_as "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$cluster" \
        -U "$cluster_user" -d postgres "$@"
}

cluster_quietly() {
    local output
    output=$("$@" 2>&1 </dev/null) || {
        printf '%s\n' "$output" | tail -n 40 >&2
        echo "This failed: $*" >&2
        return 1
    }
}

cluster_start() {
    cluster_quietly cluster_as timeout 90 "$bin/pg_ctl" -D "$cluster/data" \
        -l "$cluster/log" -w -t 60 start
}

cluster_stop() {
    cluster_quietly cluster_as timeout 90 "$bin/pg_ctl" -D "$cluster/data" \
        -m "${1:-fast}" -w -t 60 stop
}

# Also ends a server that is only just starting, and has no PID file yet.
cluster_down() {
    local pids tries
    [ -n "$cluster" ] || return 0
    for tries in 1 2 3 4 5 6 7 8 9 10; do
        pids=$(pgrep -f -- "-D $cluster/data" || true)
        [ -n "$pids" ] || break
        # shellcheck disable=SC2086
        kill -s "$([ "$tries" -lt 8 ] && echo QUIT || echo KILL)" $pids \
            2>/dev/null || true
        sleep 0.5
    done
    rm -rf -- "$cluster"
    cluster=
}

# Arguments are lines for postgresql.conf.
cluster_up() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    test/setup/packages.sh build server test
    cluster_quietly make -j2 all
    cluster_quietly "${as_root[@]}" make install
    bin=$("$(make -s --no-print-directory print-PG_CONFIG)" --bindir)
    cluster=$(mktemp -d /tmp/pge.XXXXXX)
    trap cluster_down EXIT
    trap 'exit 130' INT TERM
    [ "$(id -u)" != 0 ] || chown postgres "$cluster"
    cluster_quietly cluster_as "$bin/initdb" -D "$cluster/data" \
        -U "$cluster_user" -A trust --encoding=UTF8 --locale=C.UTF-8
    cluster_as sh -c "umask 077 && openssl rand -base64 32 >'$cluster/root.key'"
    {
        cat <<CONF
listen_addresses = ''
unix_socket_directories = '$cluster'
shared_preload_libraries = 'pgenvelope'
pgenvelope.providers = 'main=file://$cluster/root.key'
CONF
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } | cluster_as tee -a "$cluster/data/postgresql.conf" >/dev/null
    cluster_start
}
