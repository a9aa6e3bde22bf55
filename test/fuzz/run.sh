#!/usr/bin/env bash
# Fuzzes one parser for some time.
#
#   run.sh TARGET SECONDS      envelope context jwe provider value
#                              pkcs11_seal kms_reply server_token audit
#
# New inputs are kept in build/fuzz/corpus/TARGET for the next run.  What
# breaks is left in build/fuzz/: fix it, then keep the input under
# test/fuzz/crashes (its README.md says how).
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# = 2 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
target=$1 seconds=$2
corpus=build/fuzz/corpus/$target
limit=4500          # a context and its header; a line of a helper

case $target in
    jwe) limit=12000 ;;         # the same in base64, beside a ciphertext
    provider | server_token) limit=9000 ;;
esac

make -s "build/fuzz/fuzz_$target"
mkdir -p "$corpus"
exec "build/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=$limit \
    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -dict=test/fuzz/pgenvelope.dict "-artifact_prefix=build/fuzz/$target-" \
    "$corpus" "test/fuzz/corpus/$target"
