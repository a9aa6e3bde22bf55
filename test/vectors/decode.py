#!/usr/bin/python3
"""
Opens values outside of the database, from docs/format.md alone.

    decode.py                             check every vector here, TAP
    decode.py --root-key FILE --sealed-kek SEALED --context JSON VALUE
                                          print the plaintext of one value

Independent of the extension and of generate.py: it shares no code with them.
Needs Debian's python3-cryptography.  Section numbers are those of
docs/format.md; a refusal is a Refused with that document's word.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import argparse
import base64
import decimal
import hashlib
import hmac
import json
import os
import pathlib
import re
import sys
from dataclasses import dataclass
from typing import Optional

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.keywrap import (InvalidUnwrap,
                                                    aes_key_unwrap)

CONTEXT_MAX = 4096
INTEGER_MAX = 2 ** 53 - 1
PLAINTEXT_MAX = 2 ** 29
PADDING_MAX = 65536


class Refused(Exception):
    """What is wrong, in one word."""

    @property
    def word(self):
        return self.args[0]


def require(condition, word):
    if not condition:
        raise Refused(word)


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text, word="malformed"):
    """Strictly: one text for each byte string (section 1)."""
    require(isinstance(text, str) and
            re.fullmatch(r"[A-Za-z0-9_-]*", text), word)
    require(len(text) % 4 != 1, word)
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    require(base64url(data) == text, word)
    return data


def gcm_open(key, nonce, sealed, aad):
    """None unless the tag, the last 16 bytes of sealed, is right."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None


# Section 5: the encryption context

class Members(list):
    """The members of a JSON object, as pairs."""


def read_json(data):
    """A JSON text; an object is Members, a number is a Decimal."""
    try:
        return json.loads(data, object_pairs_hook=Members,
                          parse_int=decimal.Decimal,
                          parse_float=decimal.Decimal,
                          parse_constant=lambda name: require(
                              False, "malformed"))
    except (json.JSONDecodeError, RecursionError):
        raise Refused("malformed") from None


def json_string(text):
    """RFC 8785 section 3.2.2.2."""
    def escape(match):
        char = match.group()
        return {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f",
                "\r": "\\r", '"': '\\"', "\\": "\\\\"
                }.get(char, f"\\u{ord(char):04x}")

    return '"' + re.sub(r'[\x00-\x1f"\\]', escape, text) + '"'


def json_value(value, policy):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json_string(value)
    if value is None and policy:
        return "null"
    require(isinstance(value, decimal.Decimal), "malformed")
    if value != 0 and value.adjusted() > 20:
        raise Refused("context_integer")
    require(value == value.to_integral_value(), "malformed")
    require(abs(value) <= INTEGER_MAX, "context_integer")
    return str(int(value))


def require_unicode(text):
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("context_not_utf8") from None


def canonical(data, policy=False):
    """The canonical bytes of a context (or policy) in JSON (5.1, 5.2)."""
    try:
        members = read_json(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused("context_not_utf8") from None
    require(isinstance(members, Members), "malformed")
    for name, value in members:
        require_unicode(name)
        if isinstance(value, str):
            require_unicode(value)
    names = [name for name, _ in members]
    require(len(set(names)) == len(names), "context_duplicate")
    members.sort(key=lambda member: member[0].encode("utf-16-be"))
    text = ",".join(json_string(name) + ":" + json_value(value, policy)
                    for name, value in members)
    out = ("{" + text + "}").encode()
    require(len(out) <= CONTEXT_MAX, "context_too_long")
    return out


def require_canonical(data, policy=False):
    """5.3."""
    require(len(data) <= CONTEXT_MAX, "context_too_long")
    try:
        require(canonical(data, policy) == data, "malformed")
    except Refused:
        raise Refused("malformed") from None


def require_policy(policy, context):
    """5.4; the refusal's second argument is the member."""
    require_canonical(policy, policy=True)
    require_canonical(context)
    wanted, given = read_json(policy), dict(read_json(context))
    require(given or not wanted, "context_empty")
    for name, value in wanted:
        member = json_string(name)[1:-1]
        if name not in given:
            raise Refused("context_missing", member)
        if given[name] == "":
            raise Refused("context_empty_member", member)
        if value is not None and (type(value), value) != (
                type(given[name]), given[name]):
            raise Refused("context_pinned", member)


# Sections 2 and 3: bytes and text form

@dataclass
class Envelope:
    stored_flag: bool
    text: bool
    padded: bool
    key_version: int
    key_id: bytes
    wrapped: bytes
    nonce: bytes
    context: Optional[bytes]
    ciphertext: bytes
    tag: bytes


def from_text(text):
    """The bytes of a text form."""
    require(text.startswith(b"env1."), "malformed")
    try:
        return from_base64url(text[5:].decode("ascii"))
    except UnicodeDecodeError:
        raise Refused("malformed") from None


def parse(data):
    """2.1, in its order."""
    require(data, "malformed")
    require(not 0xE2 <= data[0] <= 0xEF, "unsupported")
    require(data[0] == 0xE1 and len(data) > 1, "malformed")
    require(data[1] >> 4 == 1 and data[1] & 8 == 0, "unsupported")
    require(len(data) >= 78, "malformed")
    version, key_id = int.from_bytes(data[2:4], "big"), data[4:10]
    require(version != 0 and key_id != bytes(6), "malformed")
    stored, padded = bool(data[1] & 1), bool(data[1] & 4)
    context, rest = None, data[62:]
    if stored:
        length = int.from_bytes(rest[:2], "big")
        require(len(rest) >= 2 + length + 16, "malformed")
        context, rest = rest[2:2 + length], rest[2 + length:]
        try:
            require_canonical(context)
        except Refused:
            raise Refused("malformed") from None
    limit = PLAINTEXT_MAX + (PADDING_MAX if padded else 0)
    require(len(rest) - 16 <= limit, "limit")
    require(len(rest) > 16 or not padded, "malformed")
    return Envelope(stored, bool(data[1] & 2), padded, version, key_id,
                    data[10:50], data[50:62], context, rest[:-16],
                    rest[-16:])


def serialize(envelope):
    flags = (envelope.stored_flag | envelope.text << 1 |
             envelope.padded << 2)
    out = bytes([0xE1, 0x10 | flags])
    out += envelope.key_version.to_bytes(2, "big") + envelope.key_id
    out += envelope.wrapped + envelope.nonce
    if envelope.stored_flag:
        out += len(envelope.context).to_bytes(2, "big") + envelope.context
    return out + envelope.ciphertext + envelope.tag


def equal(a, b):
    """Section 8, of two well-formed values."""
    return a[:2] == b[:2] and a[50:] == b[50:]


# Section 4: the payload

def protected_header(text, padded):
    kind = "text/plain;charset=UTF-8" if text else "application/octet-stream"
    if not text and not padded:
        return '{"enc":"A256GCM"}'
    return f'{{"cty":"{kind}{";pad=7816" * padded}","enc":"A256GCM"}}'


def unwrap(kek, wrapped):
    try:
        return aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap:
        raise Refused("authentication") from None


def open_value(kek, envelope, context):
    """The plaintext, given the KEK and the canonical context (4.2, 4.3)."""
    if envelope.context is not None:
        require(envelope.context == context, "authentication")
    dek = unwrap(kek, envelope.wrapped)
    header = protected_header(envelope.text, envelope.padded).encode()
    aad = (base64url(header) + "." + base64url(context)).encode("ascii")
    payload = gcm_open(dek, envelope.nonce,
                       envelope.ciphertext + envelope.tag, aad)
    require(payload is not None, "authentication")
    if not envelope.padded:
        return payload
    payload = payload.rstrip(b"\0")
    require(payload.endswith(b"\x80"), "authentication")
    return payload[:-1]


# Section 6: keys

def identity(key_id, version):
    return key_id + version.to_bytes(2, "big")


def binding(key_id, version):
    return hashlib.sha256(b"pgenvelope/1 binding\0" +
                          identity(key_id, version)).digest()[:16]


def key_check_value(kek, key_id, version):
    return hmac.digest(kek, b"pgenvelope/1 kcv\0" +
                       identity(key_id, version), "sha256")[:16]


def fingerprint(root_key):
    return hmac.digest(root_key, b"pgenvelope/1 root\0", "sha256")[:8]


def kek_digest(key_id, version, sealed):
    return hashlib.sha256(identity(key_id, version) + sealed).digest()


def format_kid(name, key_id, version):
    return f"{name}@{key_id.hex()}/{version}"


def parse_kid(kid):
    """Name, id and version; kid is bytes (6.4)."""
    match = re.fullmatch(
        rb"([^\0]{1,63})@([0-9a-f]{12})/([1-9][0-9]{0,4})", kid, re.DOTALL)
    require(match, "malformed")
    key_id, version = bytes.fromhex(match[2].decode()), int(match[3])
    require(key_id != bytes(6) and version <= 65535, "malformed")
    try:
        return match[1].decode("utf-8"), key_id, version
    except UnicodeDecodeError:
        raise Refused("malformed") from None


def check_kek(plaintext, key_id, version, kcv=None):
    """The KEK out of what a provider unsealed (6.1, 6.2)."""
    require(len(plaintext) == 48, "integrity")
    require(hmac.compare_digest(plaintext[32:], binding(key_id, version)),
            "integrity")
    kek = plaintext[:32]
    if kcv is not None:
        require(hmac.compare_digest(kcv, key_check_value(
            kek, key_id, version)), "integrity")
    return kek


def scrypt(passphrase, ln, salt):
    """Costs up to a gigabyte: only for parameters that were checked."""
    return Scrypt(salt=salt, length=32, n=1 << ln, r=8, p=1).derive(
        passphrase)


@dataclass
class FileRoot:
    """A root key of 32 bytes, as a key file holds it."""

    key: bytes

    def key_for(self, kid, key_id, version):
        _, kid_id, kid_version = parse_kid(kid.encode())
        require((kid_id, kid_version) == (key_id, version), "integrity")
        return self.key


@dataclass
class PassphraseRoot:
    """A root key made from a passphrase and the salt of each seal."""

    passphrase: bytes

    def key_for(self, kid, key_id, version):
        match = re.fullmatch(r"\$scrypt\$ln=([0-9]{2}),r=8,p=1\$"
                             r"([A-Za-z0-9+/]{22})", kid)
        require(match and 15 <= int(match[1]) <= 20, "integrity")
        salt = base64.b64decode(match[2] + "==")
        require(base64.b64encode(salt).decode() == match[2] + "==",
                "integrity")
        return scrypt(self.passphrase, int(match[1]), salt)


def kid_of_header(header):
    """The kid, if the header is exactly that of 6.6."""
    start, end = '{"alg":"dir","enc":"A256GCM","kid":', "}"
    require(header.startswith(start) and header.endswith(end), "integrity")
    written = header[len(start):-len(end)]
    kid = read_json(written)
    require(isinstance(kid, str) and json_string(kid) == written,
            "integrity")
    return kid


def unseal(root, sealed, key_id, version, kcv=None):
    """The KEK out of a sealed KEK of the local providers (6.6)."""
    try:
        parts = sealed.decode("ascii").split(".")
        require(len(parts) == 5 and parts[1] == "", "integrity")
        header, _, nonce, ciphertext, tag = map(from_base64url, parts)
        require((len(nonce), len(ciphertext), len(tag)) == (12, 48, 16),
                "integrity")
        kid = kid_of_header(header.decode("utf-8"))
        root_key = root.key_for(kid, key_id, version)
    except (Refused, UnicodeError):
        raise Refused("integrity") from None
    plaintext = gcm_open(root_key, nonce, ciphertext + tag,
                         parts[0].encode("ascii"))
    require(plaintext is not None, "integrity")
    return check_kek(plaintext, key_id, version, kcv)


# Section 7: JWE

def to_jwe(envelope, context, name, form="flattened"):
    """The JWE as Python's idea of JSON."""
    if envelope.context is not None:
        require(envelope.context == context, "authentication")
    header = protected_header(envelope.text, envelope.padded).encode()
    recipient = {
        "header": {"alg": "A256KW", "kid": format_kid(
            name, envelope.key_id, envelope.key_version)},
        "encrypted_key": base64url(envelope.wrapped)}
    jwe = {"protected": base64url(header), "aad": base64url(context),
           "iv": base64url(envelope.nonce),
           "ciphertext": base64url(envelope.ciphertext),
           "tag": base64url(envelope.tag)}
    if form == "general":
        return {**jwe, "recipients": [recipient]}
    return {**jwe, **recipient}


def take_members(value, names):
    """The values of an object that has exactly these members."""
    require(isinstance(value, Members) and
            sorted(name for name, _ in value) == sorted(names), "malformed")
    return [dict(value)[name] for name in names]


def jwe_strings(data):
    """The members' strings of a JWE in JSON, of one of the two forms."""
    try:
        jwe = read_json(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused("malformed") from None
    require(isinstance(jwe, Members), "malformed")
    common = ["protected", "aad", "iv", "ciphertext", "tag"]
    if "recipients" in dict(jwe):
        *strings, recipients = take_members(jwe, common + ["recipients"])
        require(type(recipients) is list and len(recipients) == 1,
                "malformed")
        header, key = take_members(recipients[0], ["header", "encrypted_key"])
    else:
        *strings, header, key = take_members(
            jwe, common + ["header", "encrypted_key"])
    alg, kid = take_members(header, ["alg", "kid"])
    strings = dict(zip(common, strings), encrypted_key=key, alg=alg, kid=kid)
    require(all(isinstance(text, str) for text in strings.values()),
            "malformed")
    return strings


def from_jwe(strings, store_context):
    """The value of a JWE's strings."""
    kinds = {base64url(protected_header(text, padded).encode()):
             (text, padded) for text in (False, True)
             for padded in (False, True)}
    require(strings["alg"] == "A256KW", "unsupported")
    require(strings["protected"] in kinds, "unsupported")
    text, padded = kinds[strings["protected"]]
    _, key_id, version = parse_kid(strings["kid"].encode("utf-8",
                                                         "surrogatepass"))
    wrapped, context, nonce, ciphertext, tag = (
        from_base64url(strings[name]) for name in
        ("encrypted_key", "aad", "iv", "ciphertext", "tag"))
    require((len(wrapped), len(nonce), len(tag)) == (40, 12, 16),
            "malformed")
    try:
        require_canonical(context)
    except Refused:
        raise Refused("malformed") from None
    data = serialize(Envelope(store_context, text, padded, version, key_id,
                              wrapped, nonce,
                              context if store_context else None,
                              ciphertext, tag))
    parse(data)
    return data


# Section 9: from root key to plaintext

def walk(root, sealed_kek, text, context, kcv=None):
    """The plaintext of a text form; context is canonical."""
    envelope = parse(from_text(text))
    kek = unseal(root, sealed_kek, envelope.key_id, envelope.key_version,
                 kcv)
    return open_value(kek, envelope, context)


def read_root(arguments):
    """The root key that the command line names."""
    if arguments.passphrase:
        secret = pathlib.Path(arguments.passphrase).read_bytes()
        return PassphraseRoot(secret.removesuffix(b"\n"))
    line = pathlib.Path(arguments.root_key).read_bytes().strip()
    key = base64.b64decode(line, validate=True)
    if len(key) != 32:
        raise ValueError("the root key is not 32 bytes")
    return FileRoot(key)


def read_sealed(text):
    """A sealed KEK in hexadecimal, as bytea prints it, or as it is."""
    if text.startswith("ey"):
        return text.encode()
    return bytes.fromhex(text.removeprefix("\\x"))


def main():
    parser = argparse.ArgumentParser(
        description="Opens a value; without arguments, checks the vectors.")
    parser.add_argument("--root-key", metavar="FILE",
                        help="base64 of the root key, on one line")
    parser.add_argument("--passphrase", metavar="FILE",
                        help="the passphrase, on one line")
    parser.add_argument("--sealed-kek", metavar="SEALED",
                        help="sealed KEK in hexadecimal, or as it is")
    parser.add_argument("--context", metavar="JSON",
                        help="the encryption context that is expected")
    parser.add_argument("value", nargs="?", help="text form: env1....")
    arguments = parser.parse_args()
    if len(sys.argv) == 1:
        from check import main as check_vectors
        return check_vectors()
    if None in (arguments.sealed_kek, arguments.context, arguments.value) or \
            (arguments.root_key is None) == (arguments.passphrase is None):
        parser.error("give a root key or passphrase, a sealed KEK, a "
                     "context and a value")
    try:
        plaintext = walk(read_root(arguments),
                         read_sealed(arguments.sealed_kek),
                         os.fsencode(arguments.value),
                         canonical(os.fsencode(arguments.context)))
    except Refused as refused:
        print(f"decode.py: refused: {refused.word}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as problem:
        print(f"decode.py: {problem}", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(plaintext)
    return 0


if __name__ == "__main__":
    sys.exit(main())
