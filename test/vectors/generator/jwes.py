"""
jwe/: docs/format.md, section 7.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import json

from . import format as f
from .envelopes import (CONTEXT, KEK, KEY_ID, NAME, OTHER_CONTEXT,
                        UNICODE_CONTEXT, VERSION, Case)
from .keys import NAMES
from .vector import Vector


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def base(case, name=NAME):
    """The strings of the JWE of a case, and the fields of its vector."""
    members = f.jwe_members(case.value, case.context,
                            f.kid(name, case.key_id, case.version))
    fields = {"key_name": name, "key_id": case.key_id,
              "key_version": case.version, "kek": case.kek,
              "context": case.context.decode()}
    return members, fields


def good_vectors():
    def good(name, comment, form="flattened", key_name=NAME, text=None,
             **how):
        case = Case("jwe " + name, **how)
        members, fields = base(case, key_name)
        build = f.flattened if form == "flattened" else f.general
        body = compact(build(members)) if text is None else text(
            build(members))
        return Vector("good_" + name, "ok", comment, {
            "form": form, **fields, "plaintext": case.plaintext,
            "envelope": f.text_form(case.value).decode(),
            "store_context": case.stored, **members}, body.encode())

    for form in ("flattened", "general"):
        yield good(f"{form}_text", "text", form)
        yield good(f"{form}_bytes", "bytes", form, text=None,
                   plaintext=bytes(range(256)))
        yield good(f"{form}_text_padded", "text, padded", form, padding=32)
        yield good(f"{form}_stored", "a value that stores its context", form,
                   stored=True)
        yield good(f"{form}_empty", "an empty plaintext: some libraries "
                   "refuse it", form, plaintext=b"")
    yield good("bytes_padded_stored", "bytes, padded, the context stored",
               padding=64, stored=True)
    yield good("context_empty", "the context {}", context=b"{}")
    yield good("context_unicode", "a context outside of ASCII",
               context=UNICODE_CONTEXT)
    yield good("key_smallest", "key id 1, version 1", key_id=b"\0" * 5 +
               b"\1", version=1)
    yield good("key_largest", "key id 2^48 - 1, version 65535",
               key_id=b"\xff" * 6, version=65535)
    for name, key_name in NAMES:
        yield good(f"name_{name}", "the key's name in kid",
                   key_name=key_name)
    yield good("white_space", "white space in the JSON",
               text=lambda jwe: json.dumps(jwe, indent=4))
    yield good("order", "members in another order",
               text=lambda jwe: compact(dict(reversed(jwe.items()))))
    yield good("escapes", "needless escapes in the JSON",
               text=lambda jwe: compact(jwe).replace("A256KW",
                                                     "\\u0041256KW"))


def replaced(members, **changes):
    return {**members, **changes}


def string_cases(members):
    """Name, word, comment and the strings that make a case bad."""
    def case(name, word, comment, **changes):
        return name, word, comment, replaced(members, **changes)

    kid, tag, iv = members["kid"], members["tag"], members["iv"]
    key = members["encrypted_key"]
    yield case("alg_kw128", "unsupported", "another alg", alg="A128KW")
    yield case("alg_dir", "unsupported", "another alg", alg="dir")
    yield case("alg_case", "unsupported", "alg in lower case", alg="a256kw")
    yield case("alg_empty", "unsupported", "an empty alg", alg="")
    for name, comment, text in [
            ("enc", "another enc", '{"enc":"A128GCM"}'),
            ("enc_cbc", "another enc", '{"enc":"A256CBC-HS512"}'),
            ("space", "a space", '{"enc": "A256GCM"}'),
            ("alg", "alg is in it", '{"alg":"A256KW","enc":"A256GCM"}'),
            ("zip", "zip is in it", '{"enc":"A256GCM","zip":"DEF"}'),
            ("crit", "crit is in it",
             '{"crit":["exp"],"enc":"A256GCM","exp":0}'),
            ("order", "members in another order",
             '{"enc":"A256GCM","cty":"text/plain;charset=UTF-8"}'),
            ("cty", "another cty", '{"cty":"text/html","enc":"A256GCM"}'),
            ("pad", "another padding",
             '{"cty":"text/plain;charset=UTF-8;pad=pkcs7","enc":"A256GCM"}'),
            ("empty", "an empty object", "{}"),
            ("nothing", "no bytes", "")]:
        yield case("protected_" + name, "unsupported",
                   "the protected header: " + comment,
                   protected=f.base64url(text.encode()))
    yield case("protected_equals_sign", "unsupported",
               "the protected header with base64 padding",
               protected=members["protected"] + "=")
    for name, comment, text in [
            ("empty", "an empty kid", ""), ("name", "a kid without a number",
                                            NAME),
            ("version_zero", "a kid with version 0",
             f.kid(NAME, KEY_ID, 0)),
            ("id_zero", "a kid with key id 0", f.kid(NAME, bytes(6), 1)),
            ("space", "a space after the kid", kid + " ")]:
        yield case("kid_" + name, "malformed", comment, kid=text)
    for member, length in [("encrypted_key", 40), ("iv", 12), ("tag", 16)]:
        data = f.derive("jwe " + member, 48)
        for other in (0, length - 1, length + 1):
            yield case(f"{member}_{other}", "malformed",
                       f"{member} of {other} bytes",
                       **{member: f.base64url(data[:other])})
    yield case("encrypted_key_64", "malformed", "the wrap of a 512-bit key",
               encrypted_key=f.base64url(f.derive("jwe wrap", 72)))
    for member in ("encrypted_key", "aad", "iv", "ciphertext", "tag"):
        text = members[member]
        yield case(f"{member}_plus", "malformed",
                   f"{member} in the standard alphabet",
                   **{member: "+" + text[1:]})
        yield case(f"{member}_newline", "malformed",
                   f"{member} with a newline after", **{member: text + "\n"})
        yield case(f"{member}_not_ascii", "malformed",
                   f"{member} with a character outside of ASCII",
                   **{member: "\u00e9" + text[1:]})
    yield case("tag_equals_sign", "malformed", "tag with base64 padding",
               tag=tag + "==")
    yield case("tag_trailing_bits", "malformed",
               "set bits after the last byte of tag",
               tag=tag[:-1] + chr(ord(tag[-1]) + 1))
    yield case("encrypted_key_equals_sign", "malformed",
               "encrypted_key with base64 padding", encrypted_key=key + "==")
    yield case("iv_space", "malformed", "a space in iv",
               iv=iv[:8] + " " + iv[8:])
    yield case("ciphertext_length", "malformed",
               "a ciphertext of 5 characters", ciphertext="AAAAA")
    for name, comment, data in [
            ("order", "names in descending order",
             b'{"type":"customers.email","tenant":"acme","id":4711}'),
            ("space", "a space", CONTEXT.replace(b":", b": ", 1)),
            ("empty", "no bytes", b""),
            ("array", "an array", b"[]"),
            ("null", "null as a value", b'{"id":null}'),
            ("fraction", "a fraction", b'{"id":1.5}'),
            ("utf8", "not UTF-8", b'{"id":"\xff"}'),
            ("too_long", "4097 bytes", f.canonical({"a": "x" * 4089}))]:
        yield case("aad_" + name, "malformed",
                   "aad is not a canonical context: " + comment,
                   aad=f.base64url(data))
    yield case("padded_empty", "malformed", "padded, and no ciphertext",
               protected=f.base64url(f.protected(f.PADDED)), ciphertext="")


def json_cases(members):
    """Name, comment and JSON; the members' strings are good, if all there."""
    flat, general = f.flattened(members), f.general(members)
    recipient = general["recipients"][0]

    def without(jwe, name):
        return {key: value for key, value in jwe.items() if key != name}

    for name in flat:
        yield f"{name}_missing", f"no {name}", without(flat, name)
    for name in general:
        yield f"general_{name}_missing", f"no {name}", without(general, name)
    for name in ("alg", "kid"):
        yield f"header_{name}_missing", f"no {name} in header", \
            {**flat, "header": without(flat["header"], name)}
    for name in ("header", "encrypted_key"):
        yield f"recipient_{name}_missing", f"no {name} in the recipient", \
            {**general, "recipients": [without(recipient, name)]}
    for name in flat:
        yield f"{name}_number", f"{name} is a number", {**flat, name: 1}
        yield f"{name}_null", f"{name} is null", {**flat, name: None}
    for name in ("alg", "kid"):
        yield f"header_{name}_number", f"{name} is a number", \
            {**flat, "header": {**flat["header"], name: 1}}
    yield "extra", "a member that is not known", {**flat, "extra": ""}
    yield "zip", "zip beside the others", {**flat, "zip": "DEF"}
    yield "unprotected", "an unprotected header", \
        {**flat, "unprotected": {"jku": "x"}}
    yield "unprotected_empty", "an empty unprotected header", \
        {**flat, "unprotected": {}}
    yield "unprotected_alg", "alg and kid in the unprotected header", \
        {**without(flat, "header"), "unprotected": flat["header"]}
    yield "alg_top", "alg beside the others", {**flat, "alg": "A256KW"}
    yield "header_extra", "a member more in header", \
        {**flat, "header": {**flat["header"], "jku": "x"}}
    yield "header_enc", "enc in header", \
        {**flat, "header": {**flat["header"], "enc": "A256GCM"}}
    yield "header_array", "header is an array", {**flat, "header": []}
    yield "recipients_none", "no recipient", {**general, "recipients": []}
    yield "recipients_two", "two recipients", \
        {**general, "recipients": [recipient, recipient]}
    yield "recipients_object", "recipients is an object", \
        {**general, "recipients": recipient}
    yield "recipient_string", "a recipient is a string", \
        {**general, "recipients": ["x"]}
    yield "recipient_extra", "a member more in the recipient", \
        {**general, "recipients": [{**recipient, "x": 1}]}
    yield "general_extra", "a member more", {**general, "extra": 1}
    yield "both_forms", "both forms at once", {**flat, **general}
    yield "general_encrypted_key", "the general form, and encrypted_key", \
        {**general, "encrypted_key": members["encrypted_key"]}
    yield "array", "an array", [flat]
    yield "string", "the compact serialization, in a JSON string", \
        ".".join([members["protected"], members["encrypted_key"],
                  members["iv"], members["ciphertext"], members["tag"]])
    yield "null", "null", None
    yield "empty_object", "an empty object", {}


def bad_vectors():
    case = Case("jwe bad")
    members, fields = base(case)
    body = compact(f.flattened(members))
    for name, word, comment, strings in string_cases(members):
        shown = strings
        if any("\n" in text for text in strings.values()):
            shown = {"members": False}
        yield Vector("bad_" + name, word, comment, {**fields, **shown},
            compact(f.flattened(strings)).encode())

    def bad_json(name, comment, text, **more):
        return Vector("bad_json_" + name, "malformed", comment,
                      {**fields, "members": False, **more},
                      text.encode())

    for name, comment, value in json_cases(members):
        yield bad_json(name, comment, compact(value))
    yield bad_json("duplicate", "tag twice",
                   body[:-1] + f',"tag":"{members["tag"]}"}}',
                   jsonb="differs")
    yield bad_json("duplicate_header", "alg twice", body.replace(
        '"alg":', '"alg":"dir","alg":'), jsonb="differs")
    yield bad_json("not_json", "no JSON", body[:-1], jsonb="differs")
    yield bad_json("two", "two JSON texts", body + body, jsonb="differs")
    yield bad_json("nothing", "an empty text", "", jsonb="differs")

    stored = Case("jwe to", stored=True)
    for name, comment, context in [
            ("other", "the value stores another context", OTHER_CONTEXT),
            ("empty", "the value stores a context, {} is supplied", b"{}")]:
        yield Vector("bad_to_" + name, "authentication", comment, {
            "direction": "to", "key_name": NAME, "key_id": KEY_ID,
            "key_version": VERSION, "kek": KEK, "context": context.decode(),
            "envelope": f.text_form(stored.value).decode()})


def jwe_vectors():
    yield from good_vectors()
    yield from bad_vectors()
