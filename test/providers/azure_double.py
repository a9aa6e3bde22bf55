"""azure_double.py: a double of Azure Key Vault, Managed HSM and Entra ID.

A double, made by this project: the emulators that others wrote are not to be
had from the package registries.  So that it does not merely agree with the
program that it tests, Microsoft's own libraries are its clients too: a test
has azure-identity get a token from it and azure-keyvault-keys open what the
program has sealed.  Tokens are signed and verified, with their audience and
end, and so are federated assertions (PyJWT).

    python3 azure_double.py PORT
                            serves on 127.0.0.1 until it is ended, with a
                            certificate of its own; PORT + 1 has the managed
                            identity's endpoints, which need none

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import json
import os
import re
import sys
import threading
import time
import urllib.parse

import clouds

TENANT = "72f988bf-0000-0000-0000-2d7cd011db47"
CLIENT = "11111111-2222-3333-4444-555555555555"
SECRET = "client~secret~of the test+"
IDENTITY_HEADER = "identity-header-of-the-test"
ISSUER = "https://kubernetes.test"
SUBJECT = "system:serviceaccount:db:postgres"
VAULT = "https://vault.azure.net"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(text):
    if "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refused(Exception):
    """An error of Key Vault's, with an inner code or not."""

    def __init__(self, status, code, inner=None, headers=None):
        super().__init__(code)
        self.status, self.code = status, code
        self.inner, self.headers = inner, headers or {}

    def reply(self):
        error = {"code": self.code, "message": "MARKER of the body"}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return self.status, {"error": error}, {
            "x-ms-request-id": "req-1234", **self.headers}


class Azure:
    """A vault and its tenant.

    mistakes: a list of Refused, one raised for each call of a key.
    allowed: the permissions of whoever has a token.
    """

    def __init__(self, certificate, port=0, identity_port=0):
        from cryptography.hazmat.primitives.asymmetric import rsa
        self.signer = rsa.generate_private_key(65537, 2048)
        self.federated = rsa.generate_private_key(65537, 2048)
        self.keys = {}
        self.mistakes = []
        self.claimed_kid = None     # of wrap and unwrap; None: the truth
        self.allowed = {"get", "wrapkey", "unwrapkey"}
        self.lifetime = 3600
        self.calls = []
        self.revoked = set()
        self.issued = []
        self.vault = clouds.Double(self.answer, certificate, port)
        self.identity = clouds.Double(self.answer_identity, None,
                                      identity_port)
        self.url = self.vault.url
        self.host = f"localhost:{self.vault.port}"

    # Keys

    def add_key(self, name, kind="RSA"):
        self.keys[name] = {"kty": kind, "versions": {}, "newest": None,
                           "attributes": {"enabled": True}}
        self.rotate(name)

    def rotate(self, name):
        from cryptography.hazmat.primitives.asymmetric import rsa
        key = self.keys[name]
        version = os.urandom(16).hex()
        key["versions"][version] = os.urandom(32) \
            if key["kty"] == "oct-HSM" else rsa.generate_private_key(
                65537, 2048)
        key["newest"] = version
        return version

    # Tokens

    def issue(self, resource):
        import jwt
        token = jwt.encode(
            {"aud": resource, "iss": f"https://sts.windows.net/{TENANT}/",
             "tid": TENANT, "iat": int(time.time()),
             "exp": int(time.time()) + self.lifetime,
             "jti": os.urandom(8).hex()}, self.signer, "RS256")
        self.issued.append(token)
        return token

    def authorize(self, request):
        import jwt
        challenge = {"WWW-Authenticate": "Bearer authorization=\"https://"
                     f"login.microsoftonline.com/{TENANT}\", resource=\""
                     f"{VAULT}\""}
        token = request.headers.get("Authorization", "").removeprefix(
            "Bearer ")
        try:
            jwt.decode(token, self.signer.public_key(), ["RS256"],
                       audience=[VAULT, "https://managedhsm.azure.net"])
        except jwt.InvalidTokenError as error:
            raise Refused(401, "Unauthorized", None, challenge) from error
        if token in self.revoked:
            raise Refused(401, "Unauthorized", None, challenge)

    def token(self, form):
        import jwt
        self.calls.append("token")

        def refuse(error, number):
            return 401, {"error": error, "error_codes": [number],
                         "error_description": f"AADSTS{number}: MARKER"}
        if form.get("grant_type") != "client_credentials":
            return refuse("unsupported_grant_type", 70003)
        if form.get("client_id") != CLIENT:
            return refuse("unauthorized_client", 700016)
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION:
                return refuse("invalid_request", 900144)
            try:
                jwt.decode(form["client_assertion"],
                           self.federated.public_key(), ["RS256"],
                           audience="api://AzureADTokenExchange",
                           issuer=ISSUER, subject=SUBJECT)
            except jwt.InvalidTokenError:
                return refuse("invalid_client", 700024)
        elif form.get("client_secret") != SECRET:
            return refuse("invalid_client", 7000215)
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            return refuse("invalid_scope", 70011)
        return 200, {"token_type": "Bearer", "expires_in": self.lifetime,
                     "ext_expires_in": self.lifetime, "access_token":
                     self.issue(scope.removesuffix("/.default"))}

    def assertion(self, audience="api://AzureADTokenExchange"):
        """What a cluster would put into a file."""
        import jwt
        return jwt.encode({"iss": ISSUER, "sub": SUBJECT, "aud": audience,
                           "exp": int(time.time()) + 600}, self.federated,
                          "RS256")

    def discovery(self):
        base = f"{self.url}/{TENANT}"
        return 200, {"issuer": f"{base}/v2.0",
                     "token_endpoint": f"{base}/oauth2/v2.0/token",
                     "authorization_endpoint": f"{base}/authorize",
                     "jwks_uri": f"{base}/keys"}

    def answer_identity(self, request):
        """IMDS, and the endpoint of App Service."""
        parts = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.calls.append(parts.path)
        if query.get("client_id", CLIENT) != CLIENT:
            return 400, {"error": "invalid_request",
                         "error_description": "Identity not found"}
        if parts.path == "/metadata/identity/oauth2/token":
            if request.headers.get("Metadata") != "true" or \
                    query.get("api-version") != "2018-02-01":
                return 400, {"error": "bad_request_102"}
        elif parts.path == "/msi/token":
            if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER \
                    or query.get("api-version") != "2019-08-01":
                return 401, {"statusCode": 401}
        else:
            return 404, {}
        end = int(time.time()) + self.lifetime
        reply = {"access_token": self.issue(query["resource"]),
                 "expires_on": str(end), "resource": query["resource"],
                 "token_type": "Bearer"}
        if parts.path.startswith("/metadata"):
            reply["expires_in"] = str(self.lifetime)
        return 200, reply

    # The vault

    def answer(self, request):
        parts = urllib.parse.urlsplit(request.path)
        if parts.path == f"/{TENANT}/oauth2/v2.0/token":
            return self.token(dict(urllib.parse.parse_qsl(
                request.body.decode())))
        if parts.path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            return self.discovery()
        try:
            return self.key_call(request, parts)
        except Refused as refused:
            return refused.reply()

    def key_call(self, request, parts):
        match = re.fullmatch(
            r"/keys/([0-9A-Za-z-]+)(?:/([0-9a-f]{32}))?/?"
            r"(?:/(wrapkey|unwrapkey))?", parts.path)
        if not match:
            raise Refused(404, "NotFound")
        name, version, verb = match.groups()
        verb = verb or "get"
        self.calls.append(verb)
        self.authorize(request)
        if self.mistakes:
            raise self.mistakes.pop(0)
        version_asked = dict(urllib.parse.parse_qsl(parts.query)).get(
            "api-version")
        if version_asked not in ("7.4", "7.5", "7.6", "2025-07-01"):
            raise Refused(400, "BadParameter")
        if verb not in self.allowed:
            raise Refused(403, "Forbidden", "ForbiddenByRbac")
        if (verb == "get") != (request.method == "GET"):
            raise Refused(405, "MethodNotAllowed")
        key = self.keys.get(name)
        if key is None or (version and version not in key["versions"]):
            raise Refused(404, "KeyNotFound")
        version = version or key["newest"]
        kid = f"{self.url}/keys/{name}/{version}"
        if verb == "get":
            return 200, self.get(key, kid, key["versions"][version])
        if not key["attributes"]["enabled"]:
            raise Refused(403, "Forbidden", "KeyDisabled")
        asked = request.json()
        if set(asked) != {"alg", "value"}:
            raise Refused(400, "BadParameter")
        try:
            value = self.work(key["versions"][version], key["kty"], verb,
                              asked["alg"], decode(asked["value"]))
        except ValueError as error:
            raise Refused(400, "BadParameter") from error
        return 200, {"kid": self.claimed_kid or kid, "value": encode(value)}

    @staticmethod
    def get(key, kid, material):
        ops = ["wrapKey", "unwrapKey"]
        jwk = {"kid": kid, "kty": key["kty"], "key_ops": ops}
        if key["kty"] != "oct-HSM":
            numbers = material.public_key().public_numbers()
            jwk["n"] = encode(numbers.n.to_bytes(256, "big"))
            jwk["e"] = encode(numbers.e.to_bytes(3, "big"))
        return {"key": jwk, "attributes": key["attributes"]}

    @staticmethod
    def work(material, kind, verb, algorithm, value):
        from cryptography.hazmat.primitives import hashes, keywrap
        from cryptography.hazmat.primitives.asymmetric import padding
        if kind == "oct-HSM":
            if algorithm != "A256KW":
                raise ValueError(algorithm)
            if verb == "wrapkey":
                return keywrap.aes_key_wrap(material, value)
            try:
                return keywrap.aes_key_unwrap(material, value)
            except keywrap.InvalidUnwrap as error:
                raise ValueError("unwrap") from error
        if algorithm != "RSA-OAEP-256":
            raise ValueError(algorithm)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(),
                            None)
        if verb == "wrapkey":
            return material.public_key().encrypt(value, oaep)
        return material.decrypt(value, oaep)


def main():
    if clouds.prepare("python"):
        sys.exit("azure_double.py: its libraries could not be installed")
    port = int(sys.argv[1])
    ca, *certificate = clouds.make_certificates()
    azure = Azure(certificate, port, port + 1)
    azure.add_key("app")
    azure.add_key("hsm", "oct-HSM")
    print(json.dumps({"host": azure.host, "ca": ca,
                      "identity": azure.identity.url}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
