"""
key/ and root/: docs/format.md, section 6.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64

from . import format as f
from .primitives import flip
from .vector import Vector

LARGEST_ID = b"\xff" * 6
SMALLEST_ID = b"\0" * 5 + b"\1"


def identities():
    """Key ids and versions worth trying, with a word for each."""
    yield "smallest", SMALLEST_ID, 1
    yield "largest", LARGEST_ID, 65535
    yield "derived", f.derive("key id", 6), 3
    yield "version_256", f.derive("key id", 6), 256


def number_vectors():
    kek = f.derive("key kek")
    for name, key_id, version in identities():
        ident = {"key_id": key_id, "key_version": version}
        yield Vector(f"good_binding_{name}", "ok", "a binding", {
            "function": "binding", **ident,
            "binding": f.binding(key_id, version)})
        yield Vector(f"good_kcv_{name}", "ok", "a key-check value", {
            "function": "kcv", "kek": kek, **ident,
            "kcv": f.check_value(kek, key_id, version)})
        sealed = f.derive(f"key sealed {name}", 100)
        yield Vector(f"good_digest_{name}", "ok", "a digest of a sealed KEK", {
            "function": "digest", **ident, "sealed": sealed,
            "digest": f.kek_digest(key_id, version, sealed)})
    key_id = f.derive("key id", 6)
    yield Vector("good_digest_empty", "ok", "nothing is sealed", {
        "function": "digest", "key_id": key_id, "key_version": 1,
        "sealed": b"", "digest": f.kek_digest(key_id, 1, b"")})
    yield Vector("good_kcv_zero", "ok", "a KEK of zero bytes", {
        "function": "kcv", "kek": bytes(32), "key_id": SMALLEST_ID,
        "key_version": 1, "kcv": f.check_value(bytes(32), SMALLEST_ID, 1)})
    for name, root in [("derived", f.derive("root key")),
                       ("zero", bytes(32)), ("ones", b"\xff" * 32)]:
        yield Vector(f"good_fingerprint_{name}", "ok", "a root fingerprint", {
            "function": "fingerprint", "root_key": root,
            "fingerprint": f.fingerprint(root)})


def check_vectors():
    kek, key_id, version = f.derive("key kek"), f.derive("key id", 6), 3
    good = kek + f.binding(key_id, version)
    kcv = f.check_value(kek, key_id, version)

    def check(name, word, comment, sealed_plaintext, kcv=kcv, **more):
        fields = {"function": "check", "key_id": key_id,
                  "key_version": version, "kcv": kcv,
                  "sealed_plaintext": sealed_plaintext, **more}
        prefix = "good_" if word == "ok" else "bad_"
        return Vector(prefix + "check_" + name, word, comment, fields)

    yield check("kek", "ok", "a KEK with its binding", good, kek=kek)
    for name, comment, data in [
            ("other_version", "the KEK of another version",
             kek + f.binding(key_id, version + 1)),
            ("other_key", "the KEK of another key",
             kek + f.binding(flip(key_id, 47), version)),
            ("binding_first_bit", "the binding's first bit is flipped",
             flip(good, 256)),
            ("binding_last_bit", "the binding's last bit is flipped",
             flip(good, 383)),
            ("binding_zero", "a binding of zero bytes", kek + bytes(16)),
            ("kek_only", "a KEK without its binding", kek),
            ("short", "47 bytes", good[:-1]),
            ("long", "49 bytes", good + b"\0"),
            ("nothing", "no bytes", b"")]:
        yield check(name, "integrity", comment, data)
    yield check("other_kek", "integrity",
                "another KEK, rightly bound: its key-check value differs",
                f.derive("key kek 2") + f.binding(key_id, version))


NAMES = [
    ("plain", "customers"),
    ("one_character", "k"),
    ("at_and_slash", "a@b/c@0123456789ab/1"),
    ("unicode", "schl\u00fcssel \U0001f511"),
    ("quotes", 'the "old" one\\'),
    ("longest", "n" * 63),
    ("longest_utf8", "\u00fc" * 31 + "x"),
    ("control", "tab\tbed"),
]

BAD_KIDS = [
    ("nothing", "no bytes", b""),
    ("name_only", "a name alone", b"customers"),
    ("name_missing", "an empty name", b"@0123456789ab/1"),
    ("name_too_long", "a name of 64 bytes", b"n" * 64 + b"@0123456789ab/1"),
    ("name_utf8", "a name that is not UTF-8", b"caf\xe9@0123456789ab/1"),
    ("name_nul", "a zero byte in the name", b"a\0b@0123456789ab/1"),
    ("at_missing", "no @", b"customers0123456789ab/1"),
    ("slash_missing", "no slash", b"customers@0123456789ab"),
    ("id_short", "11 digits", b"customers@123456789ab/1"),
    ("id_long", "13 digits", b"customers@00123456789ab/1"),
    ("id_upper_case", "upper-case digits", b"customers@0123456789AB/1"),
    ("id_not_hexadecimal", "a digit that is none",
     b"customers@0123456789ag/1"),
    ("id_zero", "key id 0", b"customers@000000000000/1"),
    ("id_empty", "no id", b"customers@/1"),
    ("version_missing", "no version", b"customers@0123456789ab/"),
    ("version_zero", "version 0", b"customers@0123456789ab/0"),
    ("version_leading_zero", "a leading zero", b"customers@0123456789ab/01"),
    ("version_plus", "a plus sign", b"customers@0123456789ab/+1"),
    ("version_negative", "a minus sign", b"customers@0123456789ab/-1"),
    ("version_space", "a space", b"customers@0123456789ab/ 1"),
    ("version_large", "version 65536", b"customers@0123456789ab/65536"),
    ("version_huge", "version 2^32 + 1",
     b"customers@0123456789ab/4294967297"),
    ("version_hexadecimal", "a hexadecimal version",
     b"customers@0123456789ab/a"),
    ("newline", "a newline after", b"customers@0123456789ab/1\n"),
    ("nul_after", "a zero byte after", b"customers@0123456789ab/1\0"),
    ("passphrase", "the kid of a passphrase seal",
     b"$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA"),
]


def kid_vectors():
    def good(name, comment, key_name, key_id, version):
        return Vector(f"good_kid_{name}", "ok", comment, {
            "function": "kid", "name": key_name.encode(), "key_id": key_id,
            "key_version": version},
            f.kid(key_name, key_id, version).encode())

    for name, key_name in NAMES:
        yield good("name_" + name, "a kid", key_name, f.derive("key id", 6), 3)
    for name, key_id, version in identities():
        yield good(name, "a kid", "customers", key_id, version)
    for name, comment, body in BAD_KIDS:
        yield Vector(f"bad_kid_{name}", "malformed", comment,
                     {"function": "kid"}, body)


def key_vectors():
    yield from number_vectors()
    yield from check_vectors()
    yield from kid_vectors()


class Root:
    """A sealed KEK in the making; a case replaces what makes it bad."""

    name = "customers"
    key_id = f.derive("root key id", 6)
    version = 3
    kek = f.derive("root kek")
    nonce = f.derive("root nonce", 12)

    @classmethod
    def plaintext(cls):
        return cls.kek + f.binding(cls.key_id, cls.version)

    @classmethod
    def fields(cls, provider, **more):
        return {"provider": provider, **more, "key_name": cls.name,
                "key_id": cls.key_id, "key_version": cls.version}

    @classmethod
    def sealed(cls, root_key, header, plaintext=None, nonce=None):
        return f.local_seal(root_key, header, nonce or cls.nonce,
                            cls.plaintext() if plaintext is None
                            else plaintext)


def join(parts):
    return b".".join(parts)


def flip_part(sealed, part, bit=-1):
    """The sealed KEK with a bit of one part's bytes flipped."""
    parts = sealed.split(b".")
    data = base64.urlsafe_b64decode(parts[part] + b"==")
    bit = len(data) * 8 - 1 if bit < 0 else bit
    parts[part] = f.base64url(flip(data, bit)).encode()
    return join(parts)


def header_cases(kid):
    """Headers that say nearly the same; each seals well."""
    text = f.local_header(kid).decode()
    yield "space", "a space", text.replace(":", ": ", 1)
    yield "order", "members in another order", \
        '{"enc":"A256GCM","alg":"dir",' + text[29:]
    yield "alg", "another alg", text.replace('"dir"', '"A256GCMKW"')
    yield "alg_case", "alg in upper case", text.replace('"dir"', '"DIR"')
    yield "enc", "another enc", text.replace("A256GCM", "A128GCM")
    yield "zip", "a member more", text[:-1] + ',"zip":"DEF"}'
    yield "crit", "a member more", text[:-1] + ',"crit":["exp"],"exp":1}'
    yield "kid_missing", "no kid", '{"alg":"dir","enc":"A256GCM"}'
    yield "kid_number", "kid is a number", \
        '{"alg":"dir","enc":"A256GCM","kid":3}'
    yield "kid_twice", "kid twice", text[:-1] + "," + text[29:]
    yield "empty", "an empty object", "{}"
    yield "not_json", "no JSON", "dir"
    yield "nul", "a zero byte after", text + "\0"


def shape_cases(sealed):
    """Texts that are not five parts of BASE64URL."""
    parts = sealed.split(b".")
    yield "nothing", "no bytes", b""
    yield "parts_4", "four parts", join(parts[:1] + parts[2:])
    yield "parts_6", "six parts", sealed + b"."
    yield "encrypted_key", "a second part that is not empty", \
        join([parts[0], b"AAAA"] + parts[2:])
    yield "header_part_empty", "an empty first part", join([b""] + parts[1:])
    yield "newline", "a newline after", sealed + b"\n"
    yield "space", "a space before", b" " + sealed
    yield "equals_sign", "base64 padding", sealed + b"=="
    yield "alphabet", "the standard alphabet", \
        join([parts[0], b"", b"+" * 16] + parts[3:])
    yield "trailing_bits", "set bits after the last byte", \
        sealed[:-1] + bytes([sealed[-1] + 1])
    yield "tag_cut", "a tag of 15 bytes", sealed[:-2]
    yield "tag_empty", "an empty tag", join(parts[:4] + [b""])
    yield "json", "a JSON serialization", b'{"protected":"' + parts[0] + b'"}'
    yield "binary", "random bytes", f.derive("root binary", 100)


def file_vectors():
    root_key = f.derive("file root key")
    kid = f.kid(Root.name, Root.key_id, Root.version)
    header = f.local_header(kid)
    sealed = Root.sealed(root_key, header)

    for name, key_name in NAMES:
        nonce = f.derive(f"root nonce {name}", 12)
        header_here = f.local_header(f.kid(key_name, Root.key_id,
                                           Root.version))
        yield Vector(f"good_file_name_{name}", "ok",
                     "sealed by a root key in a file",
                     {**Root.fields("file", root_key=root_key),
                      "key_name": key_name, "kek": Root.kek, "nonce": nonce,
                      "fingerprint": f.fingerprint(root_key)},
                     Root.sealed(root_key, header_here, nonce=nonce))

    def bad(name, comment, body, root_key=root_key):
        return Vector("bad_file_" + name, "integrity", comment,
                      Root.fields("file", root_key=root_key), body)

    yield bad("root_key", "another root key", sealed, flip(root_key, 0))
    for part, word in [(2, "nonce"), (3, "ciphertext"), (4, "tag")]:
        yield bad(f"{word}_bit", f"the last bit of the {word} is flipped",
                  flip_part(sealed, part))
    yield bad("ciphertext_first_bit", "the first bit of the ciphertext",
              flip_part(sealed, 3, 0))
    for name, comment, text in header_cases(kid):
        yield bad("header_" + name, comment,
                  Root.sealed(root_key, text.encode()))
    for name, comment, body in shape_cases(sealed):
        yield bad(name, comment, body)
    for name, comment, other in [
            ("kid_version", "kid says another version", f.kid(
                Root.name, Root.key_id, Root.version + 1)),
            ("kid_id", "kid says another key id", f.kid(
                Root.name, flip(Root.key_id, 47), Root.version)),
            ("kid_id_upper_case", "kid with upper-case digits",
             f"{Root.name}@{Root.key_id.hex().upper()}/{Root.version}"),
            ("kid_empty", "an empty kid", ""),
            ("kid_passphrase", "kid says that it is a passphrase's",
             f.phc(bytes(16)))]:
        yield bad(name, comment,
                  Root.sealed(root_key, f.local_header(other)))
    for name, comment, plaintext in [
            ("binding_version", "bound to another version", Root.kek +
             f.binding(Root.key_id, Root.version + 1)),
            ("binding_id", "bound to another key", Root.kek +
             f.binding(flip(Root.key_id, 0), Root.version)),
            ("binding_missing", "a KEK without its binding", Root.kek),
            ("plaintext_long", "a byte too many", Root.plaintext() + b"\0"),
            ("plaintext_empty", "nothing is sealed", b"")]:
        yield bad(name, comment, Root.sealed(root_key, header, plaintext))
    yield bad("nonce_short", "a nonce of 11 bytes", join(
        [sealed.split(b".")[0], b"", f.base64url(Root.nonce[:11]).encode()] +
        sealed.split(b".")[3:]))
    long_nonce = f.derive("root nonce 16", 16)
    yield bad("nonce_long", "sealed with a nonce of 16 bytes",
              Root.sealed(root_key, header, nonce=long_nonce))


def passphrase_vectors():
    passphrase = "correct horse battery staple"
    salt = f.derive("salt", 16)
    root_key = f.scrypt(passphrase.encode(), salt, 15)

    def fields(passphrase, **more):
        return Root.fields("passphrase", passphrase=passphrase, **more)

    for name, comment, secret, ln in [
            ("ln_17", "the parameters that a sealer uses", passphrase, 17),
            ("ln_15", "the smallest cost that is accepted", passphrase, 15),
            ("utf8", "a passphrase is bytes, here UTF-8",
             "pa\u00dfwort \U0001f511", 15),
            ("one_character", "a passphrase of one character", "x", 15)]:
        own_salt = f.derive(f"salt {name}", 16)
        own_root = f.scrypt(secret.encode(), own_salt, ln)
        yield Vector("good_passphrase_" + name, "ok", comment, {
            **fields(secret, root_key=own_root), "kek": Root.kek,
            "nonce": Root.nonce, "salt": own_salt, "ln": ln,
            "fingerprint": f.fingerprint(own_root)},
            Root.sealed(own_root, f.local_header(f.phc(own_salt, ln))))

    def bad(name, comment, body, secret=passphrase, **more):
        return Vector("bad_passphrase_" + name, "integrity", comment,
                      fields(secret, **more), body)

    header = f.local_header(f.phc(salt, 15))
    sealed = Root.sealed(root_key, header)
    yield bad("other", "another passphrase", sealed, passphrase + " ")
    yield bad("tag_bit", "the tag's last bit is flipped",
              flip_part(sealed, 4))
    yield bad("binding", "bound to another version", Root.sealed(
        root_key, header, Root.kek + f.binding(Root.key_id, 4)))
    yield bad("binding_missing", "a KEK without its binding",
              Root.sealed(root_key, header, Root.kek))
    yield bad("salt_bit", "a bit of the salt is flipped", Root.sealed(
        root_key, f.local_header(f.phc(flip(salt, 0), 15))))

    # These open for a reader that takes the parameters as they come.
    for name, comment, ln, r, p in [("ln_14", "N = 2^14 is too cheap", 14, 8,
                                     1),
                                    ("r_16", "r is not 8", 15, 16, 1),
                                    ("p_2", "p is not 1", 15, 8, 2)]:
        own_root = f.scrypt(passphrase.encode(), salt, ln, r, p)
        yield bad(name, comment, Root.sealed(own_root, f.local_header(
            f.phc(salt, ln, r, p))), runs_scrypt=False)

    # These are too dear to make, or never say what key they were made with.
    good = f.phc(salt, 15)
    text = f.phc_salt(salt)
    for name, comment, kid in [
            ("ln_21", "N = 2^21 is too dear", f.phc(salt, 21)),
            ("ln_0", "N = 1", f.phc(salt, 0)),
            ("ln_leading_zero", "a leading zero", f.phc(salt, "015")),
            ("ln_negative", "a negative cost", f.phc(salt, -15)),
            ("ln_plus", "a plus sign", f.phc(salt, "+15")),
            ("ln_empty", "no cost", f.phc(salt, "")),
            ("ln_huge", "a cost of 40 digits", f.phc(salt, "1" * 40)),
            ("ln_wrapped", "2^32 + 15", f.phc(salt, (1 << 32) + 15)),
            ("r_0", "r is 0", f.phc(salt, 15, 0)),
            ("p_0", "p is 0", f.phc(salt, 15, 8, 0)),
            ("p_huge", "p is 2^30", f.phc(salt, 15, 8, 1 << 30)),
            ("salt_empty", "no salt", good[:-22]),
            ("salt_15", "a salt of 15 bytes", f.phc(salt[:15], 15)),
            ("salt_17", "a salt of 17 bytes", f.phc(salt + b"\0", 15)),
            ("salt_padded", "a salt with base64 padding", good + "=="),
            ("salt_bits", "set bits after the salt",
             good[:-22] + text[:-1] + "B"),
            ("salt_url", "the URL alphabet", good[:-22] + "-_" * 10 + "AA"),
            ("hash", "a PHC string with a hash", good + "$" + text),
            ("argon2", "another function", good.replace("scrypt",
                                                        "argon2id")),
            ("order", "parameters in another order",
             f"$scrypt$r=8,ln=15,p=1${text}"),
            ("p_missing", "a parameter is missing",
             f"$scrypt$ln=15,r=8${text}"),
            ("version", "a PHC string with a version",
             f"$scrypt$v=1$ln=15,r=8,p=1${text}"),
            ("dollar", "no dollar sign at the start", good[1:]),
            ("space", "a space", good.replace(",", ", ")),
            ("kid", "the kid of a file's seal",
             f.kid(Root.name, Root.key_id, Root.version))]:
        yield bad("phc_" + name, comment,
                  Root.sealed(root_key, f.local_header(kid)),
                  runs_scrypt=False)


def root_vectors():
    yield from file_vectors()
    yield from passphrase_vectors()
