#!/usr/bin/env bash
# A private PostgreSQL with encrypted customers, and a tour of them.
#
#   quickstart.sh start     packages, build, install, server, data, tour
#   quickstart.sh stop      stops the server; start brings it back
#   quickstart.sh remove    stops it and removes it with its root key
#
# DATA=file.csv loads your own rows (a header line; columns tenant and id if
# it has them; every other column is encrypted).  The server runs as postgres
# when this is run as root, else as you; it listens on a socket only.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
data_file=${DATA:-}
[ -z "$data_file" ] || data_file=$(realpath -e -- "$data_file")
cd "$top"
# DATA means something else to PostgreSQL's makefiles, which would see it.
unset DATA MAKEFLAGS MFLAGS MAKEOVERRIDES

# Debian's own Python, which has Debian's packages.
python=/usr/bin/python3

unset PGSERVICE PGHOSTADDR PGPASSFILE PGSSLMODE
export PGOPTIONS='-c client_min_messages=warning'
database=quickstart
port=5439
if [ "$(id -u)" = 0 ]; then
    user=postgres
    dir=${QUICKSTART_DIR:-/var/lib/postgresql/pgenvelope-quickstart}
    as_server() { (cd / && runuser -u postgres -- "$@"); }
    as_root() { "$@"; }
    person="runuser -u postgres -- "
else
    user=$(id -un)
    dir=${QUICKSTART_DIR:-$HOME/.pgenvelope-quickstart}
    as_server() { (cd / && "$@"); }
    as_root() { sudo "$@"; }
    person=""
fi
data=$dir/data
log=$dir/log
root_key=$dir/root.key

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
remark() { printf '  %s%s%s\n' "$dim" "$*" "$plain"; }
good() { printf '  %s%s%s\n' "$green" "$*" "$plain"; }
fail() {
    printf '%s%s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}

# Shortens what is too long for a line.
cut_to() {
    local text=$2
    [ "${#text}" -le "$1" ] || text="${text:0:$(($1 - 1))}…"
    printf '%s' "$text"
}

# SQL comes on standard input, so that :'name' is replaced by -v name=value.
sql() {
    as_server "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 -h "$dir" -p "$port" \
        -U "$user" -d "$database" "$@"
}

running() {
    [ -e "$data/postmaster.pid" ] &&
        as_server "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1
}

stop_server() {
    ! running || as_server "$bin/pg_ctl" -D "$data" -m fast -w -t 60 stop \
        >/dev/null
}

start_server() {
    as_server "$bin/pg_ctl" -D "$data" -l "$log" -w -t 60 start >/dev/null || {
        tail -n 20 "$log" >&2
        fail "The server did not start; its log is $log."
    }
}

find_server() {
    bin=$("$(make -s --no-print-directory print-PG_CONFIG)" --bindir 2>/dev/null) || return 1
    [ -x "$bin/initdb" ]
}

# Runs a step that prints only when it fails.
quietly() {
    local output
    output=$("$@" 2>&1 </dev/null) || {
        printf '%s\n' "$output" | tail -n 40 >&2
        fail "This failed: $*"
    }
}

set_up() {
    test/setup/packages.sh build server quickstart
    quietly make -j2 all
    quietly as_root make install
    find_server || fail "PostgreSQL's server programs were not found."
}

# The root key is made together with the cluster, never again: it opens what
# is stored there.
make_cluster() {
    if [ -e "$data/PG_VERSION" ]; then
        [ -e "$root_key" ] || fail "$root_key is gone, and with it what was" \
            "stored in $data.  Put it back, or: make quickstart-remove"
        return
    fi
    [ ! -e "$dir" ] || [ -z "$(ls -A "$dir")" ] ||
        fail "$dir has other files in it."
    if [ "$user" = postgres ]; then
        install -d -o postgres -g postgres -m 700 "$dir"
    else
        mkdir -p "$dir"
        chmod 700 "$dir"
    fi
    quietly as_server "$bin/initdb" -D "$data" -U "$user" -A peer \
        --encoding=UTF8 --locale=C.UTF-8
    as_server sh -c "umask 077 && openssl rand -base64 32 >'$root_key'"
    as_server tee -a "$data/postgresql.conf" >/dev/null <<CONF
# make quickstart
listen_addresses = ''
port = $port
unix_socket_directories = '$dir'
shared_preload_libraries = 'pgenvelope'
pgenvelope.providers = 'main=file://$root_key'
CONF
}

# What the loaded data depend on, to know whether to load again.
fingerprint() {
    {
        cat sql/pgenvelope--*.sql test/quickstart/load.py
        if [ -n "$data_file" ]; then cat -- "$data_file"; else
            cat test/quickstart/customers.py
        fi
    } | sha256sum | cut -d' ' -f1
}

customers() {
    if [ -n "$data_file" ]; then cat -- "$data_file"; else
        "$python" test/quickstart/customers.py
    fi
}

load() {
    local wanted loaded
    wanted=$(fingerprint)
    loaded=$(database=postgres sql <<<"SELECT description
        FROM pg_shdescription JOIN pg_database ON oid = objoid
        WHERE datname = 'quickstart'")
    if [ "$loaded" = "pgenvelope quickstart $wanted" ]; then
        remark "The customers are there from the last time."
        return
    fi
    database=postgres sql <<<"DROP DATABASE IF EXISTS quickstart;
        CREATE DATABASE quickstart;"
    sql >/dev/null <<'SQL'
CREATE SCHEMA envelope;
GRANT USAGE ON SCHEMA envelope TO PUBLIC;
CREATE EXTENSION pgenvelope SCHEMA envelope;
ALTER DATABASE quickstart SET search_path = "$user", public, envelope;
SET search_path = "$user", public, envelope;
SELECT pgenvelope.create_key('customers',
    required_context => '{"tenant": null, "type": null, "id": null}');
ALTER DATABASE quickstart SET pgenvelope.default_key = 'customers';
SQL
    customers | "$python" test/quickstart/load.py | sql
    sql <<<"VACUUM ANALYZE customers;
        COMMENT ON DATABASE quickstart IS 'pgenvelope quickstart $wanted'"
}

# Shows a refusal: the message and SQLSTATE of a statement that must fail.
refused() {
    local message
    message=$(sql -v VERBOSITY=verbose "$@" 2>&1) &&
        fail "This was not refused."
    grep '^ERROR:' <<<"$message" | while read -r line; do
        good "$line"
    done
}

tour() {
    local tenant id column plaintext value context other_id other_tenant
    local rows columns row count marker found sealed outside values

    rows=$(sql <<<"SELECT count(*) FROM customers")
    [ "$rows" -gt 0 ] || fail "No row was loaded."
    mapfile -t columns < <(sql <<<"SELECT attname FROM pg_attribute
        WHERE attrelid = 'customers'::regclass AND attnum > 0
            AND atttypid = 'envelope'::regtype ORDER BY attnum")
    # A row, and the column of it with the longest value, to look at.
    IFS=$'\t' read -r tenant id column < <(sql -F $'\t' <<<"
        SELECT tenant, id, key
        FROM (SELECT * FROM customers_plain ORDER BY tenant, id LIMIT 1) AS c,
            jsonb_each_text(to_jsonb(c) - 'tenant' - 'id')
        WHERE value IS NOT NULL
        ORDER BY key = 'email' DESC, length(value) DESC LIMIT 1")
    [ -n "$column" ] || fail "The first row has no value."
    row=(-v "tenant=$tenant" -v "id=$id" -v "column=$column"
        -v "type=customers.$column")
    value=$(sql "${row[@]}" <<<'SELECT :"column" FROM customers
        WHERE tenant = :'"'tenant'"' AND id = :'"'id'")
    plaintext=$(sql "${row[@]}" <<<'SELECT :"column" FROM customers_plain
        WHERE tenant = :'"'tenant'"' AND id = :'"'id'")
    context=$(sql "${row[@]}" <<<"SELECT jsonb_build_object(
        'tenant', :'tenant', 'type', :'type', 'id', :'id')")
    row+=(-v "context=$context" -v "value=$value")

    heading "$rows customers, columns ${columns[*]}: encrypted as they were loaded"
    say "What the table holds, the $column of one customer:"
    say "    $(cut_to 70 "$value")"
    say "What the view customers_plain shows of it:"
    good "    $(cut_to 70 "$plaintext")"

    heading "A value opens in its own context only"
    say "$(cut_to 150 "$context")"
    other_tenant=$(sql "${row[@]}" <<<"SELECT coalesce((SELECT tenant
        FROM customers WHERE tenant <> :'tenant' LIMIT 1), 'another')")
    other_id=$(sql "${row[@]}" <<<"SELECT coalesce((SELECT id
        FROM customers WHERE tenant = :'tenant' AND id <> :'id' LIMIT 1),
        'another')")
    say "As the tenant \"$other_tenant\":"
    refused "${row[@]}" -v "other=$other_tenant" <<<"SELECT env_decrypt(
        :'value', :'context'::jsonb || jsonb_build_object('tenant', :'other'))"
    say "As the row $other_id of the same tenant:"
    refused "${row[@]}" -v "other=$other_id" <<<"SELECT env_decrypt(
        :'value', :'context'::jsonb || jsonb_build_object('id', :'other'))"

    one_tenant

    heading "What a value says without a key: env_inspect"
    sql "${row[@]}" <<<"SELECT jsonb_pretty(env_inspect(:'value'))" |
        sed 's/^/  /'

    heading "The plaintext is not on this disk"
    # Short words are everywhere, and grep takes lines one at a time.
    marker=$(awk 'length > length(longest) {longest = $0} END {print longest}' \
        <<<"$plaintext")
    if [ "${#marker}" -lt 12 ]; then
        remark "The value is too short to search for."
    else
        sql <<<"CHECKPOINT"
        count=$(as_server find "$data" -type f | wc -l)
        if found=$(as_server grep -rlaF -e "$marker" "$data"); then
            fail "It is there; is it a tenant or id as well?  $found"
        fi
        good "grep of all $count files of the server, write-ahead log included: nothing"
    fi

    heading "The same value opened outside the database, by python3-jwcrypto"
    sealed=$(sql "${row[@]}" <<<"SELECT convert_from(v.sealed_kek, 'UTF8')
        FROM pgenvelope.key k JOIN pgenvelope.key_version v USING (key_id)
        WHERE k.name = env_key(:'value')
            AND v.version = env_key_version(:'value')")
    value=$(sql "${row[@]}" <<<"SELECT env_to_jwe(:'value', :'context')")
    say "root key -> key -> data key -> $column, three JWEs:"
    outside=$(printf '%s\n%s\n' "$sealed" "$value" |
        "$python" test/quickstart/open_outside.py "$root_key" "$context")
    [ "$outside" = "$plaintext" ] || fail "It opened to something else."
    good "    $outside"

    heading "Time"
    count=$(sql <<<"SELECT format('SELECT %s FROM customers_plain',
            string_agg(format('count(%I)', attname), ' + '))
        FROM pg_attribute WHERE attrelid = 'customers'::regclass
            AND attnum > 0 AND atttypid = 'envelope'::regtype")
    values=$(sql <<<"$count")
    sql -v "count=$count" <<'SQL' | sed 's/^/  /'
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE TEMPORARY TABLE took (what text, value_count bigint, seconds float8);
CREATE PROCEDURE pg_temp.measure(what text, query text) LANGUAGE plpgsql AS $$
DECLARE
    value_count bigint;
    started timestamptz := clock_timestamp();
BEGIN
    EXECUTE query INTO value_count;
    INSERT INTO took VALUES (what, value_count,
        extract(epoch FROM clock_timestamp() - started));
END $$;
CALL pg_temp.measure('encrypted', 'SELECT count(env_encrypt(id,
    jsonb_build_object(''tenant'', tenant, ''type'', ''t'', ''id'', id)))
    FROM customers, generate_series(1, 5)');
CALL pg_temp.measure('decrypted', :'count');
SELECT format('%s values %s in %s s: %s microseconds each, context and query included',
    value_count, what, round(seconds::numeric, 2),
    round((seconds / greatest(value_count, 1) * 1e6)::numeric, 1)) FROM took;
SQL

    rotation "$count" "$values"
}

# Runs SQL as a role that may open the values of one tenant.  Nothing of it is
# left.  Takes variables from tour.
as_clerk() {
    {
        cat <<'SQL'
BEGIN;
CREATE ROLE clerk;
GRANT SELECT ON customers, customers_plain TO clerk;
SELECT pgenvelope.grant_key('customers', 'decrypt', 'clerk',
    jsonb_build_object('tenant', :'tenant')) AS granted \gset
SET LOCAL ROLE clerk;
SQL
        cat
    } | sql "${row[@]}" -v "other=$other_tenant"
}

one_tenant() {
    local message
    heading "Who may decrypt: a role, for one tenant's values"
    say "pgenvelope.grant_key('customers', 'decrypt', 'clerk', '{\"tenant\": \"$tenant\"}')"
    good "The clerk opens $(as_clerk <<<"SELECT count(:\"column\")
        FROM customers_plain WHERE tenant = :'tenant'") values of $tenant."
    message=$(as_clerk 2>&1 <<<"\\set VERBOSITY verbose
        SELECT env_decrypt(:'value',
            :'context'::jsonb || jsonb_build_object('tenant', :'other'))") &&
        fail "This was not refused."
    say "One of $other_tenant:"
    good "$(grep -m 1 -o 'ERROR: .*' <<<"$message")"
    say "pgenvelope.why_denied says: $(as_clerk <<<"SELECT reason FROM pgenvelope.why_denied(
        'customers', 'decrypt', jsonb_build_object('tenant', :'other'))")"
}

# Where the job is: its state, its pass, per cent of the tables read in this
# pass, values moved.
job_progress() {
    sql -F ' ' -v "job=$1" <<'SQL'
SELECT state, pass,
    coalesce(sum(percent * total_blocks) / nullif(sum(total_blocks), 0), 0)::int,
    coalesce(sum(rewrapped), 0)
FROM pgenvelope.rewrap_progress WHERE job_id = :job GROUP BY 1, 2
SQL
}

# Forty characters, so many per cent of them full.
bar() {
    local full=$((40 * $1 / 100)) text=
    printf -v text '%*s' "$full" ''
    text=${text// /█}
    printf -v text '%s%*s' "$text" $((40 - full)) ''
    printf '%s' "${text// /░}"
}

# Shows a job until it is complete: one line that is rewritten on a terminal,
# else a line for each quarter.
watch_job() {
    local state pass percent moved what quarter shown=-1
    while read -r state pass percent moved < <(job_progress "$1"); do
        case $state,$pass in
            complete,*) percent=100 what="" ;;
            proving,*) percent=100 what=", reading all at once for the proof" ;;
            paused,* | cancelled,*) fail "The job is $state; the log is $log." ;;
            *,1) what="" ;;
            *) percent=100 what=", looking whether others wrote old ones meanwhile" ;;
        esac
        if [ -t 1 ]; then
            printf '\r  %s%s%s %3d %%  %d values%s\e[K' \
                "$green" "$(bar "$percent")" "$plain" "$percent" "$moved" "$what"
        else
            quarter=$((percent / 25))
            [ "$quarter" -le "$shown" ] ||
                say "$(bar "$percent") $(printf '%3d' "$percent") %  $moved values"
            [ "$quarter" -le "$shown" ] || shown=$quarter
        fi
        [ "$state" != complete ] || break
        sleep 0.05
    done
    [ ! -t 1 ] || printf '\n'
}

rotation() {
    local old new job proof size
    heading "Rotating the key, while everything goes on"
    # Small batches, so that there is something to see.
    size=$(sql <<<"ALTER DATABASE quickstart SET pgenvelope.rewrap_batch_blocks = 8;
        SELECT pgenvelope.set_rewrap_method('customers', 'inplace') IS NULL AS void \\gset
        SELECT pg_size_pretty(pg_total_relation_size('customers'))")
    old=$(sql <<<"SELECT version FROM pgenvelope.keys
        WHERE name = 'customers' AND state = 'active'")
    new=$(sql <<<"SELECT pgenvelope.rotate_key('customers')")
    job=$(sql <<<"SELECT max(job_id) FROM pgenvelope.rewrap_job")
    say "Version $new encrypts from now on.  A worker moves the stored values from $old:"
    watch_job "$job"
    proof=$(sql -v "version=$old" <<<"SELECT format('%s values in %s tables read, at %s',
            values_read, tables, lsn)
        FROM pgenvelope.key_proof JOIN pgenvelope.key USING (key_id)
        WHERE name = 'customers' AND version = :version")
    [ -n "$proof" ] || fail "There is no proof."
    good "Proof that nothing needs version $old: $proof"
    sql -v "version=$old" >/dev/null <<<"SELECT pgenvelope.retire_key('customers', :version)"
    good "Version $old is retired, and opens nothing any more."
    [ "$(sql <<<"$1")" = "$2" ] || fail "Not every value decrypts."
    good "All $2 values decrypt, now with version $new; no payload was touched."
    say "The table had $size and has $(sql <<<"SELECT pg_size_pretty(
        pg_total_relation_size('customers'))"): the wraps were overwritten in place."
}

start() {
    heading "pgenvelope: a private PostgreSQL in $dir"
    set_up
    make_cluster
    stop_server
    start_server
    local started=$SECONDS
    load
    remark "ready after $((SECONDS - started)) s"
    tour
    printf '\n%sConnect:%s %spsql -h %s -p %s %s    %sStop:%s make quickstart-stop\n' \
        "$bold" "$plain" "$person" "$dir" "$port" "$database" "$bold" "$plain"
}

stop() {
    find_server || return 0
    stop_server
    [ ! -e "$data" ] ||
        say "Stopped.  make quickstart starts it again; make quickstart-remove removes $dir."
}

remove() {
    find_server && stop_server
    if [ -e "$data/PG_VERSION" ]; then
        rm -rf -- "$data"
        rm -f -- "$root_key" "$log"
        rmdir -- "$dir" 2>/dev/null || true
        say "Removed $dir."
    fi
}

case ${1:-} in
    start | stop | remove) "$1" ;;
    *) fail "usage: quickstart.sh start|stop|remove" ;;
esac
