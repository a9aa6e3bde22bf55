"""
A vector: a header of `key: value` lines and a body (../README.md).

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import re

KEY = re.compile(r"[a-z0-9_]+\Z")
NAME = re.compile(r"(good|bad)_[a-z0-9_]+\Z")


def as_text(value):
    """A header's value as it is written."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


class Vector:
    """One case.  fields is a dictionary, or pairs where a key repeats."""

    def __init__(self, name, expect, comment, fields=(), body=None):
        assert NAME.match(name), name
        assert name.startswith("good_") == (expect == "ok"), name
        self.name = name
        self.expect = expect
        self.comment = comment
        self.fields = list(fields.items() if isinstance(fields, dict)
                           else fields)
        self.body = body

    def content(self):
        """The bytes of the file."""
        lines = [("expect", self.expect), ("comment", self.comment)]
        out = bytearray()
        for key, value in lines + self.fields:
            text = as_text(value)
            assert KEY.match(key) and "\n" not in text, (self.name, key)
            out += (f"{key}: {text}" if text else f"{key}:").encode() + b"\n"
        if self.body is not None:
            out += b"\n" + self.body
        return bytes(out)
