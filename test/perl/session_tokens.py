#!/usr/bin/python3
"""
Makes and verifies tokens of sessions by a JOSE library, python3-jwcrypto.

    session_tokens.py keys DIRECTORY
        writes session.jwks, for the server, and private.jwks
    session_tokens.py sign PRIVATE-JWKS
        reads lines of JSON, {"header": {...}, "claims": {...}}, and prints a
        token for each, signed by the key of its kid
    session_tokens.py verify JWKS
        reads tokens, a line each, and prints their claims

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import json
import os
import sys

from jwcrypto import jwk, jws, jwt

# The others are for what must not be taken.
KEYS = [
    ("ed", {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}),
    ("hs", {"kty": "oct", "size": 256, "alg": "HS256"}),
    ("hs512", {"kty": "oct", "size": 512}),
    ("rs", {"kty": "RSA", "size": 2048, "alg": "RS256"}),
    ("es", {"kty": "EC", "crv": "P-256", "alg": "ES256"}),
]
ALL_ALGORITHMS = ["EdDSA", "HS256", "HS512", "RS256", "ES256"]


def write(path, keys):
    with open(path, "w", encoding="ascii",
              opener=lambda p, f: os.open(p, f, 0o600)) as out:
        json.dump({"keys": keys}, out)


def make_keys(directory):
    keys = [jwk.JWK.generate(kid=kid, **form) for kid, form in KEYS]
    write(directory + "/private.jwks",
          [key.export(private_key=True, as_dict=True) for key in keys])
    write(directory + "/session.jwks",
          [key.export(private_key=not key.has_public, as_dict=True)
           for key in keys if key.key_id != "hs512"])


def read_keys(path):
    with open(path, encoding="ascii") as source:
        return jwk.JWKSet.from_json(source.read())


def sign(keys):
    for line in sys.stdin:
        wanted = json.loads(line)
        token = jws.JWS(json.dumps(wanted["claims"]).encode())
        token.allowed_algs = ALL_ALGORITHMS
        token.add_signature(keys.get_key(wanted["header"]["kid"]), None,
                            json.dumps(wanted["header"]))
        print(token.serialize(compact=True))


def verify(keys):
    for line in sys.stdin:
        token = jwt.JWT(jwt=line.strip(), key=keys, algs=["EdDSA", "HS256"])
        print(token.claims)


def main():
    verb, argument = sys.argv[1:]
    if verb == "keys":
        make_keys(argument)
    elif verb == "sign":
        sign(read_keys(argument))
    else:
        verify(read_keys(argument))


if __name__ == "__main__":
    main()
