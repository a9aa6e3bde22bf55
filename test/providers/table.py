"""table.py: what was tested against what, from the logs of the tests.

    python3 test/providers/table.py             prints the tables
    python3 test/providers/table.py --check     TAP: each test of them passed,
                                                and docs/providers.md has them

Run after "make test-providers", which checks them itself.  A cell names the
servers; behind each stands a test, which must be among those that passed.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LOG = os.environ.get("PGENVELOPE_TEST_LOG") or os.path.join(TOP, "build/log")
BEGIN, END = "<!-- table.py -->\n", "<!-- end of table.py -->\n"

PROVIDERS = ["vault", "awskms", "gcpkms", "azurekv", "pkcs11"]
LOGS = {"vault": "vault.py", "awskms": "aws_test.py", "gcpkms": "gcp_test.py",
        "azurekv": "azure_test.py", "pkcs11": "pkcs11.pl",
        "openCryptoki": "pkcs11_opencryptoki.pl",
        "every": "every_provider.pl", "outage": "outage_server.pl"}
SERVERS = {"vault": "OpenBao", "awskms": "moto", "gcpkms": "double",
           "azurekv": "double", "pkcs11": "SoftHSM"}
# What every_provider.pl and outage_server.pl call them.
SHORT = {"vault": "vault", "awskms": "aws", "gcpkms": "gcp",
         "azurekv": "azure", "pkcs11": "pkcs11"}
PROXY = {"vault": "TLS: {}: unavailable",
         "awskms": "{}: unavailable, within its time",
         "gcpkms": "{}: unavailable, within its time",
         "azurekv": "{}: unavailable, within its time"}


def by_proxy(mode, pkcs11):
    """What a proxy before the server does, and a double of the module."""
    return {**{name: [(SERVERS[name], text.format(mode))]
               for name, text in PROXY.items()},
            "pkcs11": [("double of the module", pkcs11)]}


def on_server(log, text, pkcs11="double of the module"):
    """The same test for each, with a PostgreSQL server."""
    return {name: [(pkcs11 if name == "pkcs11" else SERVERS[name],
                    text.format(short), log)]
            for name, short in SHORT.items()}


def uses(verb):
    return {
        "vault": [("OpenBao", f"the documented setting: {verb}")],
        "awskms": [("moto", f"environment: {verb}"),
                   ("local-kms", f"local-kms: {verb}")],
        "gcpkms": [("double", f"metadata server (a double): {verb}")],
        "azurekv": [("double", f"managed identity (a double): {verb}"),
                    ("double of Managed HSM", f"A256KW: {verb}")],
        "pkcs11": [("SoftHSM", f"token=one;object=aes, aes-gcm: {verb}"),
                   ("openCryptoki",
                    f"token=ock;object=rsa, rsa-oaep-sha256: {verb}",
                    "openCryptoki")]}


NO_STATE = "not possible: tokens have no such state"
ROWS = [
    ("seal", uses("seals")),
    ("unseal", uses("unseals")),
    ("health", uses("checks")),
    ("each opens what the vendor's library has sealed, and the reverse", {
        "vault": [("hvac", "hvac opens what the program has sealed")],
        "awskms": [("botocore", "botocore opens what the program seals")],
        "gcpkms": [("google-cloud-kms",
                    "google-cloud-kms opens what the program seals")],
        "azurekv": [("azure-keyvault-keys",
                     "azure-keyvault-keys opens what the program seals")],
        "pkcs11": "not possible: the format is ours"}),
    ("denied", {
        "vault": [("OpenBao", "a policy with nothing: denied")],
        "awskms": [("moto", "a policy without kms:Decrypt: denied")],
        "gcpkms": [("double", "seal, PERMISSION_DENIED (a double): denied")],
        "azurekv": [("double", "no right to unwrap: denied")],
        "pkcs11": [("SoftHSM", "a wrong PIN is denied"),
                   ("openCryptoki", "a wrong PIN", "openCryptoki")]}),
    ("not found", {
        "vault": [("OpenBao", "a key that does not exist: not_found")],
        "awskms": [("moto", "no such key: not_found"),
                   ("local-kms", "local-kms: no such key: not_found")],
        "gcpkms": [("double", "no such key: not_found")],
        "azurekv": [("double", "no such key: not_found")],
        "pkcs11": [("SoftHSM", "another key: not_found"),
                   ("openCryptoki", "a key that was destroyed by another "
                    "process", "openCryptoki")]}),
    ("disabled", {
        "vault": [("OpenBao", "a version that may no longer decrypt")],
        "awskms": [("moto", "a disabled key: disabled"),
                   ("local-kms", "local-kms: a disabled key")],
        "gcpkms": [("double", "not when it is disabled")],
        "azurekv": [("double", "a disabled key")],
        "pkcs11": NO_STATE}),
    ("throttled", {
        "vault": [("OpenBao", "a quota is used up: "
                   "['ok', 'throttled', 'throttled']")],
        "awskms": [("double", "400 ThrottlingException (a double): "
                    "throttled")],
        "gcpkms": [("double", "unseal, RESOURCE_EXHAUSTED (a double): "
                    "throttled")],
        "azurekv": [("double", "unseal, 429 Throttled: throttled")],
        "pkcs11": NO_STATE}),
    ("unreachable", by_proxy("refuse", "double, token not present for good")),
    ("TLS failure", {
        "vault": [("OpenBao", "a CA that nobody trusts: misconfigured"),
                  ("openssl s_server",
                   "an expired certificate: misconfigured")],
        "awskms": [("moto", "TLS, an unknown CA: misconfigured")],
        "gcpkms": [("double", "TLS, an unknown CA: misconfigured")],
        "azurekv": [("double", "TLS, an unknown CA: misconfigured")],
        "pkcs11": "not possible: the module makes the connection"}),
    ("garbage", by_proxy("garbage", "double, C_Decrypt 0x80000007: "
                         "unavailable")),
    ("cancelled while it hangs, within 1 s",
     on_server("every", "{} hangs: a cancel")),
    ("`statement_timeout` while it hangs, within 1 s",
     on_server("every", "{} hangs: within a second of it")),
    ("200 connections, one call", on_server("every", "{}: one call", "SoftHSM")),
    ("all keys move there, under load",
     on_server("every", "all keys move to {}", "SoftHSM")),
    ("an outage under load: nothing fails within the limit",
     on_server("outage", "{}: nothing fails while its key may be used")),
]
CREDENTIALS = [
    ("vault", "OpenBao", [
        ("token of the environment", "VAULT_TOKEN: seals"),
        ("token file", "a token file: seals"),
        ("AppRole", "the documented setting: seals"),
        ("JWT", "JWT: seals"),
        ("Kubernetes, of which the verifier is another", "Kubernetes: seals"),
        ("TLS certificate", "TLS certificate: seals"),
        ("an agent of OpenBao's own", "an agent: seals")]),
    ("awskms", "moto", [
        ("environment", "environment: seals"),
        ("profile", "AWS_PROFILE: seals"),
        ("role of a source profile", "role of a source profile: seals"),
        ("web identity, of which moto does not look at the token",
         "web identity: seals")]),
    ("awskms", "double, with moto's credentials", [
        ("container", "container (a double): seals")]),
    ("awskms", "AWS's own mock, with moto's credentials", [
        ("instance metadata, version 2",
         "IMDSv2 (ec2-metadata-mock 1.13.0, version 2 only): seals")]),
    ("gcpkms", "double", [
        ("metadata server", "metadata server (a double): seals"),
        ("service account, which google-auth verifies", "service account, "
         "its assertion verified by google-auth: seals"),
        ("workload identity", "workload identity, text: seals"),
        ("with impersonation",
         "workload identity with impersonation: seals")]),
    ("azurekv", "double", [
        ("client secret", "client secret in a file: seals"),
        ("federated token", "federated token: seals"),
        ("managed identity", "managed identity (a double): seals"),
        ("managed identity of App Service",
         "managed identity of App Service: seals")]),
    ("pkcs11", "SoftHSM", [
        ("PIN from a file", "--check names the credential"),
        ("PIN from a command", "a PIN from a command")]),
]


class Passed:
    """Which tests have passed, and which cells have no such test."""

    def __init__(self):
        self.names = {}
        self.missing = []

    def need(self, log, name):
        if log not in self.names:
            with open(f"{LOG}/{LOGS[log]}.log", encoding="utf-8",
                      errors="replace") as file:
                self.names[log] = {
                    match.group(1).strip() for match in map(
                        re.compile(r"ok \d+ - (.*)").match, file)
                    if match and "# skip" not in match.group(1)}
        if name not in self.names[log]:
            self.missing.append(f"{LOGS[log]}: {name}")


def cell(provider, tests, passed):
    if isinstance(tests, str):
        return tests
    for _server, name, *log in tests:
        passed.need(log[0] if log else provider, name)
    return ", ".join(server for server, *_rest in tests)


def tables(passed):
    lines = ["| | " + " | ".join(f"`{name}`" for name in PROVIDERS) + " |",
             "|---" * (len(PROVIDERS) + 1) + "|"]
    for what, cells in ROWS:
        lines.append(f"| {what} | " + " | ".join(
            cell(name, cells[name], passed) for name in PROVIDERS) + " |")
    lines += ["", "| provider | credentials | against |", "|---|---|---|"]
    for provider, server, sources in CREDENTIALS:
        for _what, name in sources:
            passed.need(provider, name)
        lines.append(f"| `{provider}` | "
                     + "; ".join(what for what, _name in sources)
                     + f" | {server} |")
    return "\n".join(lines) + "\n"


def main():
    passed = Passed()
    made = tables(passed)
    if sys.argv[1:] != ["--check"]:
        print(made, end="")
        sys.exit("\n".join(passed.missing) or 0)
    with open(TOP + "/docs/providers.md", encoding="utf-8") as file:
        text = file.read()
    kept = text[text.index(BEGIN) + len(BEGIN):text.index(END)]
    for number, (good, what) in enumerate((
            (not passed.missing, "each test of the table has passed"),
            (kept == made, "docs/providers.md has the table")), 1):
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
    for name in passed.missing:
        print("# " + name)
    print("1..2")


main()
