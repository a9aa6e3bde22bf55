#!/usr/bin/python3
"""
Makes the seeds of the fuzz targets out of the test vectors.

    make_corpus.py            write corpus/TARGET/seed_*
    make_corpus.py --check    say whether they are what it would write

Other files of the corpus were found by fuzzing; they are left alone.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
sys.path.insert(0, str(VECTORS))

from check import Vector  # noqa: E402
from decode import from_base64url  # noqa: E402

ENVELOPES = [
    "good_text", "good_bytes_padded", "good_text_padded_stored",
    "good_empty_text", "good_empty_stored", "good_context_unicode",
    "good_key_id_largest", "good_version_largest", "bad_flag_3",
    "bad_magic_e2", "bad_context_length_long", "bad_context_order",
    "bad_length_77", "bad_padded_empty",
]
TEXTS = ["good_text", "bad_text_padded", "bad_text_trailing_bits",
         "bad_text_prefix_2"]
CONTEXTS = [
    "good_recommended", "good_order_rfc8785", "good_escapes_control",
    "good_escapes_short", "good_escapes_in_name", "good_integer_smallest",
    "good_type_true", "good_type_false", "good_empty_object",
    "good_empty_string", "good_order_after_astral", "bad_order_utf8",
    "bad_escape_upper_case", "bad_integer_2_53", "bad_utf8_truncated_end",
]
POLICIES = ["good_pinned", "good_free_before", "bad_missing_middle",
            "bad_pinned_type", "bad_required_empty"]
JWES = [
    "good_flattened_text", "good_flattened_bytes", "good_flattened_empty",
    "good_bytes_padded_stored", "good_context_unicode",
    "good_name_at_and_slash", "good_key_largest", "bad_alg_dir",
    "bad_aad_order", "bad_kid_version_zero", "bad_tag_trailing_bits",
    "bad_padded_empty",
]
MEMBERS = ["protected", "alg", "kid", "encrypted_key", "aad", "iv",
           "ciphertext", "tag"]
SEALED = ["good_file_name_plain", "good_file_name_quotes",
          "good_file_name_control", "good_passphrase_ln_17",
          "bad_file_header_space", "bad_file_parts_6"]
SETTINGS = [
    b"main=file:///etc/pgenvelope/root.key",
    b"main=file:///r, dev@postgres=passphrase:///p ,x=command:/usr/bin/kms",
    b"main=file:///r,",
    b"ma in=file:///r",
    b"main@=file://r",
    b" main=vault://v/transit/keys/app",
    b"a=vault+http://[::1]:1/t/keys/a?x=%2C&y=z,b=pkcs11:token=a;id=%00",
    b"a=awskms:arn:aws:kms:r:1:key/k,b=gcpkms://p/k,c=azurekv://h/keys/k",
    b"a=pkcs11:token=a?pin-value=1",
    b"main=file:///" + b"p" * 1022,
    b"n" * 63 + b"@" + b"d" * 63 + b"=command:/" + b"p" * 1023,
]
# The first byte says what the helper was asked (fuzz_provider.c).
REPLIES = [
    b"\x00ok 1 c2VhbGVk cm9vdC0x\n",
    b"\x00ok 1 c2VhbGVk\n",
    b"\x01ok 1 " + b"QUJD" * 16 + b"\n",
    b"\x01ok 1 QUJD\n",
    b"\x02ok 1 cm9vdA==\n",
    b"\x02ok 1\n",
    b"\x04error 7 denied no such grant\n",
    b"\x05error 7 throttled\n",
    b"\x05error 7 nonsense\n",
    b"\x09ok 1 QUJD\n",
    b"\x11ok 1 QU",
    b"\x80ok 1\n",
    b"\x02ok 1\nok 1\n",
    b"\x00ok 1 " + b"A" * 8200,
]

PKCS11_URIS = [
    b"pkcs11:token=t;object=o;id=%01%ff;type=secret-key"
    b"?module-path=/m.so&pin-source=file:/p",
    b"pkcs11:manufacturer=m;model=m;serial=1;object=o;type=private"
    b"?module-path=/m.so&pin-source=%7C/p&mechanism=rsa-oaep-sha1",
    b"pkcs11:id=%00?module-path=/m.so&gcm-params=short&gcm-iv=token"
    b"&previous-id=0aFF",
    b"pkcs11:object=o?module-path=/m.so&pin-value=1234",
    b"pkcs11:object=o;object=p?module-path=/m.so",
]
KMS_REPLIES = [
    b'{"data":{"ciphertext":"vault:v1:AAAA","key_version":1}}',
    b'{"data":{"plaintext":"' + b"QUJD" * 16 + b'"}}',
    b'{"data":{"latest_version":3,"type":"aes256-gcm96"}}',
    b'{"auth":{"client_token":"s.x","lease_duration":60,"renewable":true}}',
    b'{"errors":["encryption key not found","x"]}',
    b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}',
    b'{"a":{"b":{"c":{"d":{"e":{"f":null}}}}},"a2":[[1.5e3,"\\u00e4"]]}',
    b'{"data":{"ciphertext":"\\u0001\\""}}',
    b"vault://h:8200/a/b/keys/c?auth=approle&role-id=x&auth-path=a/b",
    b"vault+http://[::1]/t/keys/c?token-file=%2Fa%2c&ca-file=/c&timeout=1",
    b"vault://h/t/keys/c?auth=cert&cert-file=/c&key-file=/k&namespace=n",
]
TOKEN_SET = (
    b'{"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": "AyM1SysPpbyD'
    b'fgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9C'
    b'Aow"}, {"kty": "RSA"}, {"kty": "OKP", "kid": "b", "alg": "EdDSA", "crv":'
    b' "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": '
    b'"sig"}]}')
TOKENS = [
    b'{"exp":1700000000.5,"nbf":1,"iat":2,"aud":["app","x"],"ctx":{"tenant":"'
    b'\\u00e4\\ud83d\\ude00","id":-7,"a":true},"ctx_scope":"session"}',
    b'{"exp":1,"aud":"app","ctx":{"a":""}}',
    b'[{"a":[1,-2.5e3,"x"],"\\u0061":null},[[[[[[[]]]]]]]]',
    b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30." + b"A" * 43 + b"\0" +
    TOKEN_SET,
    b"eyJhbGciOiJFZERTQSIsImtpZCI6ImIifQ.e30." + b"A" * 86 + b"\0" +
    TOKEN_SET,
    b"eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.e30.\0" + TOKEN_SET,
    TOKEN_SET,
    b'{"a\\"b":"\\u0061","\\\\":{"\\/":[],"":"\xc3\xa4"},"c" : -0.5E+7}',
]

# Two entries, with fields that a careless spelling would make alike.
AUDIT = [
    b"7\x00grant\x00\x01\x00alice\x027\x00grant\x00\x01\x00alice",
    b"7\x00\x01\x00\x02" + b"7\x00\x00",
    b"ab\x00\x02" + b"a\x00b",
    b"\xff\xff\xff\xff\x02\x01",
    b"pgenvelope audit anchor 1\nsystem 1\ndatabase 5\nentry 7\nmac 00\n",
    b"",
]


def vector(path):
    return Vector((VECTORS / path).read_bytes())


def envelope_seeds():
    for name in ENVELOPES:
        yield name, from_base64url(vector("envelope/" + name)
                                   .body[5:].decode())
    for name in TEXTS:
        yield "text_" + name, vector("envelope/" + name).body


def member_record(kind, name, value):
    """What fuzz_context.c reads as a member."""
    return bytes([kind, len(name), len(value)]) + name + value


def context_seeds():
    for name in CONTEXTS:
        yield name, vector("canonical/" + name).body
    for name in POLICIES:
        fields = vector("policy/" + name).fields
        yield "policy_" + name, "\n".join(
            [fields["policy"], fields["context"]]).encode()
    yield "members", b"".join([
        member_record(0, b"tenant", b"acme"),
        member_record(1, b"id", b"\x12\x67"),
        member_record(0x82, b"flag", b""),
        member_record(0, "\U0001f600".encode(), b"\n\x01\"")])
    yield "members_policy", b"".join([
        member_record(3, b"tenant", b""), member_record(0, b"a", b"b")])


def jwe_seeds():
    for name in JWES:
        fields = vector("jwe/" + name).fields
        yield name, "\n".join(fields[key] for key in MEMBERS).encode()
    for name in ("good_text", "good_text_padded_stored"):
        yield "value_" + name, from_base64url(
            vector("envelope/" + name).body[5:].decode())


def provider_seeds():
    for i, data in enumerate(SETTINGS):
        yield f"setting_{i}", data
    for i, data in enumerate(REPLIES):
        yield f"reply_{i}", data
    for name in SEALED:
        yield "sealed_" + name, vector("root/" + name).body


def value_seeds():
    for flags in range(8):
        yield f"flags_{flags}", (bytes([flags]) + b"\0\x0f" + b"\0\3" +
                                 b"\0\1\2\3\4\5" + b"\0\x60" +
                                 b'{"id":1,"tenant":"acme"}\nplaintext')
    yield "empty", bytes(13) + b"{}\n"
    yield "version_zero", b"\0\0\0\0\0\1\1\1\1\1\1\0\0{}\nx"


def pkcs11_seal_seeds():
    for name, mechanism, length in (
            ("gcm", 1, 76), ("kw", 2, 56), ("kwp", 3, 56),
            ("oaep_sha256", 4, 256), ("oaep_sha1", 5, 1024)):
        yield name, bytes([1, mechanism, 2, 0, 1]) + bytes(length)
    yield "no_id", bytes([1, 1, 0]) + bytes(76)
    yield "id_64", bytes([1, 2, 64]) + bytes(64 + 56)
    yield "id_65", bytes([1, 2, 65]) + bytes(65 + 56)
    for i, data in enumerate(PKCS11_URIS):
        yield f"uri_{i}", data


def kms_reply_seeds():
    for i, data in enumerate(KMS_REPLIES):
        yield str(i), data


def token_seeds():
    for i, data in enumerate(TOKENS):
        yield str(i), data


def audit_seeds():
    for i, data in enumerate(AUDIT):
        yield str(i), data


TARGETS = {"envelope": envelope_seeds, "context": context_seeds,
           "jwe": jwe_seeds, "provider": provider_seeds,
           "value": value_seeds, "pkcs11_seal": pkcs11_seal_seeds,
           "kms_reply": kms_reply_seeds, "server_token": token_seeds,
           "audit": audit_seeds}


def main():
    parser = argparse.ArgumentParser(description="Makes the fuzz seeds.")
    parser.add_argument("--check", action="store_true",
                        help="compare the files, write nothing")
    check = parser.parse_args().check
    files = {HERE / "corpus" / target / ("seed_" + name): data
             for target, seeds in TARGETS.items() for name, data in seeds()}
    present = {path: path.read_bytes()
               for path in (HERE / "corpus").glob("*/seed_*")}
    if check:
        for path in sorted(files.keys() | present.keys()):
            if files.get(path) != present.get(path):
                print(f"differs: {path.relative_to(HERE)}")
        return int(files != present)
    for path in present.keys() - files.keys():
        path.unlink()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(files)} seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
