#!/usr/bin/python3
"""azure_test.py: root keys in Azure Key Vault and Managed HSM.

Against a double (azure_double.py), which verifies tokens and assertions; with
azure-identity and azure-keyvault-keys, Microsoft's own libraries, as oracles.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import logging
import time

import clouds
from clouds import PLAINTEXT, TAP, Program, works, fails

if clouds.prepare("python"):
    clouds.skip_all("needs azure-keyvault-keys")

import azure.core.credentials                           # noqa: E402
import azure.identity                                   # noqa: E402
import azure.keyvault.keys                              # noqa: E402
import azure.keyvault.keys.crypto as vendor             # noqa: E402

from azure_double import (CLIENT, IDENTITY_HEADER, SECRET, TENANT, VAULT,
                          Azure, Refused, decode, encode)  # noqa: E402

TAP.note("servers: a double of Azure Key Vault, Managed HSM and Entra ID; "
         f"oracles: azure-keyvault-keys {azure.keyvault.keys.__version__}, "
         f"azure-identity {azure.identity.__version__}")
logging.disable(logging.CRITICAL)
CA, CERT, CERT_KEY = clouds.make_certificates()
double = Azure((CERT, CERT_KEY))
double.add_key("app")
double.add_key("hsm", "oct-HSM")
URI = f"azurekv://{double.host}/keys/app?ca-file={CA}&resource={VAULT}"
HSM = (f"azurekv://{double.host}/keys/hsm?ca-file={CA}&algorithm=A256KW"
       "&resource=https://managedhsm.azure.net")
AUTHORITY = {"AZURE_AUTHORITY_HOST": double.url}
CLIENT_ENV = {**AUTHORITY, "AZURE_TENANT_ID": TENANT,
              "AZURE_CLIENT_ID": CLIENT}
ENV = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": double.identity.url}
NEWEST = double.keys["app"]["newest"]


# The double is one that Microsoft's own library gets a token from

credential = azure.identity.ClientSecretCredential(
    TENANT, CLIENT, SECRET, authority=double.url,
    disable_instance_discovery=True, connection_verify=CA)
token = credential.get_token(VAULT + "/.default").token
TAP.ok(token in double.issued, "azure-identity gets a token from the double")


# Credentials

sealed = works(URI, ENV, "managed identity (a double)", "managed identity")
if sealed is None:
    TAP.done()
works(f"{URI}&client-id={CLIENT}", ENV, "managed identity, by client-id")
fails(f"{URI}&client-id=nobody", ENV, "misconfigured",
      "managed identity, of another client", "invalid_request")
APP = {"IDENTITY_ENDPOINT": double.identity.url + "/msi/token",
       "IDENTITY_HEADER": IDENTITY_HEADER}
works(URI, APP, "managed identity of App Service", "App Service")
fails(URI, {**APP, "IDENTITY_HEADER": "wrong"}, "denied",
      "App Service, wrong header")
fails(URI, {"IDENTITY_ENDPOINT": APP["IDENTITY_ENDPOINT"]}, "misconfigured",
      "App Service, no header", "IDENTITY_HEADER")
fails(URI, {**APP, "IDENTITY_ENDPOINT": "http://192.0.2.1/msi/token"},
      "misconfigured", "App Service, plain http to elsewhere")
works(URI, {**CLIENT_ENV, "AZURE_CLIENT_SECRET": SECRET},
      "client secret in the environment", "client secret")
secret_file = clouds.write("secret", SECRET + "\n")
works(f"{URI}&tenant-id={TENANT}&client-id={CLIENT}"
      f"&client-secret-file={secret_file}&authority={double.url}", {},
      "client secret in a file", "client secret")
fails(f"{URI}&client-secret-file={clouds.write('wrong', 'wrong')}",
      CLIENT_ENV, "denied", "wrong client secret",
      "invalid_client/AADSTS7000215")
fails(f"{URI}&client-secret-file={secret_file}", AUTHORITY, "misconfigured",
      "client secret without client", "tenant-id")
fails(f"{URI}&client-secret-file={clouds.write('open', SECRET, 0o644)}",
      CLIENT_ENV, "misconfigured", "a secret's file that all can read")
federated = clouds.write("federated", double.assertion(), 0o644)
FEDERATED = {**CLIENT_ENV, "AZURE_FEDERATED_TOKEN_FILE": federated}
works(URI, FEDERATED, "federated token", "federated token")
fails(URI, {**FEDERATED, "AZURE_FEDERATED_TOKEN_FILE": clouds.write(
    "federated2", double.assertion("another"), 0o644)}, "denied",
    "federated token for another audience", "AADSTS700024")

# A file that changes is read again for the next token.
changing = clouds.write("changing", "wrong")
with Program(f"{URI}&client-secret-file={changing}", CLIENT_ENV) as program:
    TAP.equal(program.unseal(sealed).word, "denied", "a wrong secret")
    clouds.write("changing", SECRET)
    TAP.equal(program.unseal(sealed).word, "ok", "and the right one at once")

# Tokens are kept, replaced before they end, and once when refused.
del double.calls[:]
with Program(URI, ENV) as program:
    for _ in range(3):
        program.unseal(sealed)
    path = "/metadata/identity/oauth2/token"
    TAP.equal(double.calls.count(path), 1, "a token is kept")
    double.revoked.update(double.issued)
    TAP.equal(program.unseal(sealed).word, "ok", "a refused one is replaced")
    TAP.equal(double.calls.count(path), 2, "once")
double.lifetime = 200
del double.calls[:]
with Program(URI, ENV) as program:
    for _ in range(3):
        program.unseal(sealed)
    TAP.equal(double.calls.count(path), 3,
              "one that is about to end is replaced")
    answer, double.identity.answer = double.identity.answer, (
        lambda request: time.sleep(6))
    TAP.equal(program.unseal(sealed).word, "ok",
              "if no other is to be had in time, it serves")
    double.identity.answer = answer
double.lifetime = 3600
fails(URI + "&timeout=1000", {"AZURE_POD_IDENTITY_AUTHORITY_HOST":
                              f"http://127.0.0.1:{clouds.free_port()}"},
      "unavailable", "no identity endpoint")
fails(URI.replace(VAULT, "https://other.test"), ENV, "denied",
      "a token for somebody else")


# Sealing, and Microsoft's own client

class Token:
    """A credential that has a token."""

    @staticmethod
    def get_token(*_unused, **_more):
        return azure.core.credentials.AccessToken(
            double.issue(VAULT), int(time.time()) + 3600)


def oracle(name, version):
    return vendor.CryptographyClient(
        f"{double.url}/keys/{name}/{version}", Token(), connection_verify=CA,
        verify_challenge_resource=False, api_version="7.4")


fields = sealed.decode().split(":")
TAP.equal(fields[:4], ["azurekv", "v1", "RSA-OAEP-256", NEWEST],
          "what is sealed says by what")
client = oracle("app", NEWEST)
TAP.equal(client.unwrap_key(vendor.KeyWrapAlgorithm.rsa_oaep_256,
                            decode(fields[4])).key, PLAINTEXT,
          "azure-keyvault-keys opens what the program seals")
theirs = client.wrap_key(vendor.KeyWrapAlgorithm.rsa_oaep_256, PLAINTEXT)
with Program(URI, ENV) as program:
    TAP.equal(program.unseal(":".join([*fields[:4], encode(
        theirs.encrypted_key)]).encode()).bytes, PLAINTEXT,
        "the program opens what azure-keyvault-keys seals")
    answer = program.seal()
    TAP.equal(answer.root_key, "app/" + NEWEST, "the root key is named")
    TAP.ok(answer.bytes != sealed, "two seals differ")
    for name, damaged in (
            ("a bit", sealed[:-4] + b"AAAA"),
            ("no prefix", sealed[len("azurekv:v1:"):]),
            ("another format", sealed.replace(b":v1:", b":v2:")),
            ("another algorithm", sealed.replace(b"RSA-OAEP-256",
                                                 b"RSA-OAEP")),
            ("the other algorithm", sealed.replace(b"RSA-OAEP-256",
                                                   b"A256KW")),
            ("a path for a version", sealed.replace(
                NEWEST.encode(), b"../../secrets/x")),
            ("no version", sealed.replace(NEWEST.encode(), b"")),
            ("nothing behind", sealed[:-len(fields[4])]),
            ("not base64", sealed[:-4] + b"####"),
            ("zeros", bytes(64))):
        TAP.equal(program.unseal(damaged).word, "integrity",
                  f"damaged, {name}: integrity")
    TAP.equal(program.unseal(sealed.replace(
        NEWEST.encode(), b"0" * 32)).word, "not_found",
        "a version that is not there: not_found")
    short = client.wrap_key(vendor.KeyWrapAlgorithm.rsa_oaep_256,
                            PLAINTEXT[:40]).encrypted_key
    TAP.equal(program.unseal(":".join([*fields[:4], encode(short)])
                             .encode()).word, "integrity",
              "what is too short is no key")

    # The root key rotates.
    second = double.rotate("app")
    TAP.equal(program.check().root_key, "app/" + second,
              "after a rotation there is another root key")
    TAP.equal(program.seal().root_key, "app/" + second, "which seals")
    TAP.equal(program.unseal(sealed).word, "ok", "and the old one opens")
    double.keys["app"]["attributes"]["enabled"] = False
    TAP.equal((program.unseal(sealed).word, program.seal().word,
               program.check().word), ("disabled",) * 3, "a disabled key")
    double.keys["app"]["attributes"] = {"enabled": True,
                                        "nbf": int(time.time()) + 3600}
    TAP.equal(program.check().word, "disabled", "one that is not valid yet")
    double.keys["app"]["attributes"] = {"enabled": True}
with Program(URI.replace("/app", f"/app/{NEWEST}"), ENV) as program:
    answer = program.seal()
    TAP.equal(answer.root_key, "app/" + NEWEST,
              "a version in the URI is the one that seals")
    TAP.equal(program.unseal(answer.bytes).bytes, PLAINTEXT, "and opens")
    TAP.equal(program.check().root_key, "app/" + NEWEST, "and is checked")

# Managed HSM
hsm_sealed = works(HSM, ENV, "A256KW")
version = double.keys["hsm"]["newest"]
TAP.ok(hsm_sealed.startswith(b"azurekv:v1:A256KW:" + version.encode()),
       "A256KW: what is sealed says so")
TAP.equal(oracle("hsm", version).unwrap_key(
    vendor.KeyWrapAlgorithm.aes_256, decode(
        hsm_sealed.decode().split(":")[4])).key, PLAINTEXT,
    "A256KW: azure-keyvault-keys opens it")
with Program(HSM, ENV) as program:
    TAP.equal(program.unseal(hsm_sealed[:-4] + b"AAAA").word, "integrity",
              "A256KW: a damaged one: integrity")
    TAP.equal(program.unseal(hsm_sealed.replace(
        version.encode(), NEWEST.encode())).word, "not_found",
        "A256KW: another key's version: not_found")
    TAP.equal(program.unseal(sealed).word, "integrity",
              "A256KW: what RSA has sealed: integrity")
with Program(HSM.replace("keys/hsm", "keys/app"), ENV) as program:
    TAP.equal((program.seal().word, program.check().word),
              ("misconfigured",) * 2, "A256KW with an RSA key")


# Refusals

double.allowed = {"wrapkey"}
fails(URI, ENV, "denied", "no right to unwrap", "ForbiddenByRbac", sealed)
with Program(URI, ENV) as program:
    TAP.equal((program.seal().word, program.check().word), ("ok", "denied"),
              "with the right to wrap only")
double.allowed = {"get", "wrapkey", "unwrapkey"}
fails(URI.replace("/app", "/nosuch"), ENV, "not_found", "no such key",
      "KeyNotFound")
for error, verb, want in (
        (Refused(401, "Unauthorized"), "unseal", "denied"),
        (Refused(403, "Forbidden", "ForbiddenByFirewall"), "unseal",
         "denied"),
        (Refused(403, "Forbidden", "KeyExpired"), "seal", "disabled"),
        (Refused(409, "Conflict", "ObjectIsBeingDeleted"), "unseal",
         "disabled"),
        (Refused(400, "BadParameter"), "seal", "misconfigured"),
        (Refused(400, "BadParameter"), "unseal", "integrity"),
        (Refused(429, "Throttled", None, {"Retry-After": "1"}), "unseal",
         "throttled"),
        (Refused(500, "InternalServerError"), "unseal", "unavailable"),
        (Refused(503, "ServiceUnavailable"), "unseal", "unavailable")):
    double.mistakes[:] = [error] * 20
    answer = fails(URI + "&timeout=800", ENV, want,
                   f"{verb}, {error.status} {error.inner or error.code}",
                   error.inner or error.code,
                   sealed if verb == "unseal" else None)
    TAP.ok("req-1234" in answer.text and "MARKER" not in answer.text,
           "the request's id is told, the message is not")
double.mistakes[:] = [Refused(429, "Throttled"), Refused(503, "Busy")]
with Program(URI, ENV) as program:
    TAP.equal(program.unseal(sealed).word, "ok", "what passes is tried again")
for kid, want in ((f"app/{'0' * 32}", "integrity"),
                  (f"other/{NEWEST}", "unavailable"),
                  ("", "unavailable")):
    double.claimed_kid = f"{double.url}/keys/{kid}"
    with Program(URI, ENV) as program:
        TAP.equal(program.unseal(sealed).word, want,
                  f"opened by another key, \"{kid[:5]}\": {want}")
    with Program(URI.replace("/app", "/app/" + NEWEST), ENV) as program:
        TAP.equal(program.seal().word, "unavailable",
                  "nor does another version seal for the one that is named")
double.claimed_kid = None
double.add_key("pgenvelope")
works(clouds.documented_uri("## 14. azurekv: Azure Key Vault and Managed HSM")
      .replace("pgenvelope.vault.azure.net", double.host)
      + f"?ca-file={CA}&resource={VAULT}", ENV, "documented URI, but for its host")
for uri in ("azurekv:keys/app", URI.replace("&resource=" + VAULT, ""), f"azurekv://{double.host}/secrets/app",
            f"azurekv://{double.host}/keys/a_b",
            f"azurekv://{double.host}/keys/app/x/y",
            f"azurekv://{double.host}/keys/",
            URI + "&algorithm=RSA1_5", URI + "&client-secret=x"):
    fails(uri, ENV, "misconfigured", "URI "
          + uri.replace(clouds.SCRATCH, "")[:70])


# TLS, and rubbish

fails(URI.replace(f"ca-file={CA}&", ""), ENV, "misconfigured",
      "TLS, an unknown CA", "not trusted")
fails(URI.replace("localhost", "127.0.0.1"), ENV, "misconfigured",
      "TLS, a certificate of another name", "not trusted")
fails(f"azurekv://localhost:{clouds.free_port()}/keys/app?timeout=1000"
      f"&resource={VAULT}", ENV, "unavailable", "nobody listens")
KID = f"{double.url}/keys/app/{NEWEST}"
for name, reply, want in (
        ("rubbish", (200, "<html>"), "unavailable"),
        ("nothing", (200, ""), "unavailable"),
        ("no content", (204, ""), "unavailable"),
        ("another JSON", (200, {"a": 1}), "unavailable"),
        ("padded", (200, {"kid": KID, "value": "AA=="}), "integrity"),
        ("too long", (200, {"value": "A" * 70000}), "unavailable"),
        ("closed", None, "unavailable")):
    server = clouds.Double(lambda request, reply=reply: reply,
                           (CERT, CERT_KEY))
    fails(URI.replace(double.host, f"localhost:{server.port}")
          + "&timeout=1000", ENV, want,
          f"an answer that is {name} (a double)", None, sealed)
    server.stop()
server = clouds.Double(lambda request: (200, {
    "kid": f"{double.url}/keys/other/{NEWEST}", "value": "AAAA"}),
    (CERT, CERT_KEY))
fails(URI.replace(double.host, f"localhost:{server.port}"), ENV,
      "unavailable", "an answer about another key (a double)")

clouds.faults(
    double.vault.port, lambda port, timeout=4000: URI.replace(
        double.host, f"localhost:{port}") + f"&timeout={timeout}",
    lambda port: ENV, sealed)

clouds.no_secrets({
    "the client secret": SECRET, "the identity header": IDENTITY_HEADER,
    "a token": double.issued[-1], "an assertion": double.assertion()[:60],
    "the client's id": CLIENT})
TAP.done()
