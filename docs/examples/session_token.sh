#!/bin/sh
# session_token.sh: tokens for env_bind_session, by openssl alone.
#
#   session_token.sh jwks KEY KID
#       prints the key file for pgenvelope.session_key_file
#   session_token.sh token KEY KID DATABASE CONTEXT
#       prints a token that is valid for a minute
#
# KEY is a private key: openssl genpkey -algorithm ed25519 -out KEY.  It stays
# with whoever signs tokens; the database server has the public key only.
# CONTEXT is a JSON object: '{"tenant": "acme"}'.
#
# SPDX-License-Identifier: PostgreSQL
# Copyright (c) 2026, pgenvelope contributors
set -eu

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

print_jwks() {
    x=$(openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | base64url)
    printf '{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", '
    printf '"kid": "%s", "x": "%s"}]}\n' "$2" "$x"
}

print_token() {
    now=$(date +%s)
    header=$(printf '{"alg":"EdDSA","kid":"%s"}' "$2" | base64url)
    claims=$(printf '{"iat":%d,"exp":%d,"jti":"%s","aud":"%s","ctx":%s}' \
        "$now" "$((now + 60))" "$(openssl rand -hex 16)" "$3" "$4" |
        base64url)
    file=$(mktemp)
    trap 'rm -f "$file"' EXIT
    printf '%s.%s' "$header" "$claims" >"$file"
    signature=$(openssl pkeyutl -sign -rawin -inkey "$1" -in "$file" |
        base64url)
    printf '%s.%s.%s\n' "$header" "$claims" "$signature"
}

case ${1-} in
    jwks) print_jwks "$2" "$3" ;;
    token) print_token "$2" "$3" "$4" "$5" ;;
    *) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac
