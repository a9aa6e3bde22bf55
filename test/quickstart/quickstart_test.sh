#!/usr/bin/env bash
# Runs the quickstart as a person would: anew, again, with data of one's own,
# with data that cannot be loaded.  Prints TAP.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
place=$(mktemp -d /tmp/pge.XXXXXX)
chmod 755 "$place"
export QUICKSTART_DIR=$place/server
[ "$(id -u)" != 0 ] || install -d -o postgres -m 700 "$QUICKSTART_DIR"
# shellcheck disable=SC2317
finish() {
    test/quickstart/quickstart.sh remove >/dev/null 2>&1
    rm -rf -- "$place"
}
trap finish EXIT
number=0
failed=0

# The last command's outcome; what it printed if that is not as wanted.
check() {
    local outcome=$?
    number=$((number + 1))
    if [ $outcome = 0 ]; then echo "ok $number - $1"; else
        echo "not ok $number - $1"
        sed 's/^/# /' "$place/out"
        failed=1
    fi
}

quickstart() {
    DATA=${1:-} test/quickstart/quickstart.sh start >"$place/out" 2>&1
}

says() {
    grep -qF -- "$1" "$place/out"
    check "it says: $1"
}

quickstart
check "a new server"
says "10000 customers"
says "PE004"
says "The clerk opens"
says "42501"
says "pgenvelope.why_denied says: "
says "three JWEs"
says "write-ahead log included: nothing"
says "100 %"
says "Proof that nothing needs version 1"
says "Version 1 is retired"
says "values decrypt, now with version 2"
tail -n 1 "$place/out" | grep -q 'Connect: .*psql .*Stop: make quickstart-stop'
check "the last line says how to connect and how to stop"
key=$(sha256sum <"$QUICKSTART_DIR/root.key")

quickstart
check "the second run"
says "there from the last time"
says "Version 2 is retired"
[ "$key" = "$(sha256sum <"$QUICKSTART_DIR/root.key")" ]
check "with the same root key"

printf '\xef\xbb\xbfID,Name,"A ""note""",\n1,Ann,"two\nlines\tand more of \\N",x\n2,Bob,,y\n' \
    >"$place/own.csv"
quickstart "$place/own.csv"
check "a file of one's own"
says '2 customers, columns Name A "note" column_4'
says 'No column "tenant"'
says "All 5 values decrypt, now with version 2"

printf 'a,b\n1,2\n3\n' >"$place/bad.csv"
! quickstart "$place/bad.csv"
check "a line with a field missing is refused"
says "Line 3 has 1 fields, the header 2."

mv "$QUICKSTART_DIR/root.key" "$place/root.key"
! quickstart
check "no root key is made where one is missing"
mv "$place/root.key" "$QUICKSTART_DIR/root.key"

test/quickstart/quickstart.sh stop >"$place/out" 2>&1 &&
    [ ! -e "$QUICKSTART_DIR/data/postmaster.pid" ]
check "it stops"
test/quickstart/quickstart.sh remove >"$place/out" 2>&1 &&
    [ ! -e "$QUICKSTART_DIR" ]
check "it removes itself"
echo "1..$number"
exit $failed
