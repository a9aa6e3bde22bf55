#!/usr/bin/env bash
# Compares the methods of rewrapping with UPDATE in SQL; prints tables, writes
# nothing here.
#
#   rewrap.sh           ROUNDS=3 ROWS=2000000 BUFFERS=1GB
#
# Rows have about 250 bytes and an envelope of 110.  One session, every round
# measures every method once, on a table that was just filled; ratios are
# medians of the rounds' ratios.  With BUFFERS smaller than the table (two
# million rows are half a gigabyte) pages come from the system's cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=test/setup/cluster.sh
source test/setup/cluster.sh

cluster_up "shared_buffers = ${BUFFERS:-1GB}" "max_wal_size = 16GB" \
    "jit = off" "max_parallel_workers_per_gather = 0" "autovacuum = off" \
    "synchronous_commit = off" "pgenvelope.rewrap_workers = 0" \
    "pgenvelope.rewrap_rate = 0"
printf '%s; %s; OpenSSL %s\n' \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(cluster_as "$bin/postgres" --version)" \
    "$(openssl version | cut -d' ' -f2)"
cluster_sql -v rows="${ROWS:-2000000}" -v rounds="${ROUNDS:-3}" \
    <test/bench/rewrap.sql
