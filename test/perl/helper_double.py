#!/usr/bin/python3 -I
"""helper_double.py: a scripted double of a helper program.

This is a test double, not a provider: its cipher is made of SHA-256 and XOR
and its root key lies beside it.  It speaks the helper protocol of
docs/providers.md, really seals and unseals, and misbehaves on demand.

A test copies it to a place of its own (mode 0700).  Everything belongs to the
copy and is named after it; for a copy called "helper":

    helper.key      32 bytes, the root key.  Made at the first start, unless
                    it is there: two copies with the same file can open each
                    other's seals.
    helper.control  what to do, read again for each request.  Missing or
                    empty: ok.  To change it, write another file and rename it
                    over this one.
    helper.calls    one line is appended for each request, before it is
                    answered: "VERB ID ROOT KEY BEHAVIOUR" (KEY is "-" for
                    check), and "start PID" for each start.  So
                    grep -c '^unseal ' counts calls.

A line of helper.control is "BEHAVIOUR [ARGUMENT]", or "VERB BEHAVIOUR
[ARGUMENT]" for one verb only; the last line that fits a request counts.

    ok                      answers
    slow SECONDS            answers after so long
    fail CATEGORY [TEXT]    answers with that error
    denied                  fail denied the double says no
    hang                    does not answer
    half                    writes half of a reply and then hangs
    exit [CODE]             exits instead of answering
    kill                    is killed by a signal instead of answering
    close                   closes its output and hangs
    flood                   writes lines without end
    long                    writes one line without end
    extra                   answers, and writes another line with it
    late                    answers, and writes another line 0.1 s later
    rubbish                 answers with bytes that are no reply
    nul                     answers with a NUL byte in the reply
    wrong_word              answers with a word that is not in the protocol
    wrong_category          answers with an error of no known category
    wrong_id                answers a request that was not made
    bad_base64              answers with a field that is not strict base64
    short                   seal: an empty field; unseal: 47 bytes
    wrong_blob              seal: seals other bytes than it was given;
                            unseal: returns the right number of other bytes
    wrong_kek               unseal: returns another KEK, bound to the right
                            key and version
    wrong_key               seal: seals under another root key
    fields TEXT             check: answers with these fields

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import hashlib
import hmac
import os
import signal
import sys
import time

SELF = os.path.abspath(__file__)
VERBS = ("seal", "unseal", "check")
NONCE_LEN = 16
TAG_LEN = 16


class Failure(Exception):
    """A request that is answered by "error CATEGORY TEXT"."""


def append_call(line):
    """Records a call; one write, so that lines of several copies hold."""
    fd = os.open(SELF + ".calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                 0o600)
    os.write(fd, (line + "\n").encode())
    os.close(fd)


def root_key():
    """Reads the root key, making it if there is none."""
    try:
        fd = os.open(SELF + ".key", os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                     0o600)
        os.write(fd, os.urandom(32))
        os.close(fd)
    except FileExistsError:
        pass
    with open(SELF + ".key", "rb") as file:
        return file.read()


def behaviour_for(verb):
    """What the control file says about a verb: a word and its argument."""
    found = ["ok"]
    try:
        with open(SELF + ".control", encoding="utf-8") as file:
            for line in file:
                words = line.split(None, 1)
                if words and words[0] in VERBS:
                    if words[0] != verb:
                        continue
                    words = words[1].split(None, 1)
                if words:
                    found = words
    except FileNotFoundError:
        pass
    return found[0], found[1].strip() if len(found) > 1 else ""


def stream(key, nonce, length):
    """Bytes to XOR with."""
    out = b""
    while len(out) < length:
        count = len(out).to_bytes(4, "big")
        out += hashlib.sha256(b"stream" + key + nonce + count).digest()
    return out[:length]


def tag(key, name, nonce, ciphertext):
    """Binds a blob to what it was sealed for."""
    data = name.encode() + b"\0" + nonce + ciphertext
    return hmac.new(key, data, hashlib.sha256).digest()[:TAG_LEN]


def seal(key, name, plaintext):
    """nonce, ciphertext, tag"""
    nonce = os.urandom(NONCE_LEN)
    pad = stream(key, nonce, len(plaintext))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, pad))
    return nonce + ciphertext + tag(key, name, nonce, ciphertext)


def unseal(key, name, sealed):
    """The plaintext, or Failure."""
    nonce = sealed[:NONCE_LEN]
    ciphertext = sealed[NONCE_LEN:-TAG_LEN]
    expected = tag(key, name, nonce, ciphertext)
    if len(sealed) < NONCE_LEN + TAG_LEN or \
            not hmac.compare_digest(expected, sealed[-TAG_LEN:]):
        raise Failure("integrity", "this blob is not of this double")
    return bytes(a ^ b for a, b in
                 zip(ciphertext, stream(key, nonce, len(ciphertext))))


def encode(data):
    """Strict standard base64."""
    return base64.b64encode(data).decode()


def write(text):
    """Writes as it is, at once."""
    sys.stdout.buffer.write(text if isinstance(text, bytes) else text.encode())
    sys.stdout.buffer.flush()


def fields_of(verb, name, data, behaviour):
    """The fields of an "ok" reply."""
    key = root_key()
    root_name = "double:" + hashlib.sha256(key).hexdigest()[:16]
    if verb == "check":
        return [encode(root_name.encode())]
    data = base64.b64decode(data, validate=True)
    if verb == "seal":
        if behaviour == "short":
            return [""]
        if behaviour == "wrong_blob":
            data = os.urandom(len(data))
        if behaviour == "wrong_key":
            key = hashlib.sha256(b"another" + key).digest()
        return [encode(seal(key, name, data)), encode(root_name.encode())]
    plaintext = unseal(key, name, data)
    if behaviour == "short":
        plaintext = plaintext[:-1]
    if behaviour == "wrong_blob":
        plaintext = os.urandom(len(plaintext))
    if behaviour == "wrong_kek":
        plaintext = os.urandom(32) + plaintext[32:]
    return [encode(plaintext)]


def misbehave(behaviour, argument, request):
    """What can be done without an answer; false if an answer is due."""
    if behaviour == "hang":
        time.sleep(3600)
    elif behaviour == "half":
        write("ok " + request)
        time.sleep(3600)
    elif behaviour == "exit":
        sys.exit(int(argument or 0))
    elif behaviour == "kill":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(3600)
    elif behaviour == "close":
        os.close(1)
        time.sleep(3600)
    elif behaviour == "flood":
        while True:
            write("ok %s flood\n" % request)
    elif behaviour == "long":
        while True:
            write("A" * 4096)
    elif behaviour == "rubbish":
        write(b"\x1b[31m\xff\xfe rubbish of the double\n")
    elif behaviour == "wrong_category":
        write("error %s tired of the double\n" % request)
    elif behaviour == "fail":
        category, _, text = argument.partition(" ")
        write(("error %s %s %s" % (request, category, text)).strip() + "\n")
    elif behaviour == "denied":
        write("error %s denied the double says no\n" % request)
    else:
        return False
    return True


def answer(verb, request, name, data):
    """Answers one request, well or badly."""
    behaviour, argument = behaviour_for(verb)
    append_call("%s %s %s %s" % (verb, request, name, behaviour))
    if behaviour == "fields" and verb == "check":
        write("ok %s %s\n" % (request, argument))
        return
    if behaviour == "slow":
        time.sleep(float(argument))
    if misbehave(behaviour, argument, request):
        return
    try:
        reply = ["ok", request] + fields_of(verb, name, data, behaviour)
    except Failure as failure:
        write("error %s %s %s\n" % ((request,) + failure.args))
        return
    if behaviour == "wrong_word":
        reply[0] = "OK"
    if behaviour == "wrong_id":
        reply[1] = str(int(request) + 1)
    if behaviour == "bad_base64":
        reply[2] = reply[2][:-1]
    line = " ".join(reply)
    if behaviour == "nul":
        line += "\0"
    write(line + "\n" + ("extra\n" if behaviour == "extra" else ""))
    if behaviour == "late":
        time.sleep(0.1)
        write("late\n")


def main():
    """One request a line, until the end of the input."""
    root_key()
    append_call("start %d" % os.getpid())
    for line in sys.stdin:
        words = line.rstrip("\n").split(" ")
        verb, request, root = words[:3]
        if verb == "check":
            answer(verb, request, root + " -", "")
        else:
            answer(verb, request, root + " " + words[3], words[4])


if __name__ == "__main__":
    main()
