"""
envelope/ and equality/: docs/format.md, sections 2, 3, 4 and 8.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64

from . import format as f
from .primitives import flip, wrap_with_initial_value
from .vector import Vector

NAME = "customers"
KEY_ID = f.derive("envelope key id", 6)
VERSION = 3
ROOT_KEY = f.derive("envelope root key")
KEK = f.derive("envelope kek")
OTHER_KEK = f.derive("envelope other kek")

CONTEXT = f.canonical({"tenant": "acme", "type": "customers.email",
                       "id": 4711})
OTHER_CONTEXT = f.canonical({"tenant": "acme", "type": "customers.email",
                             "id": 4712})
LONGEST_CONTEXT = f.canonical({"a": "x" * 4088})
UNICODE_CONTEXT = f.canonical({"\ufb33": "\u20ac", "\U0001f600": "\n\"",
                               "": False, "id": -9007199254740991})

PLAINTEXT = b"jane@example.com"

# Fields and offsets of section 2.
WRAPPED, NONCE, HEADER = 10, 50, 62


class Case:
    """A value and what its reader is given."""

    def __init__(self, name, plaintext=PLAINTEXT, text=True, padding=0,
                 stored=False, context=CONTEXT, key_id=KEY_ID,
                 version=VERSION):
        self.plaintext, self.text, self.padding = plaintext, text, padding
        self.stored, self.context = stored, context
        self.key_id, self.version = key_id, version
        self.kek = KEK
        self.dek = f.derive(f"envelope dek {name}")
        self.nonce = f.derive(f"envelope nonce {name}", 12)
        self.supplied = context
        self.row_key_id, self.row_version = key_id, version
        self.value = self.seal()

    def flags(self):
        return (f.CONTEXT_STORED * self.stored | f.TEXT * self.text |
                f.PADDED * (self.padding > 0))

    def payload(self):
        if self.padding == 0:
            return self.plaintext
        return f.pad(self.plaintext, self.padding)

    def seal(self, payload=None, aad=None, flags=None, stored=None,
             wrapped=None):
        """The value's bytes; a case replaces what makes it bad."""
        sealed = f.gcm_seal(
            self.dek, self.nonce,
            self.payload() if payload is None else payload,
            f.additional_data(self.flags(), self.context)
            if aad is None else aad)
        if stored is None and self.stored:
            stored = self.context
        return f.envelope(self.flags() if flags is None else flags,
                          self.key_id, self.version,
                          wrapped or f.wrap(self.kek, self.dek), self.nonce,
                          stored, sealed)

    def key_fields(self):
        kid = f.kid(NAME, self.row_key_id, self.row_version)
        plaintext = self.kek + f.binding(self.row_key_id, self.row_version)
        nonce = f.derive(f"envelope seal {kid}", 12)
        sealed = f.local_seal(ROOT_KEY, f.local_header(kid), nonce, plaintext)
        return {"root_key": ROOT_KEY, "sealed_kek": sealed.decode(),
                "key_name": NAME, "key_id": self.row_key_id,
                "key_version": self.row_version, "kek": self.kek,
                "kcv": f.check_value(self.kek, self.row_key_id,
                                     self.row_version),
                "context": self.supplied.decode()}

    def header_fields(self, value):
        """What the header says, if there is one to read."""
        if len(value) < HEADER:
            return {}
        return {"value_key_id": value[4:10],
                "value_key_version": int.from_bytes(value[2:4], "big")}

    def good(self, name, comment, **more):
        return Vector("good_" + name, "ok", comment, {
            **self.key_fields(), "plaintext": self.plaintext,
            "dek": self.dek, "nonce": self.nonce, "text": self.text,
            "padding": self.padding, "stored": self.stored,
            **self.header_fields(self.value), **more},
            f.text_form(self.value))

    def bad(self, name, word, comment, value=None):
        value = self.value if value is None else value
        return Vector("bad_" + name, word, comment, {
            **self.key_fields(), **self.header_fields(value)},
            f.text_form(value))


GOOD = [
    ("text", "text", {}),
    ("bytes", "bytes", {"text": False, "plaintext": bytes(range(256))}),
    ("text_padded", "text, padded to 32", {"padding": 32}),
    ("bytes_padded", "bytes, padded to 64",
     {"text": False, "padding": 64, "plaintext": b"\0\1\2"}),
    ("text_stored", "text, and the context", {"stored": True}),
    ("bytes_stored", "bytes, and the context",
     {"stored": True, "text": False}),
    ("text_padded_stored", "every flag", {"stored": True, "padding": 256}),
    ("bytes_padded_stored", "bytes, padded, and the context",
     {"stored": True, "text": False, "padding": 16}),
    ("empty_text", "an empty text", {"plaintext": b""}),
    ("empty_bytes", "no bytes", {"plaintext": b"", "text": False}),
    ("empty_stored", "an empty text, and the context",
     {"plaintext": b"", "stored": True}),
    ("empty_padded", "an empty text, padded to 16",
     {"plaintext": b"", "padding": 16}),
    ("length_1", "one byte", {"plaintext": b"x"}),
    ("length_1000", "1000 bytes",
     {"plaintext": f.derive("envelope 1000", 1000), "text": False}),
    ("utf8", "text outside of ASCII",
     {"plaintext": "J\u00e4ne \U0001f511 \u20ac\n".encode()}),
    ("envelope_in_envelope", "a plaintext that looks like a value",
     {"plaintext": b"env1.4RIAAQ"}),
    ("zero_bytes", "zero bytes", {"plaintext": bytes(33), "text": False}),
    ("padded_to_1", "padded to 1: one byte 0x80", {"padding": 1}),
    ("padded_exactly", "16 bytes padded to 16 are 32", {"padding": 16}),
    ("padded_fits", "15 bytes padded to 16 are 16",
     {"padding": 16, "plaintext": PLAINTEXT[:15]}),
    ("padded_odd", "padded to 7", {"padding": 7}),
    ("padded_like_padding", "a plaintext that ends like padding",
     {"padding": 16, "text": False, "plaintext": b"x\x80\0\0"}),
    ("padded_largest", "padded to 65536", {"padding": 65536}),
    ("context_empty", "the context {}", {"context": b"{}"}),
    ("context_empty_stored", "the context {}, stored",
     {"context": b"{}", "stored": True}),
    ("context_longest", "a context of 4096 bytes",
     {"context": LONGEST_CONTEXT}),
    ("context_longest_stored", "a context of 4096 bytes, stored",
     {"context": LONGEST_CONTEXT, "stored": True}),
    ("context_unicode", "a context outside of ASCII, stored",
     {"context": UNICODE_CONTEXT, "stored": True}),
    ("key_id_smallest", "key id 1", {"key_id": b"\0" * 5 + b"\1"}),
    ("key_id_largest", "key id 2^48 - 1", {"key_id": b"\xff" * 6}),
    ("version_smallest", "key version 1", {"version": 1}),
    ("version_largest", "key version 65535", {"version": 65535}),
]


def good_vectors():
    for name, comment, how in GOOD:
        yield Case(name, **how).good(name, comment)
    case = Case("version_not_authenticated")
    case.version += 1
    case.value = case.seal()
    yield case.good("version_not_authenticated",
                    "the value names another key version than the KEK's",
                    walk="integrity")
    case = Case("key_id_not_authenticated")
    case.key_id = flip(KEY_ID, 47)
    case.value = case.seal()
    yield case.good("key_id_not_authenticated",
                    "the value names another key than the KEK's",
                    walk="integrity")


def structure_vectors():
    """Values that no key is needed to refuse."""
    case = Case("structure")
    stored = Case("structure stored", stored=True)
    value = case.value

    for byte, word in [(0x00, "malformed"), (0x01, "malformed"),
                       (0x61, "malformed"), (0xD1, "malformed"),
                       (0xE0, "malformed"), (0xE2, "unsupported"),
                       (0xEF, "unsupported"), (0xF1, "malformed"),
                       (0xFF, "malformed")]:
        yield case.bad(f"magic_{byte:02x}", word, f"magic 0x{byte:02x}",
                       bytes([byte]) + value[1:])
    for suite in (0, 2, 3, 15):
        yield case.bad(f"suite_{suite}", "unsupported", f"suite {suite}",
                       value[:1] + bytes([suite << 4 | f.TEXT]) + value[2:])
    yield case.bad("flag_3", "unsupported", "flag 3 is set",
                   value[:1] + bytes([value[1] | 8]) + value[2:])
    yield case.bad("version_zero", "malformed", "key version 0",
                   value[:2] + bytes(2) + value[4:])
    yield case.bad("key_id_zero", "malformed", "key id 0",
                   value[:4] + bytes(6) + value[10:])
    for length in (0, 1, 2, 4, 10, 50, 61, 62, 77):
        yield case.bad(f"length_{length}", "malformed",
                       f"cut after {length} bytes", value[:length])
    yield case.bad("later_format_short", "unsupported",
                   "a later format, of which nothing else is known", b"\xe2")
    yield case.bad("padded_empty", "malformed",
                   "padded, and no ciphertext",
                   case.seal(payload=b"", flags=f.TEXT | f.PADDED))
    for length in (62, 63, 64, 80, len(stored.value) - 17 - 16):
        yield stored.bad(f"context_cut_{length}", "malformed",
                         f"a stored context, cut after {length} bytes",
                         stored.value[:length])
    yield stored.bad("context_tag_cut", "malformed",
                     "15 bytes after the stored context",
                     stored.value[:len(stored.value) - 17])

    def with_context(name, comment, data, length=None):
        value = stored.seal(stored=data)
        if length is not None:
            value = value[:62] + length.to_bytes(2, "big") + value[64:]
        return stored.bad("context_" + name, "malformed", comment, value)

    yield with_context("length_zero", "a stored context of no bytes", b"")
    yield with_context("length_past_end", "a length past the end",
                       CONTEXT, 4096)
    yield with_context("length_largest", "a length of 65535", CONTEXT, 65535)
    yield with_context("length_short", "a length one too small",
                       CONTEXT, len(CONTEXT) - 1)
    yield with_context("length_long", "a length one too large",
                       CONTEXT, len(CONTEXT) + 1)
    yield with_context("too_long", "a stored context of 4097 bytes",
                       f.canonical({"a": "x" * 4089}))
    yield with_context("order", "a stored context that is not canonical",
                       b'{"tenant":"acme","id":4711}')
    yield with_context("space", "a stored context that is not canonical",
                       CONTEXT + b" ")
    yield with_context("duplicate", "a stored context that is not canonical",
                       b'{"id":4711,"id":4711}')
    yield with_context("null", "null in a stored context", b'{"id":null}')
    yield with_context("utf8", "a stored context that is not UTF-8",
                       b'{"id":"\xff"}')
    yield with_context("not_json", "a stored context that is no JSON text",
                       b"tenant=acme")


def text_vectors():
    """Texts that are not the text form of anything."""
    case = Case("text form")
    good = f.text_form(case.value)
    body = good[5:]
    # 94 bytes: two characters at the end, the last with four bits of zero.
    assert len(body) % 4 == 2
    whole = f.text_form(Case("text form", plaintext=PLAINTEXT + b"!!").value)
    assert len(whole[5:]) % 4 == 0

    def bad(name, comment, text):
        vector = case.bad("text_" + name, "malformed", comment)
        vector.body = text
        return vector

    yield bad("nothing", "an empty text", b"")
    yield bad("prefix_missing", "no prefix", body)
    yield bad("prefix_only", "the prefix without its point", b"env1")
    yield bad("prefix_upper_case", "an upper-case prefix", b"ENV1." + body)
    yield bad("prefix_2", "the prefix env2.", b"env2." + body)
    yield bad("prefix_0", "the prefix env.", b"env." + body)
    yield bad("prefix_cut", "the prefix env", b"env")
    yield bad("plaintext", "a plaintext in the wrong column", PLAINTEXT)
    yield bad("hexadecimal", "PostgreSQL's form of bytes",
              b"\\x" + case.value.hex().encode())
    yield bad("padded", "base64 padding where it would belong", good + b"==")
    yield bad("equals_sign", "base64 padding where none belongs",
              whole + b"=")
    yield bad("trailing_bits", "set bits after the last byte",
              good[:-1] + bytes([good[-1] + 1]))
    yield bad("length_1_mod_4", "one character too many",
              good + b"A" * ((1 - len(body)) % 4))
    yield bad("plus", "a character of the standard alphabet",
              good[:40] + b"+" + good[41:])
    yield bad("slash", "a character of the standard alphabet",
              good[:40] + b"/" + good[41:])
    yield bad("newline_after", "a newline after", good + b"\n")
    yield bad("newline_inside", "a newline inside",
              good[:64] + b"\n" + good[64:])
    yield bad("space_before", "a space before", b" " + good)
    yield bad("space_after", "a space after", good + b" ")
    yield bad("space_prefix", "a space after the prefix",
              good[:5] + b" " + good[5:])
    yield bad("point", "a point in the bytes", good[:40] + b"." + good[41:])
    yield bad("utf8", "a character outside of ASCII",
              good[:40] + "\u00e9".encode() + good[41:])
    yield bad("twice", "two values", good + good)


def flipped_vectors():
    """One bit of every field, in turn."""
    plain = Case("flipped")
    value = plain.value
    ciphertext, tag = HEADER, len(value) - 16
    for name, start, end in [("wrapped", WRAPPED, NONCE),
                             ("nonce", NONCE, HEADER),
                             ("ciphertext", ciphertext, tag),
                             ("tag", tag, len(value))]:
        yield plain.bad(f"{name}_first_bit", "authentication",
                        f"the first bit of the {name} is flipped",
                        flip(value, start * 8))
        yield plain.bad(f"{name}_last_bit", "authentication",
                        f"the last bit of the {name} is flipped",
                        flip(value, end * 8 - 1))
    yield plain.bad("flag_text", "authentication",
                    "the flag text is cleared",
                    flip(value, 14))
    yield plain.bad("flag_padded_set", "authentication",
                    "the flag padded is set", flip(value, 13))
    padded = Case("flipped padded", padding=16)
    yield padded.bad("flag_padded_cleared", "authentication",
                     "the flag padded is cleared", flip(padded.value, 13))
    stored = Case("flipped stored", stored=True)
    yield stored.bad("flag_context_cleared", "authentication",
                     "the flag context is cleared", flip(stored.value, 15))
    digit = stored.value.index(b"4711") + 3
    yield stored.bad("context_bit", "authentication",
                     "a bit of the stored context is flipped; it stays "
                     "canonical", flip(stored.value, digit * 8 + 6))
    yield plain.bad("tag_cut", "authentication",
                    "the last byte is missing", value[:-1])
    yield plain.bad("byte_after", "authentication",
                    "a zero byte after", value + b"\0")
    yield plain.bad("ciphertext_missing", "authentication",
                    "the ciphertext is missing",
                    value[:HEADER] + value[-16:])


def context_vectors():
    """The right value, the wrong context."""
    for name, comment, supplied in [
            ("other_row", "the context of another row", OTHER_CONTEXT),
            ("other_tenant", "the context of another tenant", f.canonical(
                {"tenant": "umbrella", "type": "customers.email",
                 "id": 4711})),
            ("type", "the id as a string", f.canonical(
                {"tenant": "acme", "type": "customers.email",
                 "id": "4711"})),
            ("case", "a name in upper case", f.canonical(
                {"Tenant": "acme", "type": "customers.email", "id": 4711})),
            ("member_missing", "a member is missing", f.canonical(
                {"tenant": "acme", "type": "customers.email"})),
            ("member_more", "a member more", f.canonical(
                {"tenant": "acme", "type": "customers.email", "id": 4711,
                 "note": True})),
            ("empty", "the context {}", b"{}")]:
        for stored in (False, True):
            case = Case("wrong context", stored=stored)
            case.supplied = supplied
            suffix = "_stored" if stored else ""
            yield case.bad("supplied_" + name + suffix, "authentication",
                           comment + (", though the value stores its own"
                                      if stored else ""))
    moved = Case("moved", stored=True)
    moved.supplied = OTHER_CONTEXT
    yield moved.bad("moved", "authentication",
                    "a value moved to another row, its stored context "
                    "rewritten", moved.seal(stored=OTHER_CONTEXT))
    yield Case("stored other", stored=True).bad(
        "stored_other", "authentication",
        "sealed with the context supplied, but another is stored: only the "
        "comparison finds it",
        Case("stored other", stored=True).seal(stored=OTHER_CONTEXT))


def sealing_vectors():
    """Sealed in another way than this format's, with the right key."""
    case = Case("sealing")
    text = f.base64url(f.protected(f.TEXT)).encode()
    bound = f.base64url(CONTEXT).encode()
    for name, comment, aad in [
            ("nothing", "no additional data", b""),
            ("context_only", "only the context", bound),
            ("header_only", "only the header, as in a compact JWE", text),
            ("not_encoded", "the context is not encoded",
             text + b"." + CONTEXT),
            ("padded", "base64 with padding",
             text + b"." + base64.urlsafe_b64encode(CONTEXT + b" ")),
            ("not_canonical", "the context is not canonical",
             text + b"." + f.base64url(CONTEXT.replace(b":", b": ")).encode()
             ),
            ("header_bytes", "the header of bytes",
             f.additional_data(0, CONTEXT)),
            ("header_order", "the header's members in another order",
             f.base64url(b'{"enc":"A256GCM","cty":"text/plain;charset=UTF-8"}'
                         ).encode() + b"." + bound)]:
        yield case.bad("aad_" + name, "authentication", comment,
                       case.seal(aad=aad))
    other = Case("sealing other")
    yield case.bad("wrap_of_other_value", "authentication",
                   "the wrap of another value of this key",
                   case.seal(wrapped=f.wrap(KEK, other.dek)))
    yield case.bad("wrap_other_kek", "authentication",
                   "wrapped with another KEK",
                   case.seal(wrapped=f.wrap(OTHER_KEK, case.dek)))
    yield case.bad("wrap_initial_value", "authentication",
                   "wrapped with the initial value of RFC 5649",
                   case.seal(wrapped=wrap_with_initial_value(
                       KEK, case.dek, bytes.fromhex("a65959a600000020"))))
    yield case.bad("wrap_zero", "authentication", "a wrap of zero bytes",
                   case.seal(wrapped=bytes(40)))
    case = Case("other kek")
    case.kek = OTHER_KEK
    yield case.bad("kek", "authentication",
                   "another KEK of the same id and version, as a rolled-back "
                   "rotation leaves it")
    padded = Case("padding", padding=16)
    for name, comment, payload in [
            ("zeros", "sixteen zero bytes", bytes(16)),
            ("none", "sixteen bytes without padding", PLAINTEXT),
            ("zeros_after_text", "zero bytes, but no 0x80",
             b"jane" + bytes(12)),
            ("pkcs7", "padded as PKCS #7 says", b"jane" + b"\x0c" * 12),
            ("one_zero", "one zero byte", b"\0"),
            ("garbage_after", "a byte after the padding",
             b"jane\x80" + bytes(10) + b"\1")]:
        yield padded.bad("padding_" + name, "authentication",
                         "well sealed, badly padded: " + comment,
                         padded.seal(payload=payload))


def envelope_vectors():
    for vectors in (good_vectors, structure_vectors, text_vectors,
                    flipped_vectors, context_vectors, sealing_vectors):
        yield from vectors()


def equality_vectors():
    case, stored = Case("equality"), Case("equality", stored=True)
    value = case.value

    def pair(name, comment, equal, b, a=value, **more):
        return Vector("good_" + name, "ok", comment, {
            "equal": equal, "a": f.text_form(a).decode(),
            "b": f.text_form(b).decode(), **more})

    rewrapped = (value[:2] + (VERSION + 1).to_bytes(2, "big") + value[4:10] +
                 f.wrap(OTHER_KEK, case.dek) + value[50:])
    yield pair("same", "the same bytes", True, value)
    yield pair("rewrapped", "before and after a rewrap", True, rewrapped,
               old_kek=KEK, new_kek=OTHER_KEK, new_version=VERSION + 1)
    long = Case("equality long", f.derive("equality", 1000), False, 0, True)
    yield pair("rewrapped_stored", "before and after a rewrap", True,
               long.value[:2] + b"\xff\xff" + long.value[4:10] +
               f.wrap(OTHER_KEK, long.dek) + long.value[50:], long.value,
               old_kek=KEK, new_kek=OTHER_KEK, new_version=65535)
    yield pair("damaged_wrap", "a damaged wrap equals its good twin", True,
               flip(value, 100))
    yield pair("key_id", "the key id is not compared", True, flip(value, 79))
    for name, comment, bit in [
            ("flag", "a flag differs", 14), ("nonce", "the nonce differs",
                                             400),
            ("nonce_last", "the nonce's last bit differs", 495),
            ("ciphertext", "the ciphertext differs", 496),
            ("tag", "the tag differs", len(value) * 8 - 1)]:
        yield pair(name, comment, False, flip(value, bit))
    yield pair("length", "a byte more", False,
               value[:-16] + b"\0" + value[-16:])
    yield pair("stored", "one stores its context", False, stored.value)
    yield pair("stored_context", "the stored contexts differ", False,
               stored.seal(stored=OTHER_CONTEXT), stored.value)
    yield pair("sealed_again", "the same plaintext sealed again", False,
               Case("equality again").value)
