#!/usr/bin/python3
"""Opens a value without PostgreSQL: root key to plaintext, by jwcrypto.

    open_outside.py ROOT_KEY_FILE EXPECTED_CONTEXT < lines

Reads two lines: the sealed key encryption key as the catalog has it, and the
value as env_to_jwe shows it.  Every step is a plain JWE (docs/format.md).
"""

import base64
import json
import sys

from jwcrypto import jwe, jwk

# Pinned: what a value says of itself decides nothing.
ALGORITHMS = {"local": ["dir", "A256GCM"], "value": ["A256KW", "A256GCM"]}


def octets(key):
    return jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(key).decode()
                   .rstrip("="))


def main():
    root_file, expected = sys.argv[1:]
    sealed, value = sys.stdin.read().splitlines()

    with open(root_file, encoding="ascii") as file:
        root = octets(base64.b64decode(file.read()))

    step = jwe.JWE(algs=ALGORITHMS["local"])
    step.deserialize(sealed, root)
    kek = octets(step.payload[:32])          # then 16 bytes: whose it is

    step = jwe.JWE(algs=ALGORITHMS["value"])
    step.deserialize(value, kek)
    aad = json.loads(value)["aad"]
    context = base64.urlsafe_b64decode(aad + "=" * (-len(aad) % 4))
    if json.loads(context) != json.loads(expected):
        sys.exit("The value belongs to another context.")
    print(step.payload.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
