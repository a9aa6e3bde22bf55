#!/usr/bin/env bash
# Installs servers and libraries that the tests of the clouds' providers need,
# by name from package registries, into a cache outside the tree: once.
#
#   cloud_servers.sh [NAME...]      all without names
#
#   python               moto (AWS), and the vendors' own libraries, in a
#                        virtual environment
#   local-kms            a second AWS KMS
#   ec2-metadata-mock    the metadata service of EC2, AWS's own mock of it
#
# Prints a line, NAME VERSION, for each.  Fails if one cannot be had.
set -euo pipefail

cache=${PGENVELOPE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pgenvelope}

python_packages=(
    'moto[server]==5.2.5'
    'boto3==1.44.8'
    'awscli==1.46.3'
    'google-cloud-kms==3.18.0'
    'google-auth==2.63.0'
    'google-crc32c'
    'requests'
    'azure-keyvault-keys==4.11.3'
    'azure-identity==1.27.0'
    'hvac==2.4.0'
    'cryptography'
)
local_kms=github.com/nsmithuk/local-kms@v0.0.0-20231025161602-e4d9425700fe
metadata_mock=github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v1.13.0

# A mark is written last, and names what was installed.
is_installed() {
    [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

# One at a time: two runs may share the cache.
lock_cache() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
}

install_python() {
    local where=$cache/python/clouds
    is_installed "$where/mark" "${python_packages[*]}" || lock_cache
    if ! is_installed "$where/mark" "${python_packages[*]}"; then
        rm -rf "$where"
        mkdir -p "$where"
        /usr/bin/python3 -m venv "$where"
        "$where/bin/pip" install --quiet --no-input "${python_packages[@]}"
        printf '%s\n' "${python_packages[*]}" >"$where/mark"
    fi
    "$where/bin/python" -c 'import importlib.metadata as m
print("python", *(f"{p}={m.version(p)}" for p in ("moto", "botocore",
    "google-cloud-kms", "google-auth", "azure-keyvault-keys",
    "azure-identity", "hvac")))'
}

install_go() {
    local name=$1 module=$2
    is_installed "$cache/go/$name.mark" "$module" || lock_cache
    if ! is_installed "$cache/go/$name.mark" "$module"; then
        command -v go >/dev/null || {
            echo "$name needs Go" >&2
            return 1
        }
        mkdir -p "$cache/go"
        GOBIN=$cache/go go install "$module"
        printf '%s\n' "$module" >"$cache/go/$name.mark"
    fi
    echo "$name ${module##*@}"
}

[ $# -gt 0 ] || set -- python local-kms ec2-metadata-mock
for name in "$@"; do
    case $name in
        python) install_python ;;
        local-kms) install_go local-kms "$local_kms" ;;
        ec2-metadata-mock) install_go ec2-metadata-mock "$metadata_mock" ;;
        *) echo "cloud_servers.sh: there is no \"$name\"" >&2; exit 1 ;;
    esac
done
