"""openbao.py: OpenBao servers for tests.

One that keeps its data in memory, on plain HTTP, and one with a
configuration: TLS under a CA of the test's own, sealed until it is opened, an
audit log that counts calls.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import datetime
import json
import os
import re
import subprocess
import ssl
import time
import urllib.error
import urllib.request

import clouds
from clouds import SCRATCH, TAP, TOP, write

BAO = None
VERSION = None
ROOT = "root-token-of-the-test"


def install(*wanted):
    """As the clouds' prepare; skips the test without OpenBao."""
    global BAO, VERSION
    done = subprocess.run([TOP + "/test/setup/openbao.sh"], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print("# " + done.stdout.decode(errors="replace")[-500:]
              .replace("\n", "\n# "))
        clouds.skip_all("needs openbao")
    missing = clouds.prepare(*wanted)
    _name, VERSION, BAO = done.stdout.decode().split()[-3:]
    TAP.note(f"servers: OpenBao {VERSION}")
    return missing


class Api:
    """A server's HTTP API, for setting it up."""

    def __init__(self, url, context=None, token=ROOT, namespace=None):
        self.url = url
        self.context = context
        self.token = token
        self.namespace = namespace

    def call(self, method, path, body=None, token=None):
        """Returns (status, object)."""
        headers = {"X-Vault-Token": token or self.token}
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        request = urllib.request.Request(
            f"{self.url}/v1/{path}", method=method, headers=headers,
            data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30,
                                        context=self.context) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text else {}

    def do(self, method, path, body=None):
        status, found = self.call(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {found}")
        return found

    def post(self, path, **body):
        return self.do("POST", path, body)

    def get(self, path):
        return self.do("GET", path)

    def is_up(self, wanted=(200, 429, 472, 473, 501, 503)):
        try:
            return self.call("GET", "sys/health")[0] in wanted
        except OSError:
            return False

    def token_of(self, *policies, **more):
        found = self.post("auth/token/create", policies=list(policies),
                          no_parent=True, **more)
        return found["auth"]["client_token"]


POLICY = """
path "transit/encrypt/{0}" {{ capabilities = ["update"] }}
path "transit/decrypt/{0}" {{ capabilities = ["update"] }}
path "transit/keys/{0}" {{ capabilities = ["read"] }}
"""


def dev_server():
    """In memory, plain HTTP; returns (server, api)."""
    port = clouds.free_port()
    server = clouds.Server(
        "bao-dev", [BAO, "server", "-dev", "-dev-no-store-token",
                    f"-dev-root-token-id={ROOT}",
                    f"-dev-listen-address=127.0.0.1:{port}"], port)
    api = Api(f"http://127.0.0.1:{port}")
    clouds.wait_until(lambda: api.is_up((200,)), "OpenBao is ready")
    return server, api


class TlsServer:
    """With files for storage, so that it can be stopped and started."""

    def __init__(self, name, ca, cert, key):
        self.name = name
        self.port = clouds.free_port()
        self.audit = os.path.join(SCRATCH, name + ".audit")
        data = os.path.join(SCRATCH, name + ".data")
        os.mkdir(data)
        self.config = write(name + ".hcl", f"""
storage "raft" {{
  path = "{data}"
  node_id = "{name}"
}}
cluster_addr = "https://127.0.0.1:{clouds.free_port()}"
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  tls_cert_file = "{cert}"
  tls_key_file = "{key}"
}}
audit "file" "counted" {{ options {{ file_path = "{self.audit}" }} }}
api_addr = "https://localhost:{self.port}"
ui = false
""")
        self.api = Api(f"https://localhost:{self.port}",
                       ssl.create_default_context(cafile=ca))
        self.server = None
        self.start()
        found = self.api.do("PUT", "sys/init", {
            "secret_shares": 1, "secret_threshold": 1})
        self.unseal_key = found["keys"][0]
        self.api.token = found["root_token"]
        self.unseal()

    def start(self):
        self.server = clouds.Server(
            self.name, [BAO, "server", f"-config={self.config}"], self.port)
        clouds.wait_until(self.api.is_up, "OpenBao answers")

    def stop(self):
        self.server.stop()

    def seal(self):
        self.api.do("PUT", "sys/seal")

    def unseal(self):
        self.api.do("PUT", "sys/unseal", {"key": self.unseal_key})
        clouds.wait_until(lambda: self.api.is_up((200,)),
                          "OpenBao is unsealed")

    def requests(self, pattern):
        """How many requests to such paths the audit log has."""
        count = 0
        with open(self.audit, encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                path = entry.get("request", {}).get("path", "")
                count += entry["type"] == "request" and \
                    re.fullmatch(pattern, path) is not None
        return count


def certificate(name, hosts=("localhost",), issuer=None, days=30,
                client=False):
    """A key and a certificate; returns (certificate, key) as paths.

    issuer is what this function returned for a CA, None for a CA itself.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing, issuer_name = key, subject
    if issuer:
        with open(issuer[0], "rb") as file:
            issuer_name = x509.load_pem_x509_certificate(file.read()).subject
        with open(issuer[1], "rb") as file:
            signing = serialization.load_pem_private_key(file.read(), None)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(
        issuer_name).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(
        now - datetime.timedelta(days=60)).not_valid_after(
        now + datetime.timedelta(days=days)).add_extension(
        x509.BasicConstraints(issuer is None, None), True)
    if issuer:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client \
            else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([usage]), False).add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(host) for host in hosts]), False)
    signed = builder.sign(signing, hashes.SHA256())
    pem = serialization.Encoding.PEM
    return (write(name + ".pem", signed.public_bytes(pem), 0o644),
            write(name + ".key", key.private_bytes(
                pem, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption())))


def jwt(key, lifetime=300, **claims):
    """An RS256 JWT by a private key of cryptography."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    def part(value):
        if isinstance(value, dict):
            value = json.dumps(value).encode()
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    signed = part({"alg": "RS256", "typ": "JWT"}) + b"." + part(
        {"iat": now - 5, "exp": now + lifetime, **claims})
    return (signed + b"." + part(key.sign(
        signed, padding.PKCS1v15(), hashes.SHA256()))).decode()


def documented(heading):
    """The indented blocks of a section of docs/providers.md."""
    with open(TOP + "/docs/providers.md", encoding="utf-8") as file:
        lines = file.read().split("\n")
    begin = lines.index(heading)
    blocks, block = [], []
    for line in lines[begin + 1:] + ["# end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line[4:])
        elif block:
            blocks.append("\n".join(block).rstrip() + "\n")
            block = []
        if line.startswith("#"):
            break
    return blocks


def run_documented(script, api, directory):
    """A block of the documentation, in a shell, as somebody's copy of it."""
    script = script.replace("/etc/pgenvelope", directory)
    script = re.sub(r"^chown .*\n", "", script, flags=re.M)
    done = subprocess.run(
        ["bash", "-euc", script], check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env={"PATH": os.path.dirname(BAO) + ":/usr/bin:/bin",
             "HOME": SCRATCH, "BAO_ADDR": api.url, "BAO_TOKEN": api.token,
             "BAO_CACERT": os.path.join(SCRATCH, "ca.pem")})
    if done.returncode != 0:
        TAP.note(done.stdout.decode().replace("\n", "\n#   "))
    return done.returncode == 0, done.stdout.decode()
