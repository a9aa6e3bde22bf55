"""gcp_double.py: a double of Google Cloud KMS and of what gives tokens for it.

A double, made by this project: no server of somebody else's checks additional
authenticated data and checksums.  So that it does not merely agree with the
program that it tests, requests are parsed and replies made with Google's own
message definitions (google-cloud-kms), where an unknown field is an error;
checksums are google-crc32c's; and a service account's assertion is verified
by google-auth.

    python3 gcp_double.py PORT
                            serves on 127.0.0.1 until it is ended; its
                            metadata service (GCE_METADATA_HOST) gives tokens

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import datetime
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.parse

import clouds

NAME = "projects/p-1/locations/europe-west3/keyRings/ring/cryptoKeys/app"
CODES = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400,
         "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
         "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503,
         "DEADLINE_EXCEEDED": 504}


class Refused(Exception):
    """google.rpc.Status."""

    def __init__(self, status, message="MARKER of the body"):
        super().__init__(status)
        self.status = status
        self.message = message

    def reply(self):
        code = CODES[self.status]
        return code, {"error": {"code": code, "message": self.message,
                                "status": self.status}}


class Gcp:
    """Keys by name, tokens, and what to do wrong.

    mistakes: a list of words, one taken for each call of a key:
        STATUS      that error
        crc         the reply's checksum is wrong
        no crc      it has none
        unverified  as if the request's checksum had not come
        bit         a bit of the bytes is wrong
    """

    def __init__(self, port=0, certificate=None):
        from google.cloud import kms_v1
        from google.protobuf import json_format
        self.kms = kms_v1
        self.json_format = json_format
        self.keys = {}
        self.tokens = {}
        self.mistakes = []
        self.accounts = {}      # email -> public key, PEM
        self.subject = None     # of the token exchange
        self.lifetime = 3600
        self.calls = []         # names of what was asked
        self.projects = set()   # quota projects that were sent
        self.audience = None
        self.double = clouds.Double(self.answer, certificate, port)
        self.url = self.double.url
        self.host = f"127.0.0.1:{self.double.port}"
        self.add_key(NAME)

    def add_key(self, name, purpose="ENCRYPT_DECRYPT"):
        self.keys[name] = {"purpose": purpose, "versions": [], "primary": 0}
        if purpose == "ENCRYPT_DECRYPT":
            self.rotate(name)

    def rotate(self, name):
        key = self.keys[name]
        key["versions"].append({"secret": os.urandom(32),
                                "state": "ENABLED"})
        key["primary"] = len(key["versions"])

    def state(self, name, number, state):
        self.keys[name]["versions"][number - 1]["state"] = state

    # Tokens

    def issue(self, scope):
        token = "ya29." + secrets.token_urlsafe(40)
        self.tokens[token] = (time.time() + self.lifetime, scope)
        return token

    def authorize(self, request, scopes=("cloudkms", "cloud-platform")):
        header = request.headers.get("Authorization", "")
        until, scope = self.tokens.get(header.removeprefix("Bearer "),
                                       (0, ""))
        if until < time.time():
            raise Refused("UNAUTHENTICATED")
        if scope.rsplit("/", 1)[1] not in scopes:
            raise Refused("PERMISSION_DENIED")

    def token_reply(self, scope):
        return 200, {"access_token": self.issue(scope), "token_type":
                     "Bearer", "expires_in": self.lifetime}

    def take_assertion(self, form):
        from google.auth import jwt
        if form.get("grant_type") != \
                "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return 400, {"error": "unsupported_grant_type"}
        try:
            claims = jwt.decode(form["assertion"], certs=self.accounts,
                                audience=self.audience)
            header = jwt.decode_header(form["assertion"])
        except ValueError:
            return 400, {"error": "invalid_grant",
                         "error_description": "MARKER"}
        if claims["exp"] - claims["iat"] > 3600 or "iss" not in claims or \
                header["alg"] != "RS256" or header["typ"] != "JWT":
            return 400, {"error": "invalid_grant"}
        return self.token_reply(claims["scope"])

    def exchange(self, form):
        want = {"grant_type":
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "requested_token_type":
                "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "audience": "//iam.googleapis.com/projects/1/locations/"
                "global/workloadIdentityPools/pool/providers/k8s"}
        if any(form.get(name) != value for name, value in want.items()):
            return 400, {"error": "invalid_request"}
        if form.get("subject_token") != self.subject:
            return 400, {"error": "invalid_grant"}
        status, reply = self.token_reply(form["scope"])
        return status, {**reply, "issued_token_type":
                        want["requested_token_type"]}

    def impersonate(self, request):
        self.authorize(request, ("cloud-platform",))
        scope, = request.json()["scope"]
        end = datetime.datetime.now(datetime.timezone.utc) + \
            datetime.timedelta(seconds=self.lifetime)
        return 200, {"accessToken": self.issue(scope), "expireTime":
                     end.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")}

    def metadata(self, request):
        if request.headers.get("Metadata-Flavor") != "Google":
            return 403, ""
        return self.token_reply(
            "https://www.googleapis.com/auth/cloud-platform")

    # Keys

    def answer(self, request):
        path = urllib.parse.urlsplit(request.path).path
        form = dict(urllib.parse.parse_qsl(request.body.decode(
            "utf-8", "replace")))
        try:
            if path == "/token":
                self.calls.append("token")
                return self.take_assertion(form)
            if path == "/v1/token":
                self.calls.append("exchange")
                return self.exchange(form)
            if path.endswith(":generateAccessToken"):
                self.calls.append("impersonate")
                return self.impersonate(request)
            if path.startswith("/computeMetadata/"):
                self.calls.append("metadata")
                return self.metadata(request)
            return self.key_call(request, path)
        except Refused as refused:
            return refused.reply()

    def key_call(self, request, path):
        match = re.fullmatch(r"/v1/(projects/[^:]*)(:encrypt|:decrypt)?",
                             path)
        if not match:
            raise Refused("NOT_FOUND")
        name, verb = match.groups()
        self.calls.append(verb or "get")
        self.projects.add(request.headers.get("x-goog-user-project"))
        self.authorize(request)
        mistake = self.mistakes.pop(0) if self.mistakes else None
        if mistake in CODES:
            raise Refused(mistake)
        if name not in self.keys:
            raise Refused("NOT_FOUND")
        if (verb is None) != (request.method == "GET"):
            raise Refused("NOT_FOUND")
        if verb is None:
            reply = self.get(name)
        elif verb == ":encrypt":
            reply = self.encrypt(name, request, mistake)
        else:
            reply = self.decrypt(name, request, mistake)
        return 200, self.json_format.MessageToDict(reply)

    def parse(self, request, message):
        try:
            return self.json_format.Parse(request.body, message)
        except self.json_format.ParseError as error:
            raise Refused("INVALID_ARGUMENT") from error

    def get(self, name):
        key = self.keys[name]
        reply = self.kms.CryptoKey.pb()()
        reply.name = name
        types = self.kms.CryptoKey.CryptoKeyPurpose
        reply.purpose = types[key["purpose"]]
        if key["primary"]:
            states = self.kms.CryptoKeyVersion.CryptoKeyVersionState
            reply.primary.name = f"{name}/cryptoKeyVersions/{key['primary']}"
            reply.primary.state = states[
                key["versions"][key["primary"] - 1]["state"]]
        return reply

    @staticmethod
    def checksum(data):
        import google_crc32c
        return google_crc32c.value(data)

    def want_checksum(self, message, field, data):
        if not message.HasField(field):
            return False
        if getattr(message, field).value != self.checksum(data):
            raise Refused("INVALID_ARGUMENT")
        return True

    def cipher(self, name, number):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        version = self.keys[name]["versions"][number - 1]
        if version["state"] != "ENABLED":
            raise Refused("FAILED_PRECONDITION")
        return AESGCM(version["secret"])

    def encrypt(self, name, request, mistake):
        asked = self.parse(request, self.kms.EncryptRequest.pb()())
        reply = self.kms.EncryptResponse.pb()()
        number = self.keys[name]["primary"]
        if not number:
            raise Refused("FAILED_PRECONDITION")
        aad = asked.additional_authenticated_data
        reply.verified_plaintext_crc32c = self.want_checksum(
            asked, "plaintext_crc32c", asked.plaintext)
        reply.verified_additional_authenticated_data_crc32c = \
            self.want_checksum(asked,
                               "additional_authenticated_data_crc32c", aad)
        nonce = os.urandom(12)
        sealed = number.to_bytes(2, "big") + nonce + self.cipher(
            name, number).encrypt(nonce, asked.plaintext, aad)
        reply.name = f"{name}/cryptoKeyVersions/{number}"
        reply.ciphertext = sealed
        reply.ciphertext_crc32c.value = self.checksum(sealed)
        self.spoil(reply, "ciphertext", mistake)
        if mistake == "unverified":
            reply.verified_plaintext_crc32c = False
        if mistake == "name":
            reply.name = name + "2/cryptoKeyVersions/1"
        return reply

    def decrypt(self, name, request, mistake):
        from cryptography.exceptions import InvalidTag
        asked = self.parse(request, self.kms.DecryptRequest.pb()())
        reply = self.kms.DecryptResponse.pb()()
        aad = asked.additional_authenticated_data
        self.want_checksum(asked, "ciphertext_crc32c", asked.ciphertext)
        self.want_checksum(asked, "additional_authenticated_data_crc32c",
                           aad)
        number = int.from_bytes(asked.ciphertext[:2], "big")
        if not 1 <= number <= len(self.keys[name]["versions"]):
            raise Refused("INVALID_ARGUMENT")
        try:
            reply.plaintext = self.cipher(name, number).decrypt(
                asked.ciphertext[2:14], asked.ciphertext[14:], aad)
        except (InvalidTag, ValueError) as error:
            raise Refused("INVALID_ARGUMENT") from error
        reply.plaintext_crc32c.value = self.checksum(reply.plaintext)
        self.spoil(reply, "plaintext", mistake)
        return reply

    @staticmethod
    def spoil(reply, field, mistake):
        data = getattr(reply, field)
        if mistake == "bit":
            setattr(reply, field, data[:-1] + bytes([data[-1] ^ 1]))
        elif mistake == "crc":
            getattr(reply, field + "_crc32c").value ^= 1
        elif mistake == "no crc":
            reply.ClearField(field + "_crc32c")


def main():
    if clouds.prepare("python"):
        sys.exit("gcp_double.py: google-cloud-kms could not be installed")
    gcp = Gcp(int(sys.argv[1]))
    print(json.dumps({"url": gcp.url, "metadata": gcp.host, "key": NAME}),
          flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
