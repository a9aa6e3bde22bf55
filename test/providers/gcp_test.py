#!/usr/bin/python3
"""gcp_test.py: root keys in Google Cloud KMS.

Against a double (gcp_double.py), which parses with Google's message
definitions and checks additional data, checksums and tokens; google-auth
verifies the service account's assertions, and google-cloud-kms's own client
opens what the program seals.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import json
import time

import clouds
from clouds import KEY, PLAINTEXT, TAP, Program, works, fails

if clouds.prepare("python"):
    clouds.skip_all("needs google-cloud-kms")

import google.auth                                      # noqa: E402
import google.auth.credentials                          # noqa: E402
from cryptography import x509                           # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from google.cloud import kms_v1                         # noqa: E402

from gcp_double import NAME, Gcp                        # noqa: E402

TAP.note("servers: a double of Google Cloud KMS, by google-cloud-kms "
         f"{kms_v1.__version__}; oracle: google-auth "
         f"{google.auth.__version__}")
gcp = Gcp()
URI = f"gcpkms://{NAME}"
BASE = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": gcp.url + "/"}
ENV = {**BASE, "GCE_METADATA_HOST": gcp.host}


# Credentials

sealed = works(URI, ENV, "metadata server (a double)", "metadata server")
if sealed is None:
    TAP.done()

private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
curve = ec.generate_private_key(ec.SECP256R1())
EMAIL = "database@p-1.iam.gserviceaccount.com"
gcp.accounts["key-1"] = private.public_key().public_bytes(
    serialization.Encoding.PEM,
    serialization.PublicFormat.SubjectPublicKeyInfo)
gcp.audience = gcp.url + "/token"


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()).decode()


def account(name, key=private, **more):
    return clouds.write(name, json.dumps({
        "type": "service_account", "project_id": "p-1",
        "private_key_id": "key-1", "private_key": pem(key),
        "client_email": EMAIL, "token_uri": gcp.url + "/token", **more}))


ACCOUNT = {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": account("account.json")}
works(URI, ACCOUNT, "service account, its assertion verified by google-auth",
      "service account")
works(f"{URI}?credentials-file={clouds.SCRATCH}/account.json", BASE,
      "service account in the URI", "service account")
fails(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": account(
    "other.json", other)}, "denied", "a key that is not the account's",
    "invalid_grant")
for what, path in (
        ("an RSA key of 1024 bits", account("small.json", small)),
        ("an elliptic curve's key", account("curve.json", curve)),
        ("no key", account("none.json", private_key="x")),
        ("an encrypted key", account("locked.json", private_key=(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret")).decode()))),
        ("a user's file", clouds.write("user.json", json.dumps(
            {"type": "authorized_user"}))),
        ("rubbish", clouds.write("rubbish.json", "{\"type\": ")),
        ("a file that all can read", clouds.write("loose.json", "{}", 0o644)),
        ("a token service without TLS", account(
            "plain.json", token_uri="http://192.0.2.1/token"))):
    fails(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": path},
          "misconfigured", what)
with Program(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS":
                   clouds.SCRATCH + "/missing.json"}) as program:
    TAP.ok(program.seal().word in ("not_found", "misconfigured"),
           "a missing file")

POOL = "//iam.googleapis.com/projects/1/locations/global/" \
    "workloadIdentityPools/pool/providers/k8s"
gcp.subject = "kubernetes.header.signature"


def external(name, source, **more):
    return clouds.write(name, json.dumps({
        "type": "external_account", "audience": POOL,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": gcp.url + "/v1/token", "credential_source": source,
        **more}))


token = clouds.write("subject", gcp.subject + "\n", 0o644)
token_json = clouds.write("subject.json", json.dumps({"t": gcp.subject}),
                          0o644)
works(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": external(
    "external.json", {"file": token})}, "workload identity, text",
    "workload identity")
works(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": external(
    "external2.json", {"file": token_json, "format": {
        "type": "json", "subject_token_field_name": "t"}})},
    "workload identity, JSON")
works(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": external(
    "external3.json", {"file": token}, service_account_impersonation_url=(
        f"{gcp.url}/v1/projects/-/serviceAccounts/{EMAIL}"
        ":generateAccessToken"))}, "workload identity with impersonation")
fails(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": external(
    "external4.json", {"environment_id": "aws1"})}, "misconfigured",
    "workload identity by AWS", "not supported")
fails(URI, {**BASE, "GOOGLE_APPLICATION_CREDENTIALS": external(
    "external5.json", {"file": clouds.write("subject2", "wrong", 0o644)})},
    "denied", "workload identity, another token", "invalid_grant")

# Tokens are kept, replaced before they end, and once when refused.
del gcp.calls[:]
with Program(URI, ENV) as program:
    for _ in range(3):
        program.unseal(sealed)
    TAP.equal(gcp.calls.count("metadata"), 1, "a token is kept")
    gcp.tokens.clear()
    TAP.equal(program.unseal(sealed).word, "ok", "a refused one is replaced")
    TAP.equal(gcp.calls.count("metadata"), 2, "once")
gcp.lifetime = 200
del gcp.calls[:]
with Program(URI, ENV) as program:
    for _ in range(3):
        program.unseal(sealed)
    TAP.equal(gcp.calls.count("metadata"), 3,
              "one that is about to end is replaced")
    answer, gcp.double.answer = gcp.double.answer, lambda request: (
        time.sleep(6) if "computeMetadata" in request.path
        else gcp.answer(request))
    TAP.equal(program.unseal(sealed).word, "ok",
              "if no other is to be had in time, it serves")
    gcp.double.answer = answer
gcp.lifetime = 3600
fails(URI + "?timeout=1000", {**BASE, "GCE_METADATA_HOST":
                              f"127.0.0.1:{clouds.free_port()}"},
      "unavailable", "no metadata server")


# Sealing, and Google's own client

client = kms_v1.KeyManagementServiceClient(
    transport="rest", credentials=(
        google.auth.credentials.AnonymousCredentials()),
    client_options={"api_endpoint": gcp.url})
metadata = [("authorization", "Bearer " + gcp.issue("x/cloudkms"))]
blob = base64.b64decode(sealed.removeprefix(b"gcpkms:v1:"))
TAP.equal(client.decrypt(
    {"name": NAME, "ciphertext": blob,
     "additional_authenticated_data": KEY.encode()},
    metadata=metadata).plaintext, PLAINTEXT,
    "google-cloud-kms opens what the program seals")
theirs = client.encrypt(
    {"name": NAME, "plaintext": PLAINTEXT,
     "additional_authenticated_data": KEY.encode()},
    metadata=metadata).ciphertext
with Program(URI, ENV) as program:
    TAP.equal(program.unseal(
        b"gcpkms:v1:" + base64.b64encode(theirs)).bytes, PLAINTEXT,
        "the program opens what google-cloud-kms seals")
    answer = program.seal()
    TAP.equal(answer.root_key, "app/1", "the root key is named")
    TAP.ok(answer.bytes != sealed, "two seals differ")
    for key in ("0123456789ab/2", "0123456789ac/1"):
        TAP.equal(program.unseal(sealed, key).word, "integrity",
                  f"it does not open for {key}")
    for name, damaged in (
            ("a bit", sealed[:-4] + b"AAA="),
            ("no prefix", sealed[len("gcpkms:v1:"):]),
            ("another version", sealed.replace(b":v1:", b":v2:")),
            ("nothing behind the prefix", b"gcpkms:v1:"),
            ("not base64", b"gcpkms:v1:####"),
            ("zeros", bytes(64))):
        TAP.equal(program.unseal(damaged).word, "integrity",
                  f"damaged, {name}: integrity")
    short = client.encrypt(
        {"name": NAME, "plaintext": PLAINTEXT[:47],
         "additional_authenticated_data": KEY.encode()},
        metadata=metadata).ciphertext
    TAP.equal(program.unseal(b"gcpkms:v1:" + base64.b64encode(short)).word,
              "integrity", "what is too short is no key")

    # The root key rotates.
    gcp.rotate(NAME)
    TAP.equal(program.check().root_key, "app/2",
              "after a rotation there is another root key")
    TAP.equal(program.seal().root_key, "app/2", "which seals")
    TAP.equal(program.unseal(sealed).word, "ok", "and the old one opens")
    gcp.state(NAME, 1, "DISABLED")
    TAP.equal(program.unseal(sealed).word, "disabled",
              "not when it is disabled")
    gcp.state(NAME, 1, "ENABLED")
    gcp.state(NAME, 2, "DESTROYED")
    TAP.equal((program.seal().word, program.check().word),
              ("disabled", "disabled"), "a primary version that is destroyed")
    gcp.state(NAME, 2, "ENABLED")

    # What was damaged on its way is asked for again.
    for mistake in ("crc", "no crc", "unverified", "bit"):
        gcp.mistakes[:] = [mistake]
        TAP.equal(program.seal().word, "ok", f"seal, {mistake}: again")
        gcp.mistakes[:] = [mistake] * 5
        TAP.equal(program.seal().word, "unavailable",
                  f"seal, {mistake} on and on: unavailable")
    for mistake in ("crc", "no crc", "bit"):
        gcp.mistakes[:] = [mistake]
        TAP.equal(program.unseal(sealed).word, "ok",
                  f"unseal, {mistake}: again")
        gcp.mistakes[:] = [mistake] * 5
        answer = program.unseal(sealed)
        TAP.equal((answer.word, answer.bytes), ("unavailable", b""),
                  f"unseal, {mistake} on and on: unavailable")
    gcp.mistakes[:] = ["name"]
    TAP.equal(program.seal().word, "unavailable",
              "an answer about another key: unavailable")
    gcp.mistakes[:] = []


# Refusals

for status, verb, want in (
        ("PERMISSION_DENIED", "seal", "denied"),
        ("UNAUTHENTICATED", "seal", "denied"),
        ("NOT_FOUND", "seal", "not_found"),
        ("FAILED_PRECONDITION", "unseal", "disabled"),
        ("INVALID_ARGUMENT", "seal", "misconfigured"),
        ("INVALID_ARGUMENT", "unseal", "integrity"),
        ("RESOURCE_EXHAUSTED", "unseal", "throttled"),
        ("INTERNAL", "unseal", "unavailable"),
        ("UNAVAILABLE", "unseal", "unavailable"),
        ("DEADLINE_EXCEEDED", "unseal", "unavailable")):
    gcp.mistakes[:] = [status] * 20
    answer = fails(URI + "?timeout=800", ENV, want,
                   f"{verb}, {status} (a double)", status,
                   sealed if verb == "unseal" else None)
    TAP.ok("MARKER" not in answer.text, "without the service's message")
gcp.mistakes[:] = ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
with Program(URI, ENV) as program:
    TAP.equal(program.unseal(sealed).word, "ok", "what passes is tried again")
fails(URI.replace("/app", "/nosuch"), ENV, "not_found", "no such key")
gcp.add_key(NAME + "-sign", "ASYMMETRIC_SIGN")
with Program(URI + "-sign", ENV) as program:
    TAP.equal(program.check().word, "misconfigured", "a key that signs")
URI_TOLD = clouds.documented_uri("## 13. gcpkms: Google Cloud KMS")
gcp.add_key(URI_TOLD.removeprefix("gcpkms://"))
works(URI_TOLD, ENV, "documented URI")
for uri in ("gcpkms://projects/p/locations/l/keyRings/r",
            f"{URI}/cryptoKeyVersions/1", "gcpkms:" + NAME,
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/",
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/a%2fb",
            "gcpkms://projects/p/locations/../keyRings/r/cryptoKeys/a",
            "gcpkms://projects:443/p/locations/l/keyRings/r/cryptoKeys/a",
            URI + "?key=x"):
    fails(uri, ENV, "misconfigured", "URI " + uri[-60:])

gcp.projects.clear()
works(URI + "?quota-project=payer", ENV, "quota project")
TAP.equal(gcp.projects, {"payer"}, "the quota project is sent")
fails(f"{URI}?timeout=1000&endpoint=http://127.0.0.1:{clouds.free_port()}",
      ENV, "unavailable", "nobody listens")
fails(f"{URI}?endpoint=http://192.0.2.1", ENV, "misconfigured",
      "plain http to another machine")


# TLS, and rubbish

CA, CERT, CERT_KEY = clouds.make_certificates()
secure = Gcp(certificate=(CERT, CERT_KEY))
SECURE = {**ENV, "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": secure.url}
secure.tokens, secure.keys = gcp.tokens, gcp.keys
works(f"{URI}?ca-file={CA}", SECURE, "TLS")
fails(URI, SECURE, "misconfigured", "TLS, an unknown CA", "not trusted")
fails(f"{URI}?ca-file={CA}&endpoint=https://127.0.0.1:{secure.double.port}",
      ENV, "misconfigured", "TLS, a certificate of another name",
      "not trusted")
for name, reply in (
        ("rubbish", (200, "<html>")), ("nothing", (200, "")),
        ("no content", (204, "")), ("another JSON", (200, {"a": 1})),
        ("too long", (200, {"plaintext": "A" * 70000})),
        ("closed", None)):
    double = clouds.Double(lambda request, reply=reply: reply)
    fails(f"{URI}?timeout=1000&endpoint={double.url}", ENV, "unavailable",
          f"an answer that is {name} (a double)", None, sealed)
    double.stop()

clouds.faults(
    secure.double.port, lambda port, timeout=4000:
    f"{URI}?ca-file={CA}&timeout={timeout}"
    f"&endpoint=https://localhost:{port}", lambda port: ENV, sealed)

clouds.no_secrets({
    "the private key": pem(private).split("\n")[1],
    "an account's address": EMAIL,
    "a token": sorted(gcp.tokens)[0], "a subject token": gcp.subject})
TAP.done()
