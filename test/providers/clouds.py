"""clouds.py: what the tests of the clouds' providers share.

TAP, scratch files, the program under test spoken to by its protocol, servers
with free ports, certificates, and an HTTP double whose answers a test scripts.

The tests run with Debian's Python; packages of others (moto, botocore, ...)
come from a virtual environment in the cache that test/setup/cloud_servers.sh
fills.  As root everything runs as "postgres": no server is root's.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import atexit
import base64
import datetime
import glob
import http.server
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
CACHE = os.environ.get("PGENVELOPE_TEST_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
    "pgenvelope")
PROGRAM = os.environ.get("PGENVELOPE_KMS") or os.path.join(
    TOP, "pgenvelope-kms")
WAIT = 60               # seconds until a server must be up
PLAINTEXT = bytes(range(48))
KEY = "0123456789ab/1"


# TAP

class Tap:
    """Counts checks, and prints a line for each."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, passed, name):
        self.count += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name}",
              flush=True)
        return bool(passed)

    def equal(self, got, want, name):
        if not self.ok(got == want, name):
            print(f"#   got:  {got!r}\n#   want: {want!r}", flush=True)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # skip {why}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


TAP = Tap()


def skip_all(why):
    print(f"1..0 # skip {why}", flush=True)
    sys.exit(0)


# The ground: scratch files, the user, packages

SCRATCH = tempfile.mkdtemp(prefix="pge-clouds.", dir="/tmp")
OWNER = os.getpid()
SERVERS = []


def _clean():
    if os.getpid() != OWNER:
        return
    for server in SERVERS:
        server.stop()
    shutil.rmtree(SCRATCH, ignore_errors=True)


def _interrupt(_number, _frame):
    sys.exit(1)


atexit.register(_clean)
signal.signal(signal.SIGTERM, _interrupt)


def prepare(*wanted):
    """Installs servers, becomes an ordinary user, and finds packages.

    Returns those of the wanted that cannot be had.
    """
    missing = []
    for name in wanted:
        done = subprocess.run(
            [os.path.join(TOP, "test/setup/cloud_servers.sh"), name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            missing.append(name)
            TAP.note(f"{name} could not be installed: "
                     + done.stdout.decode(errors="replace")[-300:].strip()
                     .replace("\n", "\n#   "))
    global PROGRAM
    shutil.copy(PROGRAM, SCRATCH + "/program")
    PROGRAM = SCRATCH + "/program"
    os.chmod(PROGRAM, 0o755)
    if os.geteuid() == 0 and _others_may_enter(CACHE):
        user = pwd.getpwnam("postgres")
        os.chown(SCRATCH, user.pw_uid, user.pw_gid)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    os.environ["HOME"] = SCRATCH
    for path in glob.glob(CACHE + "/python/clouds/lib/*/site-packages"):
        sys.path.insert(0, path)
    return missing


def _others_may_enter(path):
    while path != "/":
        if os.path.exists(path) and not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        path = os.path.dirname(path)
    return True


def write(name, content, mode=0o600):
    """Writes a file of the test's and returns its path."""
    path = os.path.join(SCRATCH, name)
    fresh = path + ".new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(fresh, "wb", opener=lambda p, f: os.open(p, f, mode)) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(fresh, mode)
    os.rename(fresh, path)
    return path


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("waited in vain until " + what)
        time.sleep(0.05)


class Server:
    """Somebody's server as a process, ended when the test ends."""

    def __init__(self, name, command, port, env=None):
        self.port = port
        self.log = os.path.join(SCRATCH, name + ".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=SCRATCH, env={"PATH": os.environ["PATH"],
                                  "HOME": SCRATCH, **(env or {})},
                start_new_session=True)
        SERVERS.append(self)

        def is_up():
            if self.process.poll() is not None:
                raise RuntimeError(name + " did not start: " + self.tail())
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        wait_until(is_up, name + " is up")

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-600:]

    def stop(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


# The program under test

class Answer:
    """A reply: word is "ok" or the category."""

    def __init__(self, line, verb):
        fields = line.decode().rstrip("\n").split(" ", 3)
        self.line = line.decode().rstrip("\n")
        if fields[0] == "ok":
            self.word = "ok"
            rest = " ".join(fields[2:]).split(" ")
            if verb == "check":
                self.expires = rest.pop(1) if len(rest) > 1 else ""
            self.bytes = base64.b64decode(rest[0]) if rest[0] else b""
            self.root_key = base64.b64decode(rest[-1]).decode() \
                if len(rest) > 1 or rest[0] else ""
            self.text = ""
        else:
            self.word = fields[2] if len(fields) > 2 else "rubbish"
            self.bytes = b""
            self.root_key = ""
            self.text = fields[3] if len(fields) > 3 else ""


class Program:
    """pgenvelope-kms with one URI."""

    def __init__(self, uri, env=None):
        self.stderr = open(os.path.join(SCRATCH, "program.stderr"), "ab")
        self.number = 0
        self.process = subprocess.Popen(
            [PROGRAM, uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.stderr, cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": SCRATCH + "/nohome",
                 **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_unused):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
        self.stderr.close()

    def ask(self, verb, *fields):
        self.number += 1
        line = " ".join([verb, str(self.number), "main", *fields]) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise RuntimeError("the program has ended: "
                               + str(self.process.wait(10)))
        ALL_TEXTS.append(reply)
        answer = Answer(reply, verb)
        if verb == "unseal":
            answer.root_key = ""
        elif verb == "check" and answer.word == "ok":
            answer.root_key = answer.bytes.decode()
        return answer

    def seal(self, plaintext=PLAINTEXT, key=KEY):
        return self.ask("seal", key, base64.b64encode(plaintext).decode())

    def unseal(self, sealed, key=KEY):
        return self.ask("unseal", key, base64.b64encode(sealed).decode())

    def check(self):
        return self.ask("check")


# Replies that are failures' texts: no secret may be in one.
ALL_TEXTS = []


def run_check(uri, env=None):
    """What a person runs: (exit code, output)."""
    done = subprocess.run(
        [PROGRAM, "--check", uri], stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": SCRATCH + "/nohome",
             **(env or {})})
    return done.returncode, done.stdout.decode()


def works(uri, env, name, kind=None):
    """Seals, unseals and checks with a credential; returns what is sealed."""
    with Program(uri, env) as program:
        sealed = program.seal()
        TAP.equal(sealed.word, "ok", f"{name}: seals {sealed.text}")
        if sealed.word != "ok":
            return None
        opened = program.unseal(sealed.bytes)
        TAP.equal((opened.word, opened.bytes), ("ok", PLAINTEXT),
                  f"{name}: unseals {opened.text}")
        checked = program.check()
        TAP.equal((checked.word, checked.root_key),
                  ("ok", sealed.root_key), f"{name}: checks {checked.text}")
    if kind is not None:
        code, output = run_check(uri, env)
        TAP.ok(code == 0 and kind in output,
               f"{name}: --check says \"{kind}\"")
        if code != 0 or kind not in output:
            TAP.note(output.replace("\n", "\n#   "))
    return sealed.bytes


def fails(uri, env, want, name, text=None, sealed=None):
    """A seal (or unseal) that is answered with a category."""
    with Program(uri, env) as program:
        answer = program.seal() if sealed is None else program.unseal(sealed)
    TAP.equal(answer.word, want, f"{name}: {want}")
    if answer.word != want:
        TAP.note(answer.text)
    if text is not None and not TAP.ok(text in answer.text,
                                       f"{name}: says \"{text}\""):
        TAP.note(answer.text)
    return answer


def faults(port, uri_of, env_of, sealed):
    """What networks do, by a proxy before the server on that port."""
    from fault_proxy import Proxy

    proxy = Proxy(port)
    try:
        works(uri_of(proxy.port), env_of(proxy.port), "through the proxy")
        for mode in ("refuse", "reset", "hang", "cut 0", "cut 60", "drip 0.2",
                     "delay 5", "garbage", "flood",
                     "text HTTP/1.1 200 OK\\r\\n\\r\\n{}",
                     "text HTTP/1.1 99999\\r\\n\\r\\n"):
            proxy.mode("pass")
            with Program(uri_of(proxy.port, 1000),
                         env_of(proxy.port)) as program:
                # Only new connections are refused.
                if mode != "refuse":
                    TAP.equal(program.unseal(sealed).word, "ok",
                              f"before {mode[:12]}: it opens")
                proxy.mode(mode)
                started = time.monotonic()
                answer = program.unseal(sealed)
                took = time.monotonic() - started
                TAP.ok(answer.word == "unavailable" and took < 1.5,
                       f"{mode[:12]}: unavailable, within its time")
                if answer.word != "unavailable" or took >= 1.5:
                    TAP.note(f"{answer.word} after {took:.2f} s: "
                             + answer.text)
                proxy.mode("pass")
                TAP.equal(program.unseal(sealed).word, "ok",
                          f"after {mode[:12]}: it opens again")
        for mode in ("once refuse", "once reset", "once cut 0",
                     "once garbage"):
            with Program(uri_of(proxy.port), env_of(proxy.port)) as program:
                proxy.mode(mode)
                TAP.equal(program.unseal(sealed).word, "ok",
                          f"{mode}: tried again")
    finally:
        proxy.stop()


def no_secrets(secrets):
    """Nothing that the program ever printed has one of these."""
    with open(os.path.join(SCRATCH, "program.stderr"), "rb") as file:
        printed = file.read()
    texts = b"\n".join(text for text in ALL_TEXTS
                       if text.startswith(b"error"))
    for name, secret in secrets.items():
        secret = secret.encode() if isinstance(secret, str) else secret
        TAP.ok(secret not in printed and secret not in texts,
               f"no error or log has {name}")
    TAP.equal(printed, b"", "nothing is written to standard error")


# Certificates

def make_certificates():
    """A CA, a certificate for "localhost" and its key; returns their paths."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def build(name, key, issuer, issuer_key, ca):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(
            issuer).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
            now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=30)).add_extension(
            x509.BasicConstraints(ca, None), True)
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName("localhost")]), False)
        return builder.sign(issuer_key, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = build(named("test CA"), ca_key, named("test CA"), ca_key, True)
    key = ec.generate_private_key(ec.SECP256R1())
    cert = build(named("localhost"), key, ca.subject, ca_key, False)
    pem = serialization.Encoding.PEM
    return (
        write("ca.pem", ca.public_bytes(pem), 0o644),
        write("server.pem", cert.public_bytes(pem), 0o644),
        write("server.key", key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())))


# An HTTP double

class Request:
    """What a double was asked."""

    def __init__(self, handler):
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = handler.rfile.read(length)

    def json(self):
        return json.loads(self.body)


class Double:
    """A server whose answers are a function's: (status, body[, headers]).

    A double, not anybody's real server: it is for what no real one can be
    made to do.  answer(request) may return None, which closes the connection.
    """

    def __init__(self, answer, certificate=None, port=0):
        self.answer = answer
        self.requests = []
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                request = Request(self)
                double.requests.append(request)
                reply = double.answer(request)
                if reply is None:
                    self.close_connection = True
                    return
                status, body, *rest = reply
                headers = rest[0] if rest else {}
                if isinstance(body, (dict, list)):
                    body = json.dumps(body)
                    headers = {"Content-Type": "application/json", **headers}
                if isinstance(body, str):
                    body = body.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_unused):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Clients that go away in the middle are meant to."""
                if not isinstance(sys.exc_info()[1], OSError):
                    super().handle_error(request, client_address)

        self.server = Quiet(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
            self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


# Documents

def documented(heading, start):
    """The indented block of docs/providers.md that starts with this text."""
    with open(os.path.join(TOP, "docs/providers.md"),
              encoding="utf-8") as file:
        lines = file.read().split("\n")
    blocks, block = [], []
    for line in lines[lines.index(heading) + 1:] + ["## "]:
        if line.startswith("    ") or (block and not line):
            block.append(line[4:])
        elif block:
            blocks.append("\n".join(block).strip() + "\n")
            block = []
        if line.startswith("## "):
            break
    return next(text for text in blocks if text.startswith(start))


def documented_uri(heading):
    """The URI of the provider "main" that a section sets up."""
    setting = documented(heading, "pgenvelope.providers = ")
    return re.search(r"'main=(\S+)'", setting).group(1)
