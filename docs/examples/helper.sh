#!/bin/sh
# helper.sh: an example of a helper program, in POSIX shell and openssl.
#
# It speaks the helper protocol of docs/providers.md for root keys that lie in
# files: root key NAME is the EC key HELPER_KEYS/NAME.key with its certificate
# HELPER_KEYS/NAME.crt.  It shows the protocol and is tested, but a root key
# in a file needs no helper (use file://): put your own key store's commands
# in the place of "openssl cms".
#
# Make a root key, as the user that the server runs as:
#
#     umask 077
#     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
#         -keyout main.key -out main.crt -days 36500 -subj /CN=main
#
# Keep the certificate as secret as the key: whoever has it can seal a key of
# his own choice, since CMS seals with a public key.  A key store that seals
# with a symmetric key does not have that problem.
#
# Three habits to copy: key bytes pass through pipes and shell variables, never
# through the arguments of a program, which every user of the machine can see
# ("printf" is built into the shell); nothing but replies goes to standard
# output; and nothing is trusted that openssl did not end well on.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors
set -u
PATH=/usr/local/bin:/usr/bin:/bin
keys=${HELPER_KEYS:-/etc/pgenvelope/helper}

# error ID CATEGORY TEXT
error() {
    printf 'error %s %s %s\n' "$1" "$2" "$3"
}

# What names the root key used: the start of its certificate's SHA-256.
root_key_name() {
    openssl x509 -in "$certificate" -outform DER |
        openssl dgst -sha256 -r | cut -c 1-16 | tr -d '\n' |
        openssl base64 -A
}

# The base64 text is what is sealed, so that a shell can hold it.
seal() {
    sealed=$(printf '%s' "$bytes" |
        openssl cms -encrypt -binary -aes-256-gcm -aes256-wrap \
            -outform DER -recip "$certificate" \
            -keyopt ecdh_kdf_md:sha256 | openssl base64 -A)
    if [ -n "$sealed" ]; then
        printf 'ok %s %s %s\n' "$id" "$sealed" "$(root_key_name)"
    else
        error "$id" unavailable 'openssl could not seal'
    fi
}

unseal() {
    if plaintext=$(printf '%s' "$bytes" | openssl base64 -A -d |
        openssl cms -decrypt -binary -inform DER -inkey "$private_key" \
            -recip "$certificate"); then
        printf 'ok %s %s\n' "$id" "$plaintext"
    else
        error "$id" integrity "openssl could not open the seal of $key"
    fi
    plaintext=
}

# One request a line.  The end of the input is the order to leave.
while IFS=' ' read -r verb id root key bytes; do
    case $root in
        '' | *[!A-Za-z0-9_-]*)
            error "$id" misconfigured 'not the name of a root key'
            continue
            ;;
    esac
    private_key=$keys/$root.key
    certificate=$keys/$root.crt
    if [ ! -e "$private_key" ]; then
        error "$id" not_found "there is no key $private_key"
    elif [ ! -r "$private_key" ] || [ ! -r "$certificate" ]; then
        error "$id" misconfigured "cannot read the files of key $root"
    else
        case $verb in
            seal) seal ;;
            unseal) unseal ;;
            check) printf 'ok %s %s\n' "$id" "$(root_key_name)" ;;
            *) error "$id" misconfigured "verb $verb is not known" ;;
        esac
    fi
    bytes=
done
