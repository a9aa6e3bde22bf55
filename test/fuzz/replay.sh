#!/bin/sh
# Runs build/FLAVOR/replay_TARGET on its corpus and on what once crashed.
cd "$(dirname "$0")/../.." || exit 1
corpus=test/fuzz/corpus/${1##*/replay_}
[ -d "$corpus" ] || corpus=
# shellcheck disable=SC2086
exec "$1" $corpus test/fuzz/crashes
