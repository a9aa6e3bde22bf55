#!/usr/bin/env bash
# Starts Debian's server with a library that was built with ASan and UBSan.
#
#   asan_server.sh DIRECTORY BINDIR
#
# Run as the server's user; the directory, which has regress.conf, gets the
# server's data, socket and asan.log.
#
# libasan has to be loaded before the server, which then hangs in
# bindtextdomain() for ever (main, set_pglocale_pgservice, a lock that is not
# initialised yet).  A second library, preloaded too, makes the calls for
# translation do nothing.  Leaks are PostgreSQL's way of life.
set -euo pipefail
directory=$1
bindir=$2
cd "$directory"

gcc -shared -fPIC -o nonls.so -x c - <<'END'
char *bindtextdomain(const char *d, const char *p) {return (char *) p;}
char *textdomain(const char *d) {return (char *) d;}
char *bind_textdomain_codeset(const char *d, const char *c) {return (char *) c;}
END
cat >postgres <<END
#!/bin/sh
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:disable_coredump=1
export UBSAN_OPTIONS=print_stacktrace=1
export LD_PRELOAD="$(realpath "$(gcc -print-file-name=libasan.so)") $PWD/nonls.so"
exec "$bindir/postgres" "\$@"
END
chmod +x postgres

"$bindir/initdb" -D asan -A trust --no-locale --encoding=UTF8
cat regress.conf - >>asan/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$PWD'
END
"$bindir/pg_ctl" -D asan -l asan.log -p "$PWD/postgres" -w -t 60 start
