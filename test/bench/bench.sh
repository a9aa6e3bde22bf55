#!/usr/bin/env bash
# Compares pgenvelope with pgcrypto; prints a table, writes nothing here.
#
#   bench.sh            ROUNDS=11 ROWS=200000
#
# One session, one process: every round measures every query once, so that a
# change of the machine's speed meets both sides.  Ratios are medians of the
# rounds' ratios.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh

cluster_up "shared_buffers = 512MB" "max_wal_size = 4GB" "jit = off" \
    "max_parallel_workers_per_gather = 0" "autovacuum = off"
printf '%s; %s; OpenSSL %s\n' \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(cluster_as "$bin/postgres" --version)" \
    "$(openssl version | cut -d' ' -f2)"
cluster_sql -v rows="${ROWS:-200000}" -v rounds="${ROUNDS:-11}" \
    <test/bench/bench.sql
