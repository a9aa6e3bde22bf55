"""
Runs decode.py over every vector (README.md) and prints TAP.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import json
import pathlib
import re

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

import decode
from decode import Refused, require

HERE = pathlib.Path(__file__).resolve().parent
FORMAT = HERE.parent.parent / "docs" / "format.md"


class Vector:
    """The header and the body of a file."""

    def __init__(self, content):
        header, separator, body = content.partition(b"\n\n")
        self.body = body if separator else None
        self.fields, self.members = {}, []
        for line in header.decode().rstrip("\n").split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "member":
                self.members.append(value)
            else:
                require(key not in self.fields, f"{key} twice")
                self.fields[key] = value

    def __contains__(self, key):
        return key in self.fields

    def text(self, key):
        return self.fields[key]

    def bytes(self, key):
        return bytes.fromhex(self.fields[key])

    def number(self, key):
        return int(self.fields[key])

    def is_yes(self, key):
        return self.fields.get(key) == "yes"

    def key(self):
        return self.bytes("key_id"), self.number("key_version")


class Wrong(Exception):
    """A result other than the vector's."""


def same(what, got, expected):
    if got != expected:
        raise Wrong(f"{what} is {got!r}, expected {expected!r}")


def outcome(function, *arguments):
    """The result and the word of a call."""
    try:
        return function(*arguments), "ok"
    except Refused as refused:
        return None, refused.word


def check_wrap(vector):
    kek, wrapped = vector.bytes("kek"), vector.bytes("wrapped")
    dek, word = outcome(decode.unwrap, kek, wrapped)
    same("unwrapping", word, vector.text("expect"))
    if word == "ok":
        same("DEK", dek, vector.bytes("dek"))
        same("wrap", aes_key_wrap(kek, dek), wrapped)


def check_gcm(vector):
    key, nonce, aad = (vector.bytes(name) for name in ("key", "nonce", "aad"))
    sealed = vector.bytes("ciphertext") + vector.bytes("tag")
    opened = decode.gcm_open(key, nonce, sealed, aad)
    same("opening", "authentication" if opened is None else "ok",
         vector.text("expect"))
    if opened is not None:
        same("plaintext", opened, vector.bytes("plaintext"))
        same("ciphertext", AESGCM(key).encrypt(nonce, opened, aad), sealed)


def json_of_members(members):
    """JSON of `member` lines; bytes that are no UTF-8 stay as they are."""
    def string(text):
        data = b"" if text == "-" else bytes.fromhex(text)
        escaped = "".join(
            f"\\u{byte:04x}" if byte < 0x20 or byte in b'"\\' else chr(byte)
            for byte in data)
        return b'"' + escaped.encode("latin-1") + b'"'

    pairs = []
    for member in members:
        kind, name, *value = member.split(" ")
        written = {"string": string, "null": lambda: b"null"}.get(
            kind, str.encode)(*value)
        pairs.append(string(name) + b":" + written)
    return b"{" + b",".join(pairs) + b"}"


def check_context(vector):
    forms = [vector.body]
    if vector.text("expect") == "ok" or "members" not in vector:
        forms.append(json_of_members(vector.members))
    for form in forms:
        canonical, word = outcome(decode.canonical, form)
        same("encoding", word, vector.text("expect"))
        if word == "ok":
            same("canonical form", canonical,
                 vector.text("canonical").encode())
            decode.require_canonical(canonical)


def check_canonical(vector):
    _, word = outcome(decode.require_canonical, vector.body)
    same("validation", word, vector.text("expect"))


def check_policy(vector):
    try:
        decode.require_policy(vector.text("policy").encode(),
                              vector.text("context").encode())
        word, member = "ok", None
    except Refused as refused:
        word, member = (*refused.args, None)[:2]
    same("check", word, vector.text("expect"))
    same("member", member, vector.fields.get("failed_member"))


def check_envelope(vector):
    expect = vector.text("expect")
    context = vector.text("context").encode()
    data, word = outcome(decode.from_text, vector.body)
    if word == "ok":
        envelope, word = outcome(decode.parse, data)
    if expect in ("malformed", "unsupported", "limit"):
        same("structure", word, expect)
        return
    same("structure", word, "ok")
    same("bytes", decode.serialize(envelope), data)
    same("key id", envelope.key_id, vector.bytes("value_key_id"))
    same("version", envelope.key_version, vector.number("value_key_version"))

    plaintext, word = outcome(decode.open_value, vector.bytes("kek"),
                              envelope, context)
    same("opening with the KEK", word, expect)
    if word == "ok":
        same("plaintext", plaintext, vector.bytes("plaintext"))
        same("DEK", decode.unwrap(vector.bytes("kek"), envelope.wrapped),
             vector.bytes("dek"))
        same("nonce", envelope.nonce, vector.bytes("nonce"))
        same("text", envelope.text, vector.is_yes("text"))
        same("stored", envelope.context is not None, vector.is_yes("stored"))
        same("padded", envelope.padded, vector.number("padding") > 0)
    root = decode.FileRoot(vector.bytes("root_key"))
    sealed, kcv = vector.text("sealed_kek").encode(), vector.bytes("kcv")
    same("KEK", decode.unseal(root, sealed, *vector.key(), kcv),
         vector.bytes("kek"))
    walked, word = outcome(decode.walk, root, sealed, vector.body, context,
                           kcv)
    same("opening from the root key", word,
         vector.fields.get("walk", expect))
    if word == "ok":
        same("plaintext", walked, plaintext)


def check_equality(vector):
    a, b = (decode.from_text(vector.text(name).encode()) for name in "ab")
    same("equality", decode.equal(a, b), vector.is_yes("equal"))
    for data in (a, b):
        decode.parse(data)
    if "new_kek" in vector:
        dek = decode.unwrap(vector.bytes("old_kek"), a[10:50])
        same("rewrapped", a[:2] +
             vector.number("new_version").to_bytes(2, "big") + a[4:10] +
             aes_key_wrap(vector.bytes("new_kek"), dek) + a[50:], b)


def check_kid(vector):
    parsed, word = outcome(decode.parse_kid, vector.body)
    same("kid", word, vector.text("expect"))
    if word == "ok":
        name = vector.bytes("name").decode()
        same("parts", parsed, (name, *vector.key()))
        same("format", decode.format_kid(*parsed).encode(), vector.body)


def check_key(vector):
    function = vector.text("function")
    if function == "kid":
        check_kid(vector)
    elif function == "check":
        kek, word = outcome(decode.check_kek,
                            vector.bytes("sealed_plaintext"), *vector.key(),
                            vector.bytes("kcv"))
        same("check", word, vector.text("expect"))
        same("KEK", kek, vector.bytes("kek") if word == "ok" else None)
    elif function == "fingerprint":
        same(function, decode.fingerprint(vector.bytes("root_key")),
             vector.bytes(function))
    elif function == "binding":
        same(function, decode.binding(*vector.key()), vector.bytes(function))
    elif function == "kcv":
        same(function, decode.key_check_value(vector.bytes("kek"),
                                              *vector.key()),
             vector.bytes(function))
    elif function == "digest":
        same(function, decode.kek_digest(*vector.key(),
                                         vector.bytes("sealed")),
             vector.bytes(function))
    else:
        raise Wrong(f"function {function}")


def check_jwe(vector):
    expect, name = vector.text("expect"), vector.text("key_name")
    context = vector.text("context").encode()
    if vector.fields.get("direction") == "to":
        envelope = decode.parse(decode.from_text(
            vector.text("envelope").encode()))
        _, word = outcome(decode.to_jwe, envelope, context, name)
        same("conversion", word, expect)
        return

    def convert():
        strings = decode.jwe_strings(vector.body)
        if "members" not in vector:
            for key, text in strings.items():
                same(key, text, vector.text(key))
        return decode.from_jwe(strings, vector.is_yes("store_context"))

    data, word = outcome(convert)
    same("conversion", word, expect)
    if word == "ok":
        same("value", data, decode.from_text(
            vector.text("envelope").encode()))
        envelope = decode.parse(data)
        same("JWE", decode.to_jwe(envelope, context, name,
                                  vector.text("form")),
             json.loads(vector.body))
        same("plaintext", decode.open_value(vector.bytes("kek"), envelope,
                                            context),
             vector.bytes("plaintext"))


def check_root(vector):
    runs = []

    class Passphrase(decode.PassphraseRoot):
        def key_for(self, *arguments):
            key = super().key_for(*arguments)
            runs.append(key)
            return key

    if vector.text("provider") == "file":
        root = decode.FileRoot(vector.bytes("root_key"))
    else:
        root = Passphrase(vector.text("passphrase").encode())
    kek, word = outcome(decode.unseal, root, vector.body, *vector.key())
    same("unsealing", word, vector.text("expect"))
    if vector.fields.get("runs_scrypt") == "no":
        same("runs of scrypt", len(runs), 0)
    if word == "ok":
        same("KEK", kek, vector.bytes("kek"))
        key = runs[0] if runs else root.key
        same("root key", key, vector.bytes("root_key"))
        same("fingerprint", decode.fingerprint(key),
             vector.bytes("fingerprint"))
        same("nonce", decode.from_base64url(
            vector.body.decode().split(".")[2]), vector.bytes("nonce"))


def check_document():
    """The example of docs/format.md, section 9."""
    lines = re.findall(r"^    ([a-z_]+): (.*)$", FORMAT.read_text(), re.M)
    fields = dict(lines)
    plaintext = decode.walk(
        decode.FileRoot(bytes.fromhex(fields["root_key"])),
        fields["sealed_kek"].encode(), fields["value"].encode(),
        decode.canonical(fields["context"].encode()),
        bytes.fromhex(fields["kcv"]))
    same("plaintext", plaintext.decode(), fields["plaintext"])


CHECKS = {"canonical": check_canonical, "context": check_context,
          "envelope": check_envelope, "equality": check_equality,
          "gcm": check_gcm, "jwe": check_jwe, "key": check_key,
          "policy": check_policy, "root": check_root, "wrap": check_wrap}


class Tap:
    """Prints TAP and counts."""

    def __init__(self):
        self.count = self.failed = 0

    def run(self, name, check, *arguments):
        self.count += 1
        try:
            check(*arguments)
            print(f"ok {self.count} - {name}")
        except Exception as problem:    # whatever it is, the next case runs
            self.failed += 1
            print(f"not ok {self.count} - {name}")
            print(f"# {type(problem).__name__}: {problem}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def finish(self):
        print(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0


def vectors_of(directory):
    """Name and vector of every file of a directory."""
    for path in sorted((HERE / directory).iterdir()):
        yield f"{directory}/{path.name}", Vector(path.read_bytes())


def main():
    tap = Tap()
    for directory, check in CHECKS.items():
        before = tap.count
        for name, vector in vectors_of(directory):
            tap.run(name, check, vector)
        tap.run(f"{directory}/ has vectors", require, tap.count > before,
                "no vectors")
    tap.run("docs/format.md, section 9", check_document)
    return tap.finish()
