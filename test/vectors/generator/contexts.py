"""
context/, canonical/ and policy/: docs/format.md, section 5.

The JSON text and its canonical form are both written out by hand; the
generator's own canonical form has to agree.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import decimal
import json

from .format import canonical
from .vector import Vector

CONTEXT_MAX = 4096
INT64_MAX = (1 << 63) - 1


def hexadecimal(text):
    """A name or string in hexadecimal; bytes that are no UTF-8 as they are."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return data.hex() or "-"


def member_line(name, value):
    """A `member` line, or None if a reader of members cannot have it."""
    if isinstance(value, bool):
        return f"boolean {hexadecimal(name)} {str(value).lower()}"
    if isinstance(value, str):
        return f"string {hexadecimal(name)} {hexadecimal(value)}"
    if value is None:
        return f"null {hexadecimal(name)}"
    if isinstance(value, decimal.Decimal) and value == value.to_integral():
        if -INT64_MAX - 1 <= value <= INT64_MAX:
            return f"integer {hexadecimal(name)} {int(value)}"
    return None


def parse(text):
    """The members of a JSON text, as pairs; None if there are none to have."""
    try:
        pairs = json.loads(text.decode("utf-8", "surrogateescape"),
                           object_pairs_hook=tuple,
                           parse_int=decimal.Decimal,
                           parse_float=decimal.Decimal)
    except json.JSONDecodeError:
        return None
    return pairs if isinstance(pairs, tuple) else None


def context_vector(name, expect, comment, text, canonical_text=None,
                   jsonb=None):
    body = text if isinstance(text, bytes) else text.encode()
    pairs = parse(body)
    fields = []
    if canonical_text is not None:
        values = {key: int(value) if isinstance(value, decimal.Decimal)
                  else value for key, value in pairs}
        assert canonical(values) == canonical_text.encode(), name
        fields.append(("canonical", canonical_text))
    lines = None if pairs is None else [member_line(*pair) for pair in pairs]
    if lines is None or None in lines:
        fields.append(("members", "no"))
    else:
        fields += [("member", line) for line in lines]
    if jsonb is not None:
        fields.append(("jsonb", jsonb))
    return Vector(name, expect, comment, fields, body)


# name, comment, JSON text, canonical form
GOOD_CONTEXTS = [
    ("empty_object", "no members", "{}", "{}"),
    ("white_space", "white space is not kept",
     ' {\t"b" : 1 ,\r\n"a" : "x y" } ', '{"a":"x y","b":1}'),
    ("recommended", "the members that are recommended everywhere",
     '{"tenant":"acme","type":"customers.email","id":4711}',
     '{"id":4711,"tenant":"acme","type":"customers.email"}'),
    ("order_rfc8785", "the names of RFC 8785 section 3.2.3",
     '{"\\u20ac":"Euro Sign","\\r":"Carriage Return",'
     '"\\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",'
     '"\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control",'
     '"\\u00f6":"Latin Small Letter O With Diaeresis"}',
     '{"\\r":"Carriage Return","1":"One","\u0080":"Control",'
     '"\u00f6":"Latin Small Letter O With Diaeresis",'
     '"\u20ac":"Euro Sign","\U0001f600":"Emoji: Grinning Face",'
     '"\ufb33":"Hebrew Letter Dalet With Dagesh"}'),
    ("order_prefix", "a name comes before the names that begin with it",
     '{"ab":1,"a":2,"":3,"a\\u0001":4}',
     '{"":3,"a":2,"a\\u0001":4,"ab":1}'),
    ("order_not_by_length", "jsonb keeps shorter names first, this does not",
     '{"b":1,"aa":2}', '{"aa":2,"b":1}'),
    ("order_case", "upper case before lower case",
     '{"a":1,"B":2,"b":3,"A":4}', '{"A":4,"B":2,"a":1,"b":3}'),
    ("order_astral", "names above U+FFFF come before U+E000 to U+FFFF",
     '{"\uffff":1,"\U00010000":2,"\ue000":3,"\ud7ff":4,"\U0010ffff":5}',
     '{"\ud7ff":4,"\U00010000":2,"\U0010ffff":5,"\ue000":3,"\uffff":1}'),
    ("order_low_surrogate", "names that differ in the low surrogate only",
     '{"\U0001f601":1,"\U0001f600":2}', '{"\U0001f600":2,"\U0001f601":1}'),
    ("order_after_astral", "names that differ after a character over U+FFFF",
     '{"\U0001f600b":1,"\U0001f600a":2,"\U0001f600":3}',
     '{"\U0001f600":3,"\U0001f600a":2,"\U0001f600b":1}'),
    ("order_by_character", "names are compared without their escapes",
     '{"#":1,"\\"":2,"!":3,"]":4,"\\\\":5,"[":6}',
     '{"!":3,"\\"":2,"#":1,"[":6,"\\\\":5,"]":4}'),
    ("escapes_short", "the seven short escapes",
     '{"a":"\\u0008\\u0009\\u000a\\u000c\\u000d\\u0022\\u005c"}',
     '{"a":"\\b\\t\\n\\f\\r\\"\\\\"}'),
    ("escapes_control", "the other control characters, in lower case",
     '{"a":"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u000B\\u000E'
     '\\u000F\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018'
     '\\u0019\\u001A\\u001B\\u001C\\u001D\\u001E\\u001F"}',
     '{"a":"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u000b\\u000e'
     '\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018'
     '\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f"}'),
    ("escapes_in_name", "names are escaped like strings",
     '{"\\u0022\\u005C\\u001F\\n":true}', '{"\\"\\\\\\u001f\\n":true}'),
    ("escapes_none", "what RFC 8785 leaves as it is",
     '{"a":"\\/\\u007f\\u0080\\u00E9\\u2028\\u2029\\uFEFF\\uFFFF\\u0061"}',
     '{"a":"/\x7f\u0080\u00e9\u2028\u2029\ufeff\uffffa"}'),
    ("escapes_pair", "an escaped surrogate pair is one character",
     '{"a":"\\uD83D\\uDE00"}', '{"a":"\U0001f600"}'),
    ("utf8_boundaries", "the first and last characters of each length",
     '{"a":"\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"}',
     '{"a":"\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000'
     '\U0010ffff"}'),
    ("integer_zero", "zero", '{"a":0}', '{"a":0}'),
    ("integer_negative_zero", "minus zero is zero", '{"a":-0}', '{"a":0}'),
    ("integer_negative_zero_scale", "minus zero with digits after the point",
     '{"a":-0.00}', '{"a":0}'),
    ("integer_zero_exponent", "zero to any power is zero",
     '{"a":0e400}', '{"a":0}'),
    ("integer_largest", "2^53 - 1", '{"a":9007199254740991}',
     '{"a":9007199254740991}'),
    ("integer_smallest", "-(2^53 - 1)", '{"a":-9007199254740991}',
     '{"a":-9007199254740991}'),
    ("integer_scale", "1.0 is 1", '{"a":1.0}', '{"a":1}'),
    ("integer_exponent", "1e3 is 1000", '{"a":1e3}', '{"a":1000}'),
    ("integer_negative_exponent", "100E-2 is 1", '{"a":100E-2}', '{"a":1}'),
    ("integer_both", "-1.50e+1 is -15", '{"a":-1.50e+1}', '{"a":-15}'),
    ("integer_largest_scale", "2^53 - 1 with digits after the point",
     '{"a":9007199254740991.000}', '{"a":9007199254740991}'),
    ("integer_largest_exponent", "2^53 - 1 with an exponent",
     '{"a":0.9007199254740991e16}', '{"a":9007199254740991}'),
    ("type_string", "the string 1", '{"a":"1"}', '{"a":"1"}'),
    ("type_integer", "the integer 1", '{"a":1}', '{"a":1}'),
    ("type_true", "true", '{"a":true}', '{"a":true}'),
    ("type_false", "false", '{"a":false}', '{"a":false}'),
    ("type_string_true", "the string true", '{"a":"true"}', '{"a":"true"}'),
    ("empty_name", "the empty name", '{"":"x"}', '{"":"x"}'),
    ("empty_string", "an empty string", '{"a":""}', '{"a":""}'),
    ("no_normalisation", "composed and decomposed names are two names",
     '{"\u00e9":1,"e\u0301":2}', '{"e\u0301":2,"\u00e9":1}'),
    ("no_trimming", "spaces in strings are kept", '{" a ":" b "}',
     '{" a ":" b "}'),
    ("longest", "a canonical form of 4096 bytes",
     '{ "a" : "' + "x" * (CONTEXT_MAX - 8) + '" }',
     '{"a":"' + "x" * (CONTEXT_MAX - 8) + '"}'),
    ("longest_escaped", "4096 bytes, most of them escapes",
     '{"ab":"' + "\\u0001" * 680 + "1234567" + '"}',
     '{"ab":"' + "\\u0001" * 680 + "1234567" + '"}'),
    ("many_members", "a hundred members, given in descending order",
     "{" + ",".join(f'"m{i:02}":{i}' for i in range(99, -1, -1)) + "}",
     "{" + ",".join(f'"m{i:02}":{i}' for i in range(100)) + "}"),
]

# name, word, comment, JSON text, and whether jsonb has its own view
BAD_CONTEXTS = [
    ("not_object_array", "malformed", "an array", '["a"]'),
    ("not_object_string", "malformed", "a string", '"a"'),
    ("not_object_number", "malformed", "a number", "1"),
    ("not_object_null", "malformed", "null", "null"),
    ("not_json", "malformed", "no JSON text", "tenant=acme", "differs"),
    ("nothing", "malformed", "an empty text", "", "differs"),
    ("two_values", "malformed", "two JSON texts", "{}{}", "differs"),
    ("member_null", "malformed", "null stands for any value in a policy only",
     '{"a":null}'),
    ("member_object", "malformed", "a nested object", '{"a":{"b":1}}'),
    ("member_empty_object", "malformed", "a nested object", '{"a":{}}'),
    ("member_array", "malformed", "an array as value", '{"a":[1]}'),
    ("fraction", "malformed", "a fraction", '{"a":1.5}'),
    ("fraction_exponent", "malformed", "a fraction by its exponent",
     '{"a":1e-1}'),
    ("fraction_large", "malformed", "a fraction that a double cannot show",
     '{"a":4503599627370497.25}'),
    ("integer_2_53", "context_integer", "2^53", '{"a":9007199254740992}'),
    ("integer_minus_2_53", "context_integer", "-2^53",
     '{"a":-9007199254740992}'),
    ("integer_2_53_scale", "context_integer", "2^53 with a point",
     '{"a":9007199254740992.0}'),
    ("integer_exponent", "context_integer", "10^16", '{"a":1e16}'),
    ("integer_int64", "context_integer", "2^63 - 1",
     '{"a":9223372036854775807}'),
    ("integer_int64_smallest", "context_integer", "-2^63",
     '{"a":-9223372036854775808}'),
    ("integer_2_63", "context_integer", "2^63", '{"a":9223372036854775808}'),
    ("integer_2_64", "context_integer", "2^64 + 1, which is 1 in 64 bits",
     '{"a":18446744073709551617}'),
    ("integer_huge", "context_integer", "10^400", '{"a":1e400}'),
    ("duplicate", "context_duplicate", "a member twice",
     '{"a":1,"b":2,"a":3}', "differs"),
    ("duplicate_same_value", "context_duplicate",
     "a member twice, with the same value", '{"a":1,"a":1}', "differs"),
    ("duplicate_escaped", "context_duplicate",
     "the same name, once with an escape", '{"a":1,"\\u0061":2}', "differs"),
    ("duplicate_astral", "context_duplicate",
     "the same name, once as a surrogate pair",
     '{"\U0001f600":1,"\\ud83d\\ude00":2}', "differs"),
    ("duplicate_empty", "context_duplicate", "the empty name twice",
     '{"":1,"":2}', "differs"),
    ("too_long", "context_too_long", "a canonical form of 4097 bytes",
     '{"a":"' + "x" * (CONTEXT_MAX - 7) + '"}'),
    ("too_long_name", "context_too_long", "a name of 4096 bytes",
     '{"' + "x" * CONTEXT_MAX + '":1}'),
    ("too_long_escaped", "context_too_long",
     "short members, a canonical form of 4097 bytes",
     '{"ab":"' + "\\u0001" * 680 + "12345678" + '"}'),
    ("too_long_utf8", "context_too_long",
     "1400 characters, a canonical form of 4207 bytes",
     '{"a":"' + "\u20ac" * 1400 + '"}'),
    ("too_long_members", "context_too_long", "many short members",
     "{" + ",".join(f'"member{i:03}":{i}' for i in range(300)) + "}"),
    ("lone_high_surrogate", "context_not_utf8", "half of a surrogate pair",
     '{"a":"\\ud800"}', "differs"),
    ("lone_low_surrogate", "context_not_utf8", "half of a surrogate pair",
     '{"a":"\\udc00x"}', "differs"),
    ("swapped_surrogates", "context_not_utf8", "a pair in the wrong order",
     '{"a":"\\ude00\\ud83d"}', "differs"),
    ("lone_surrogate_name", "context_not_utf8", "half of a pair in a name",
     '{"\\ud800":1}', "differs"),
    ("utf8_byte", "context_not_utf8", "a byte that UTF-8 never has",
     b'{"a":"\xff"}', "differs"),
    ("utf8_continuation", "context_not_utf8", "a continuation byte alone",
     b'{"a":"\x80"}', "differs"),
    ("utf8_overlong", "context_not_utf8", "U+0000 in two bytes",
     b'{"a":"\xc0\x80"}', "differs"),
    ("utf8_overlong_3", "context_not_utf8", "U+007F in three bytes",
     b'{"a":"\xe0\x81\xbf"}', "differs"),
    ("utf8_overlong_4", "context_not_utf8", "U+FFFF in four bytes",
     b'{"a":"\xf0\x8f\xbf\xbf"}', "differs"),
    ("utf8_surrogate", "context_not_utf8", "U+D800 in three bytes",
     b'{"a":"\xed\xa0\x80"}', "differs"),
    ("utf8_truncated", "context_not_utf8", "two of three bytes",
     b'{"a":"\xe2\x82"}', "differs"),
    ("utf8_beyond", "context_not_utf8", "U+110000",
     b'{"a":"\xf4\x90\x80\x80"}', "differs"),
    ("utf8_latin1", "context_not_utf8", "ISO 8859-1", b'{"a":"caf\xe9"}',
     "differs"),
    ("utf8_name", "context_not_utf8", "a name that is not UTF-8",
     b'{"\xff":"a"}', "differs"),
]


def context_vectors():
    for name, comment, text, expected in GOOD_CONTEXTS:
        yield context_vector("good_" + name, "ok", comment, text, expected)
    yield context_vector("good_nul", "ok", "U+0000, which jsonb refuses",
                         '{"a":"\\u0000"}', '{"a":"\\u0000"}', "differs")
    for name, word, comment, text, *jsonb in BAD_CONTEXTS:
        yield context_vector("bad_" + name, word, comment, text, None, *jsonb)


NOT_CANONICAL = [
    ("nothing", "no bytes", b""),
    ("brace", "one byte", b"{"),
    ("not_object", "a string", b'"a"'),
    ("array", "an array", b"[]"),
    ("null", "null", b"null"),
    ("text", "no JSON text", b"tenant=acme"),
    ("space_before", "a space before", b' {"a":1}'),
    ("space_after", "a space after", b'{"a":1} '),
    ("space_inside", "a space in the empty object", b"{ }"),
    ("space_after_colon", "a space after a colon", b'{"a": 1}'),
    ("space_after_comma", "a space after a comma", b'{"a":1, "b":2}'),
    ("newline", "a newline after", b'{"a":1}\n'),
    ("byte_order_mark", "a byte order mark", b'\xef\xbb\xbf{"a":1}'),
    ("nul_after", "a zero byte after", b'{"a":1}\0'),
    ("two_objects", "two objects", b"{}{}"),
    ("brace_missing", "no closing brace", b'{"a":1'),
    ("quote_missing", "no closing quotation mark", b'{"a":"b}'),
    ("value_missing", "no value", b'{"a":}'),
    ("colon_missing", "no colon", b'{"a"1}'),
    ("comma_missing", "no comma", b'{"a":1"b":2}'),
    ("comma_first", "a comma before the first member", b'{,"a":1}'),
    ("comma_last", "a comma after the last member", b'{"a":1,}'),
    ("comma_only", "a comma alone", b"{,}"),
    ("comma_twice", "two commas", b'{"a":1,,"b":2}'),
    ("name_bare", "a name without quotation marks", b"{a:1}"),
    ("name_integer", "an integer as name", b"{1:1}"),
    ("order", "descending names", b'{"b":1,"a":2}'),
    ("order_utf8", "names in the order of UTF-8 bytes",
     '{"\ufb33":1,"\U0001f600":2}'.encode()),
    ("order_jsonb", "names in jsonb's order", b'{"b":1,"aa":2}'),
    ("order_prefix", "a name after one that begins with it",
     b'{"ab":1,"a":2}'),
    ("order_escaped", "names in the order of their escaped form",
     b'{"!":1,"#":2,"\\"":3}'),
    ("duplicate", "a member twice", b'{"a":1,"a":1}'),
    ("duplicate_value", "a member twice", b'{"a":1,"a":2}'),
    ("escape_letter", "a letter escaped", b'{"a":"\\u0061"}'),
    ("escape_slash", "a slash escaped", b'{"a":"\\/"}'),
    ("escape_pair", "a surrogate pair escaped", b'{"a":"\\ud83d\\ude00"}'),
    ("escape_lone", "a lone surrogate escaped", b'{"a":"\\ud800"}'),
    ("escape_newline_long", "the long escape of a newline",
     b'{"a":"\\u000a"}'),
    ("escape_quote_long", "the long escape of a quotation mark",
     b'{"a":"\\u0022"}'),
    ("escape_upper_case", "upper-case digits", b'{"a":"\\u001F"}'),
    ("escape_upper_u", "an upper-case U", b'{"a":"\\U001f"}'),
    ("escape_delete", "U+007F escaped", b'{"a":"\\u007f"}'),
    ("escape_unknown", "an escape that JSON has not", b'{"a":"\\x"}'),
    ("escape_single_quote", "an escape that JSON has not", b'{"a":"\\\'"}'),
    ("escape_short", "two digits", b'{"a":"\\u00"}'),
    ("escape_cut", "the end after a backslash", b'{"a":"\\'),
    ("escape_not_hexadecimal", "digits that are none", b'{"a":"\\u00g0"}'),
    ("escape_digit_nul", "a zero byte for a digit", b'{"a":"\\u001\0"}'),
    ("escape_nul", "an escaped zero byte", b'{"a":"\\\0"}'),
    ("escape_not_control", "an escape of a character above U+001F",
     b'{"a":"\\u0020"}'),
    ("escape_second_byte", "an escape of a character above U+00FF",
     b'{"a":"\\u011f"}'),
    ("control", "a control character as it is", b'{"a":"\x01"}'),
    ("control_newline", "a newline in a string", b'{"a":"\n"}'),
    ("control_nul", "a zero byte in a string", b'{"a":"\0"}'),
    ("control_name", "a control character in a name", b'{"\x1f":1}'),
    ("utf8_byte", "a byte that UTF-8 never has", b'{"a":"\xff"}'),
    ("utf8_overlong", "an overlong form", b'{"a":"\xc1\x81"}'),
    ("utf8_overlong_3", "an overlong form", b'{"a":"\xe0\x9f\xbf"}'),
    ("utf8_overlong_4", "an overlong form", b'{"a":"\xf0\x8f\xbf\xbf"}'),
    ("utf8_second", "a second byte that continues nothing",
     b'{"a":"\xc3\x28"}'),
    ("utf8_third", "a third byte that continues nothing",
     b'{"a":"\xe2\x82\x28"}'),
    ("utf8_fourth", "a fourth byte that continues nothing",
     b'{"a":"\xf0\x9f\x98\xc0"}'),
    ("utf8_five", "five bytes", b'{"a":"\xf8\x88\x80\x80\x80"}'),
    ("utf8_continuation", "a continuation byte alone", b'{"a":"\xbf"}'),
    ("utf8_surrogate", "a surrogate", b'{"a":"\xed\xa0\x80"}'),
    ("utf8_truncated", "a truncated character", b'{"a":"\xe2\x82"}'),
    ("utf8_truncated_end", "a truncated character at the end",
     b'{"a":"\xe2\x82'),
    ("utf8_beyond", "a code point above U+10FFFF",
     b'{"a":"\xf4\x90\x80\x80"}'),
    ("utf8_name", "a name that is not UTF-8", b'{"\xff":1}'),
    ("utf8_outside", "a byte that is not UTF-8 outside of strings",
     b'{"a":1\xff}'),
    ("single_quotes", "single quotation marks", b"{'a':1}"),
    ("fraction", "a fraction", b'{"a":1.5}'),
    ("scale", "an integer with a point", b'{"a":1.0}'),
    ("exponent", "an integer with an exponent", b'{"a":1e3}'),
    ("leading_zero", "a leading zero", b'{"a":01}'),
    ("zeros", "two zeros", b'{"a":00}'),
    ("plus", "a plus sign", b'{"a":+1}'),
    ("minus", "a minus sign alone", b'{"a":-}'),
    ("negative_zero", "minus zero", b'{"a":-0}'),
    ("negative_leading_zero", "a leading zero after minus", b'{"a":-01}'),
    ("hexadecimal", "a hexadecimal integer", b'{"a":0x10}'),
    ("integer_2_53", "2^53", b'{"a":9007199254740992}'),
    ("integer_minus_2_53", "-2^53", b'{"a":-9007199254740992}'),
    ("integer_2_64", "2^64 + 1", b'{"a":18446744073709551617}'),
    ("integer_digits", "a thousand digits", b'{"a":' + b"1" * 1000 + b"}"),
    ("nan", "NaN", b'{"a":NaN}'),
    ("infinity", "Infinity", b'{"a":-Infinity}'),
    ("member_null", "null", b'{"a":null}'),
    ("member_object", "a nested object", b'{"a":{}}'),
    ("member_array", "an array", b'{"a":[]}'),
    ("true_upper_case", "True", b'{"a":True}'),
    ("true_cut", "tru", b'{"a":tru}'),
    ("true_long", "trues", b'{"a":trues}'),
    ("false_cut", "fals at the end", b'{"a":fals'),
    ("comment", "a comment", b'{/**/"a":1}'),
]


def canonical_vectors():
    for name, comment, _, text in GOOD_CONTEXTS:
        yield Vector("good_" + name, "ok", comment, (), text.encode())
    yield Vector("good_nul", "ok", "U+0000, escaped", (), b'{"a":"\\u0000"}')
    for name, comment, body in NOT_CANONICAL:
        yield Vector("bad_" + name, "malformed", comment, (), body)
    for name, comment, body in [
            ("too_long", "4097 bytes",
             b'{"a":"' + b"x" * (CONTEXT_MAX - 7) + b'"}'),
            ("too_long_members", "many members", canonical(
                {f"member{i:03}": i for i in range(300)}))]:
        yield Vector("bad_" + name, "context_too_long", comment, (), body)


ACME = '{"id":7,"tenant":"acme","type":"customers.email"}'
REQUIRED = '{"id":null,"tenant":null,"type":null}'

# name, word, comment, policy, context, member
POLICIES = [
    ("empty_policy", "ok", "nothing is required", "{}", ACME),
    ("empty_both", "ok", "{} satisfies a policy of {}", "{}", "{}"),
    ("required", "ok", "every required member is there", REQUIRED, ACME),
    ("pinned", "ok", "pinned members have their values",
     '{"id":null,"tenant":"acme","type":null}', ACME),
    ("pinned_all", "ok", "everything is pinned", ACME, ACME),
    ("free_member", "ok", "members that the policy does not name are free",
     '{"tenant":"acme"}', ACME),
    ("free_empty_string", "ok", "a member that is not named may be empty",
     '{"tenant":"acme"}', '{"note":"","tenant":"acme"}'),
    ("free_before", "ok", "unnamed members before, between and after",
     '{"b":null,"d":null}', '{"a":1,"b":2,"c":3,"d":4,"e":5}'),
    ("any_integer", "ok", "any value: an integer", '{"a":null}', '{"a":0}'),
    ("any_boolean", "ok", "any value: false", '{"a":null}', '{"a":false}'),
    ("pinned_integer", "ok", "a pinned integer", '{"a":-1}', '{"a":-1}'),
    ("pinned_boolean", "ok", "a pinned boolean", '{"a":true}', '{"a":true}'),
    ("astral", "ok", "members in the order of UTF-16",
     '{"\U0001f600":null,"\ufb33":null}', '{"\U0001f600":1,"\ufb33":2}'),
    ("escaped_name", "ok", "a name with escapes", '{"\\"\\n":null}',
     '{"\\"\\n":1}'),
    ("empty_name", "ok", "the empty name", '{"":null}', '{"":1}'),

    ("empty_context", "context_empty", "{} where members are required",
     REQUIRED, "{}"),
    ("missing_first", "context_missing", "the first member is missing",
     REQUIRED, '{"tenant":"acme","type":"customers.email"}', "id"),
    ("missing_middle", "context_missing", "a member in the middle is missing",
     REQUIRED, '{"id":7,"type":"customers.email"}', "tenant"),
    ("missing_last", "context_missing", "the last member is missing",
     REQUIRED, '{"id":7,"tenant":"acme"}', "type"),
    ("missing_pinned", "context_missing", "a pinned member is missing",
     '{"tenant":"acme"}', '{"id":7}', "tenant"),
    ("missing_case", "context_missing", "names are case-sensitive",
     '{"tenant":null}', '{"Tenant":"acme"}', "tenant"),
    ("missing_prefix", "context_missing", "a longer name is another name",
     '{"id":null}', '{"ide":1}', "id"),
    ("missing_suffix", "context_missing", "a shorter name is another name",
     '{"ide":null}', '{"id":1}', "ide"),
    ("missing_astral", "context_missing", "another low surrogate",
     '{"\U0001f600":null}', '{"\U0001f601":1}', "\U0001f600"),
    ("missing_escaped", "context_missing", "the member's name has escapes",
     '{"a\\"\\u0001":null}', '{"b":1}', 'a\\"\\u0001'),
    ("first_decides", "context_missing", "the first of two failures decides",
     '{"a":null,"b":"x"}', '{"b":"y"}', "a"),
    ("pinned_first_decides", "context_pinned",
     "the first of two failures decides", '{"a":"x","b":null}', '{"a":"y"}',
     "a"),
    ("pinned_string", "context_pinned", "another string",
     '{"tenant":"acme"}', '{"tenant":"umbrella"}', "tenant"),
    ("pinned_prefix", "context_pinned", "a longer string",
     '{"tenant":"acme"}', '{"tenant":"acme2"}', "tenant"),
    ("pinned_case", "context_pinned", "strings are case-sensitive",
     '{"tenant":"acme"}', '{"tenant":"ACME"}', "tenant"),
    ("pinned_normalisation", "context_pinned", "strings are not normalised",
     '{"a":"\u00e9"}', '{"a":"e\u0301"}', "a"),
    ("pinned_integer", "context_pinned", "another integer",
     '{"a":1}', '{"a":10}', "a"),
    ("pinned_type", "context_pinned", "the string 1 for the integer 1",
     '{"a":1}', '{"a":"1"}', "a"),
    ("pinned_type_boolean", "context_pinned", "the string true for true",
     '{"a":true}', '{"a":"true"}', "a"),
    ("pinned_boolean", "context_pinned", "false for true",
     '{"a":true}', '{"a":false}', "a"),
    ("required_empty", "context_empty_member",
     "a required member is an empty string", '{"tenant":null}',
     '{"tenant":""}', "tenant"),
    ("pinned_empty", "context_empty_member",
     "a pinned member is an empty string", '{"tenant":"acme"}',
     '{"tenant":""}', "tenant"),
    ("pinned_to_empty", "context_empty_member",
     "pinned to the empty string: nothing satisfies that", '{"tenant":""}',
     '{"tenant":""}', "tenant"),
    ("policy_order", "malformed", "the policy is not canonical",
     '{"b":null,"a":null}', '{"a":1,"b":2}'),
    ("policy_nested", "malformed", "the policy has an object",
     '{"a":{"b":1}}', '{"a":1}'),
    ("policy_not_object", "malformed", "the policy is null", "null",
     '{"a":1}'),
    ("context_null", "malformed", "null in the context", '{"a":null}',
     '{"a":null}'),
    ("context_space", "malformed", "the context is not canonical",
     '{"a":null}', '{"a": 1}'),
    ("context_after", "malformed",
     "the context is not canonical, after what the policy names",
     '{"a":null}', '{"a":1,"c":2,"b":3}'),
]


def policy_vectors():
    for name, word, comment, policy, context, *member in POLICIES:
        fields = {"policy": policy, "context": context}
        if member:
            fields["failed_member"] = member[0]
        prefix = "good_" if word == "ok" else "bad_"
        yield Vector(prefix + name, word, comment, fields)
