#!/usr/bin/env bash
# What patterns of grants, the audit and the binding of sessions cost; prints
# tables, writes nothing here.
#
#   entitlement.sh      ROUNDS=9 ROWS=1000000 BINDINGS=2000
#
# One session; every round decrypts all values once in each way, in another
# order.  Ratios are medians of the rounds' ratios to a grant without a pattern,
# with the audit off.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh
rounds=${ROUNDS:-9}
rows=${ROWS:-1000000}
bindings=${BINDINGS:-2000}

cluster_up "shared_buffers = 512MB" "max_wal_size = 4GB" "jit = off" \
    "max_parallel_workers_per_gather = 0" "autovacuum = off" "fsync = off"

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# Tokens of both kinds for half an hour, and the file of their keys.
hmac_key=$(openssl rand -hex 32)
openssl genpkey -algorithm ed25519 -out "$cluster/ed25519" 2>/dev/null
cluster_as tee "$cluster/jwks" >/dev/null <<JSON
{"keys": [{"kty": "oct", "alg": "HS256", "kid": "HS256",
    "k": "$(printf %s "$hmac_key" | xxd -r -p | base64url)"},
  {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "EdDSA",
    "x": "$(openssl pkey -in "$cluster/ed25519" -pubout -outform DER |
        tail -c 32 | base64url)"}]}
JSON
cluster_as chmod 600 "$cluster/jwks"
cluster_sql -c "ALTER SYSTEM SET pgenvelope.session_key_file = '$cluster/jwks'" \
    -c 'SELECT pg_reload_conf()' >/dev/null

token() {
    local now signed
    now=$(date +%s)
    signed=$(printf '{"alg":"%s","kid":"%s"}' "$1" "$1" | base64url).$(
        printf '{"iat":%d,"exp":%d,"aud":"postgres","ctx":{"tenant":"acme"}}' \
            "$now" "$((now + 1800))" | base64url)
    printf %s "$signed" >"$cluster/signed"
    if [ "$1" = HS256 ]; then
        printf '%s.%s' "$signed" "$(openssl dgst -sha256 -mac HMAC \
            -macopt "hexkey:$hmac_key" -binary "$cluster/signed" | base64url)"
    else
        printf '%s.%s' "$signed" "$(openssl pkeyutl -sign -rawin \
            -inkey "$cluster/ed25519" -in "$cluster/signed" | base64url)"
    fi
}

# name, role, pgenvelope.audit
ways() {
    cat <<'WAYS'
no-pattern bench_plain off
fixed bench_fixed off
any-of-10 bench_any off
session bench_session off
audit-decrypts bench_plain decrypts
WAYS
}

scan() {
    cat <<SQL
SET ROLE $2;
SET pgenvelope.session_context = '{"tenant": "acme"}';
SET pgenvelope.audit = $3;
SELECT clock_timestamp() AS started \\gset
SELECT count(env_decrypt(value, '{"tenant": "acme", "type": "t"}'))
    AS opened FROM stored \\gset
SELECT clock_timestamp() AS ended \\gset
RESET ROLE;
INSERT INTO took VALUES ($4, '$1', extract(epoch FROM
    :'ended'::timestamptz - :'started'::timestamptz));
SQL
}

script() {
    cat <<SQL
CREATE EXTENSION pgenvelope;
CREATE ROLE bench_plain SUPERUSER;
CREATE ROLE bench_fixed SUPERUSER;
CREATE ROLE bench_any SUPERUSER;
CREATE ROLE bench_session SUPERUSER;
SELECT pgenvelope.create_key('bench') IS NULL AS made \\gset
SELECT pgenvelope.grant_key('bench', 'decrypt', 'bench_plain'),
    pgenvelope.grant_key('bench', 'decrypt', 'bench_fixed', '{"tenant": "acme"}'),
    pgenvelope.grant_key('bench', 'decrypt', 'bench_any',
        '{"tenant": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "acme"]}'),
    pgenvelope.grant_key('bench', 'decrypt', 'bench_session',
        '{"tenant": {"session": "tenant"}}') \\gset
CREATE TABLE stored AS
SELECT env_encrypt(lpad(i::text, 16, '0'), '{"tenant": "acme", "type": "t"}',
    'bench') AS value FROM generate_series(1, $rows) AS i;
VACUUM (FREEZE, ANALYZE) stored;
CREATE TABLE took (round int, way text, seconds float8);
SQL
    for round in $(seq 0 "$rounds"); do
        ways | shuf | while read -r name role audit; do
            scan "$name" "$role" "$audit" "$round"
        done
    done
    cat <<'SQL'
\pset footer off
\echo 'Scans, of which round 0 warms up'
SELECT way, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY a.seconds)
        ::numeric, 3) AS "median, s",
    round(min(a.seconds)::numeric, 3) AS least,
    round((100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY a.seconds
        / b.seconds) - 100)::numeric, 1) AS "more, %"
FROM took a JOIN (SELECT round, seconds FROM took WHERE way = 'no-pattern') b
    USING (round) WHERE round > 0 GROUP BY way ORDER BY way <> 'no-pattern', way;
SQL
    cat <<SQL
CREATE PROCEDURE bind(token text, INOUT us numeric) LANGUAGE plpgsql AS \$\$
DECLARE
    started timestamptz := clock_timestamp();
BEGIN
    FOR i IN 1..$bindings LOOP
        IF token IS NOT NULL THEN
            PERFORM env_bind_session(token);
        END IF;
        COMMIT;
    END LOOP;
    us := round(1e6 / $bindings
        * extract(epoch FROM clock_timestamp() - started), 1);
END \$\$;
-- Each transaction is told that it ends at once.
SET client_min_messages = error;
SET log_min_messages = error;
\\pset tuples_only on
SQL
    for algorithm in '' HS256 EdDSA; do
        printf "%s 'Microseconds of a transaction with env_bind_session, %s'\n" \
            '\echo' "${algorithm:-without}"
        for _ in 1 2 3; do
            echo "CALL bind(nullif('$([ -z "$algorithm" ] || token "$algorithm")', ''), NULL);"
        done
    done
}

printf '%s; %s rows, %s rounds\n' "$(sed -n 's/^model name[[:space:]]*: //p' \
    /proc/cpuinfo | head -n 1)" "$rows" "$rounds"
script | cluster_sql 2>&1
