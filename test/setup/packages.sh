#!/usr/bin/env bash
# Installs what is missing of the Debian packages that a task needs.
#
#   packages.sh GROUP...     build helpers server test providers lint quickstart
#                            coverage fuzz
#
# Runs apt-get only when something is missing, as root or through sudo.
set -euo pipefail

packages_of() {
    case $1 in
        build) echo gcc libc6-dev make libssl-dev postgresql-server-dev-15 ;;
        helpers) echo gcc libc6-dev make libssl-dev libcurl4-openssl-dev \
            libjansson-dev libp11-kit-dev ;;
        server) echo postgresql-15 postgresql-client-15 openssl ;;
        test) echo perl libipc-run-perl python3 python3-cryptography \
            python3-jwcrypto procps gdb libasan8 libubsan1 \
            pgbouncer postgresql-15-pgaudit prometheus \
            prometheus-postgres-exporter ;;
        providers) echo python3-venv openssl softhsm2 opensc opencryptoki ;;
        lint) echo clang-14 clang-format-14 cppcheck shellcheck binutils ;;
        quickstart) echo python3 python3-cryptography python3-jwcrypto ;;
        coverage) echo gcovr ;;
        fuzz) echo clang-14 libclang-rt-14-dev llvm-14 ;;
        *) echo "packages.sh: no group \"$1\"" >&2; return 1 ;;
    esac
}

missing=()
for group in "$@"; do
    packages=$(packages_of "$group")
    for package in $packages; do
        state=$(dpkg-query -W -f='${db:Status-Status}' "$package" \
            2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These packages are missing, and this is not Debian:" \
        "${missing[*]}" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo)
    if ! command -v sudo >/dev/null; then
        echo "Run this as root, or install: ${missing[*]}" >&2
        exit 1
    fi
fi

echo "Installing ${missing[*]}"
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o DPkg::Lock::Timeout=300 "$@"
}
apt_get_install() {
    apt_get install --no-install-recommends "$@"
}

# Debian's server package makes a cluster and starts it on port 5432; nobody
# asked for that here.
no_main_cluster=/etc/postgresql-common/createcluster.d/pgenvelope.conf
install_missing() {
    apt_get update || return
    if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        apt_get_install postgresql-common || return
        "${as_root[@]}" mkdir -p "${no_main_cluster%/*}" || return
        echo "create_main_cluster = false" |
            "${as_root[@]}" tee "$no_main_cluster" || return
    fi
    forbid_services || return
    apt_get_install "${missing[@]}" || return
    disable_services
}

# These would run from now on; the tests start their own.
services="pgbouncer prometheus prometheus-postgres-exporter"
policy=/usr/sbin/policy-rc.d
policy_is_ours=
forbid_services() {
    local service
    for service in $services; do
        [[ " ${missing[*]} " != *" $service "* ]] || break
        service=
    done
    [ -n "$service" ] && [ ! -e "$policy" ] || return 0
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" &&
        "${as_root[@]}" chmod 755 "$policy"
}
disable_services() {
    local service
    for service in $services; do
        [[ " ${missing[*]} " != *" $service "* ]] ||
            "${as_root[@]}" systemctl disable "$service" || true
    done
}

log=$(mktemp)
finish() {
    rm -f "$log"
    [ -z "$policy_is_ours" ] || "${as_root[@]}" rm -f "$policy"
    [ ! -e "$no_main_cluster" ] || "${as_root[@]}" rm -f "$no_main_cluster"
}
trap finish EXIT
if ! install_missing >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    exit 1
fi
