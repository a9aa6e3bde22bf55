#!/usr/bin/python3
"""
Opens the good vectors with a JOSE library, python3-jwcrypto, and prints TAP.

Values become JWEs by decode.py; sealed KEKs and the bodies of jwe/ are given
to the library as they are.  jwcrypto 1.1 refuses an empty ciphertext, so empty
plaintexts are skipped.  At the end the library seals and decode.py opens.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import json
import sys

from jwcrypto import jwe, jwk

import decode
from check import Tap, same, vectors_of

# Whoever opens a value outside of the database pins the algorithms.
ALGORITHMS = ["A256KW", "A256GCM"]
EMPTY = "jwcrypto 1.1 refuses an empty plaintext"


def oct_key(key):
    return jwk.JWK(kty="oct", k=decode.base64url(key))


def unpadded(payload, protected):
    if json.loads(protected).get("cty", "").endswith(";pad=7816"):
        return payload.rstrip(b"\0").removesuffix(b"\x80")
    return payload


def open_jwe(text, vector):
    """Opens a JWE in JSON, and does what a careful reader has to do."""
    token = jwe.JWE(algs=ALGORITHMS)
    token.deserialize(text, oct_key(vector.bytes("kek")))
    same("context", token.objects["aad"], vector.text("context").encode())
    same("plaintext", unpadded(token.payload, token.objects["protected"]),
         vector.bytes("plaintext"))


def open_value(vector, form):
    envelope = decode.parse(decode.from_text(vector.body))
    made = decode.to_jwe(envelope, vector.text("context").encode(),
                         vector.text("key_name"), form)
    open_jwe(json.dumps(made), vector)


def open_sealed_kek(vector):
    token = jwe.JWE(algs=["dir", "A256GCM"])
    token.deserialize(vector.body.decode(), oct_key(vector.bytes("root_key")))
    same("KEK", decode.check_kek(token.payload, *vector.key()),
         vector.bytes("kek"))


def seal_and_open(text, padded):
    """The library seals, this project opens."""
    kek, key_id = bytes(range(32)), b"\0\1\2\3\4\5"
    context, plaintext = b'{"id":7,"tenant":"acme"}', b"jane@example.com"
    payload = plaintext + b"\x80" + bytes(15) if padded else plaintext
    token = jwe.JWE(payload, protected=decode.protected_header(text, padded),
                    aad=context, algs=ALGORITHMS)
    token.add_recipient(oct_key(kek), json.dumps(
        {"alg": "A256KW", "kid": decode.format_kid("k", key_id, 1)}))
    strings = decode.jwe_strings(token.serialize().encode())
    envelope = decode.parse(decode.from_jwe(strings, store_context=True))
    same("plaintext", decode.open_value(kek, envelope, context), plaintext)


def main():
    tap = Tap()
    for directory in ("envelope", "jwe", "root"):
        for name, vector in vectors_of(directory):
            if vector.text("expect") != "ok":
                continue
            if directory == "root":
                tap.run(name, open_sealed_kek, vector)
            elif not vector.bytes("plaintext") and "padded" not in name:
                tap.skip(name, EMPTY)
            elif directory == "jwe":
                tap.run(name, open_jwe, vector.body.decode(), vector)
            else:
                for form in ("flattened", "general"):
                    tap.run(f"{name} as {form} JWE", open_value, vector,
                            form)
    for text in (False, True):
        for padded in (False, True):
            tap.run(f"sealed by the library, {text=}, {padded=}",
                    seal_and_open, text, padded)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
