"""
The writing side of docs/format.md.  Section numbers are that document's.

Nothing here is random: what a sealer would draw is derived from a label.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import functools
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

CONTEXT_STORED = 1
TEXT = 2
PADDED = 4


def derive(label, length=32):
    """Bytes in place of random ones."""
    out = b""
    while len(out) < length:
        block = f"pgenvelope vectors {label} {len(out)}".encode()
        out += hashlib.sha256(block).digest()
    return out[:length]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# Section 2 and 3

def envelope(flags, key_id, version, wrapped, nonce, stored, sealed,
             magic=0xE1, suite=1):
    """The bytes of a value; stored is None or the context in it."""
    out = bytes([magic, suite << 4 | flags]) + version.to_bytes(2, "big")
    out += key_id + wrapped + nonce
    if stored is not None:
        out += len(stored).to_bytes(2, "big") + stored
    return out + sealed


def text_form(data):
    return ("env1." + base64url(data)).encode()


# Section 4

PROTECTED = {
    0: '{"enc":"A256GCM"}',
    TEXT: '{"cty":"text/plain;charset=UTF-8","enc":"A256GCM"}',
    PADDED: '{"cty":"application/octet-stream;pad=7816","enc":"A256GCM"}',
    TEXT | PADDED:
        '{"cty":"text/plain;charset=UTF-8;pad=7816","enc":"A256GCM"}',
}


def protected(flags):
    return PROTECTED[flags & (TEXT | PADDED)].encode()


def additional_data(flags, context):
    return (base64url(protected(flags)) + "." + base64url(context)).encode()


def pad(plaintext, multiple):
    padded = plaintext + b"\x80"
    return padded + bytes(-len(padded) % multiple)


def gcm_seal(key, nonce, payload, aad):
    """Ciphertext and tag, joined."""
    return AESGCM(key).encrypt(nonce, payload, aad)


def wrap(kek, dek):
    return aes_key_wrap(kek, dek)


# Section 5

SHORT_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r",
                 34: '\\"', 92: "\\\\"}


def canonical_string(text):
    out = ""
    for char in text:
        code = ord(char)
        if code in SHORT_ESCAPES:
            out += SHORT_ESCAPES[code]
        elif code < 0x20:
            out += f"\\u{code:04x}"
        else:
            out += char
    return f'"{out}"'


def canonical_value(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return canonical_string(value)


def canonical(members):
    """The canonical bytes of a dictionary; None stands for null."""
    names = sorted(members, key=lambda name: name.encode("utf-16-be"))
    text = ",".join(canonical_string(name) + ":" +
                    canonical_value(members[name]) for name in names)
    return ("{" + text + "}").encode()


# Section 6

def numbered(label, key_id, version):
    return label + key_id + version.to_bytes(2, "big")


def binding(key_id, version):
    message = numbered(b"pgenvelope/1 binding\0", key_id, version)
    return hashlib.sha256(message).digest()[:16]


def check_value(kek, key_id, version):
    message = numbered(b"pgenvelope/1 kcv\0", key_id, version)
    return hmac.new(kek, message, "sha256").digest()[:16]


def fingerprint(root_key):
    message = b"pgenvelope/1 root\0"
    return hmac.new(root_key, message, "sha256").digest()[:8]


def kek_digest(key_id, version, sealed):
    return hashlib.sha256(numbered(b"", key_id, version) + sealed).digest()


def kid(name, key_id, version):
    return f"{name}@{key_id.hex()}/{version}"


def local_header(kid_string):
    return ('{"alg":"dir","enc":"A256GCM","kid":' +
            canonical_string(kid_string) + "}").encode()


def local_seal(root_key, header, nonce, plaintext):
    """A sealed KEK of the local providers, section 6.6."""
    encoded = base64url(header)
    sealed = gcm_seal(root_key, nonce, plaintext, encoded.encode())
    return ".".join([encoded, "", base64url(nonce), base64url(sealed[:-16]),
                     base64url(sealed[-16:])]).encode()


def phc_salt(salt):
    return base64.b64encode(salt).rstrip(b"=").decode()


def phc(salt, ln=17, r=8, p=1):
    return f"$scrypt$ln={ln},r={r},p={p}${phc_salt(salt)}"


@functools.lru_cache(maxsize=None)
def scrypt(passphrase, salt, ln=17, r=8, p=1):
    return Scrypt(salt=salt, length=32, n=1 << ln, r=r,
                  p=p).derive(passphrase)


# Section 7

def jwe_members(value, context, kid_string):
    """The strings of the JWE of a value that this module made."""
    flags = value[1] & 0x0F
    start = 62
    if flags & CONTEXT_STORED:
        start += 2 + int.from_bytes(value[62:64], "big")
    return {"protected": base64url(protected(flags)), "alg": "A256KW",
            "kid": kid_string, "encrypted_key": base64url(value[10:50]),
            "aad": base64url(context), "iv": base64url(value[50:62]),
            "ciphertext": base64url(value[start:-16]),
            "tag": base64url(value[-16:])}


def flattened(members):
    out = dict(members)
    out["header"] = {"alg": out.pop("alg"), "kid": out.pop("kid")}
    return out


def general(members):
    out = flattened(members)
    out["recipients"] = [{"header": out.pop("header"),
                          "encrypted_key": out.pop("encrypted_key")}]
    return out
