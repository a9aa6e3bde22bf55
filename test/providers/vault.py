#!/usr/bin/python3
"""vault.py: root keys in the transit engine of Vault, against OpenBao.

The program pgenvelope-kms by itself: what it seals and binds, every way to
log in, every failure with its category, TLS, and a network that misbehaves
(fault_proxy.py).  What the server makes of it is in vault_server.pl.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import os
import subprocess
import threading
import time
import urllib.parse

import clouds
import openbao
from clouds import KEY, PLAINTEXT, SCRATCH, TAP, Program, fails, works, write
from fault_proxy import Proxy

missing = openbao.install("python")
from cryptography.hazmat.primitives import serialization    # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa   # noqa: E402

CA = openbao.certificate("ca")
SERVER_CERT = openbao.certificate("server", issuer=CA)
TLS = openbao.TlsServer("bao", CA[0], *SERVER_CERT)
API = TLS.api
NAME = "pgenvelope"


def uri(name=NAME, host="localhost", port=None, mount="transit",
        ca=CA[0], scheme="vault", **words):
    if ca:
        words["ca_file"] = ca
    query = "&".join(f"{word.replace('_', '-')}="
                     + urllib.parse.quote(str(value), safe="/")
                     for word, value in words.items())
    return (f"{scheme}://{host}:{port or TLS.port}/{mount}/keys/{name}"
            + ("?" + query if query else ""))


def word_of(answer):
    return answer.word


# ---------------------------------------------------------------------------
# The documentation's set-up
# ---------------------------------------------------------------------------

DOCUMENTED = os.path.join(SCRATCH, "documented")
os.mkdir(DOCUMENTED)
policy = openbao.documented("### A key and a policy")
who = openbao.documented("### Who the server is")
rotating = openbao.documented("### Rotating the root key")
TAP.ok(openbao.run_documented(policy[0], API, DOCUMENTED)[0],
       "the documented key and policy are made")
TAP.ok(openbao.run_documented(who[0], API, DOCUMENTED)[0],
       "the documented AppRole is made")
setting = who[1].strip()
documented_uri = setting.split("'main=")[1].rstrip("'").replace(
    "/etc/pgenvelope/vault-ca.pem", CA[0]).replace(
    "/etc/pgenvelope", DOCUMENTED).replace(
    "vault.example.com:8200", f"localhost:{TLS.port}")
blob = works(documented_uri, {}, "the documented setting", "AppRole login")
token = API.token_of(NAME)

opened = openbao.run_documented(
    openbao.documented("## 11. vault: HashiCorp Vault and OpenBao")[1]
    .replace("bao write", "bao write -field=plaintext")
    .replace("vault:v1:...", blob.decode()), API, DOCUMENTED)
TAP.equal(opened, (True, base64.b64encode(PLAINTEXT).decode()),
          "OpenBao's own client opens it as documented")

# Vault's client library of Python, which knows the API and nothing of ours.
if missing:
    TAP.skip("hvac", "needs hvac")
else:
    import hvac
    client = hvac.Client(url=API.url, token=token, verify=CA[0])
    bound = {"context": base64.b64encode(KEY.encode()).decode(),
             "associated_data": base64.b64encode(KEY.encode()).decode()}
    opened = client.secrets.transit.decrypt_data(NAME, blob.decode(), **bound)
    TAP.equal(base64.b64decode(opened["data"]["plaintext"]), PLAINTEXT,
              "hvac opens what the program has sealed")
    made = client.secrets.transit.encrypt_data(
        NAME, base64.b64encode(PLAINTEXT).decode(), **bound)
    with Program(uri(), {"VAULT_TOKEN": token}) as program:
        TAP.equal(program.unseal(made["data"]["ciphertext"].encode()).bytes,
                  PLAINTEXT, "and the reverse")

# ---------------------------------------------------------------------------
# Sealing and what is bound
# ---------------------------------------------------------------------------

ENV = {"VAULT_TOKEN": token}
with Program(uri(), ENV) as program:
    first, second = program.seal(), program.seal()
    TAP.equal((first.word, first.root_key), ("ok", NAME + ":v1"),
              "the root key's version is named")
    TAP.ok(first.bytes != second.bytes, "two seals differ")
    TAP.ok(first.bytes.startswith(b"vault:v1:"),
           "what is sealed is transit's own")
    TAP.equal(program.unseal(first.bytes, "0123456789ab/2").word,
              "integrity", "another version of the key")
    TAP.equal(program.unseal(first.bytes, "0123456789ac/1").word,
              "integrity", "another key")
    changed = bytearray(base64.b64decode(first.bytes[9:]))
    changed[20] ^= 1
    TAP.equal(program.unseal(b"vault:v1:" + base64.b64encode(changed)).word,
              "integrity", "an altered seal")
    for what, bad in (
            ("no seal", b"rubbish"), ("a cut seal", first.bytes[:30]),
            ("only a prefix", b"vault:v1:"), ("version 0",
             first.bytes.replace(b":v1:", b":v0:")),
            ("a version to come", first.bytes.replace(b":v1:", b":v7:")),
            ("quotes", b'vault:v1:","x":"'), ("NUL", b"vault:v1:AAAA\0"),
            ("zeros", bytes(64)), ("4096 bytes", b"vault:v1:" + b"A" * 4087)):
        answer = program.unseal(bad)
        TAP.equal(answer.word, "integrity", f"{what}: {answer.text}")
    TAP.equal(program.unseal(first.bytes).bytes, PLAINTEXT,
              "and the seal still opens")

API.post("transit/keys/other")
API.do("PUT", "sys/policies/acl/other",
       {"policy": openbao.POLICY.format("other")})
other = {"VAULT_TOKEN": API.token_of("other")}
fails(uri("other"), other, "integrity", "a seal of another root key",
      sealed=blob)

for kind in ("aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305"):
    API.post(f"transit/keys/{kind}", type=kind)
    works(uri(kind), {"VAULT_TOKEN": API.token}, kind)
API.post("transit/keys/derived", derived=True)
derived = works(uri("derived"), {"VAULT_TOKEN": API.token}, "a derived key")
fails(uri("derived"), {"VAULT_TOKEN": API.token}, "integrity",
      "a derived key, another version", sealed=blob)
for kind in ("rsa-2048", "ed25519", "hmac"):
    API.post(f"transit/keys/{kind}", type=kind,
             **({"key_size": 32} if kind == "hmac" else {}))
    fails(uri(kind), {"VAULT_TOKEN": API.token}, "misconfigured", kind,
          "aes256-gcm96")

# ---------------------------------------------------------------------------
# The life of the root key
# ---------------------------------------------------------------------------

API.do("PUT", "sys/policies/acl/loose", {"policy": """
path "transit/*" { capabilities = ["create", "read", "update"] }"""})
loose = {"VAULT_TOKEN": API.token_of("loose")}
fails(uri("absent"), ENV, "denied", "a key that the policy does not name")
fails(uri("absent"), loose, "not_found", "a key that does not exist")
fails(uri("absent"), loose, "not_found", "nor does it unseal", sealed=blob)
TAP.equal(API.call("GET", "transit/keys/absent")[0], 404,
          "and none is made, although the policy allows it")
fails(uri(mount="nowhere"), {"VAULT_TOKEN": API.token}, "not_found",
      "no such engine")

with Program(uri(), ENV) as program:
    TAP.equal(program.check().root_key, NAME + ":v1", "before a rotation")
    TAP.ok(openbao.run_documented(rotating[0], API, DOCUMENTED)[0],
           "the root key is rotated as documented")
    TAP.equal(program.check().root_key, NAME + ":v2", "after it")
    sealed = program.seal()
    TAP.equal((sealed.root_key, sealed.bytes[:9]),
              (NAME + ":v2", b"vault:v2:"), "the new version seals")
    TAP.equal(program.unseal(blob).bytes, PLAINTEXT,
              "the old one still unseals")
    API.post(f"transit/keys/{NAME}/config", min_decryption_version=2)
    TAP.equal(program.unseal(blob).word, "disabled",
              "a version that may no longer decrypt")
    API.post(f"transit/keys/{NAME}/config", min_decryption_version=1)
    TAP.equal(program.unseal(blob).bytes, PLAINTEXT, "it may again")
    status, _found = API.call("DELETE", f"transit/keys/{NAME}/soft-delete")
    if status >= 300:
        status, _found = API.call("POST",
                                  f"transit/keys/{NAME}/soft-delete")
    if status < 300:
        TAP.equal(program.unseal(blob).word, "disabled",
                  "a softly deleted key does not unseal")
        TAP.equal(program.seal().word, "disabled", "nor seal")
        API.post(f"transit/keys/{NAME}/soft-delete-restore")
        TAP.equal(program.seal().word, "ok", "restored, it does")
    else:
        TAP.skip("a softly deleted key", "this OpenBao has none")

API.post("transit/keys/gone")
with Program(uri("gone"), {"VAULT_TOKEN": API.token}) as program:
    sealed = program.seal().bytes
    API.post("transit/keys/gone/config", deletion_allowed=True)
    API.do("DELETE", "transit/keys/gone")
    TAP.equal(program.unseal(sealed).word, "not_found", "a deleted key")
    TAP.equal(program.seal().word, "not_found", "is not made again")
    TAP.equal(program.check().word, "not_found", "nor found by a check")

# ---------------------------------------------------------------------------
# Policies
# ---------------------------------------------------------------------------

for missing in ("encrypt", "decrypt", "keys"):
    lines = [line for line in openbao.POLICY.format(NAME).splitlines()
             if f"/{missing}/" not in line]
    API.do("PUT", f"sys/policies/acl/no-{missing}",
           {"policy": "\n".join(lines)})
    env = {"VAULT_TOKEN": API.token_of("no-" + missing)}
    with Program(uri(), env) as program:
        TAP.equal((program.seal().word, program.unseal(blob).word,
                   program.check().word),
                  {"encrypt": ("denied", "ok", "ok"),
                   "decrypt": ("ok", "denied", "ok"),
                   "keys": ("denied", "ok", "denied")}[missing],
                  f"a policy without {missing}")
env = {"VAULT_TOKEN": API.token_of("default")}
fails(uri(), env, "denied", "a policy with nothing", "policies")
env = {"VAULT_TOKEN": API.token_of(NAME, no_default_policy=True)}
works(uri(), env, "a token that may not look itself up")

# ---------------------------------------------------------------------------
# Tokens
# ---------------------------------------------------------------------------

works(uri(), ENV, "VAULT_TOKEN", "token of the environment, expires ")
works(uri(), {"BAO_TOKEN": token}, "BAO_TOKEN", "token of the environment")
fails(uri(), {}, "misconfigured", "no token", "VAULT_TOKEN is not set")
fails(uri(), {"VAULT_TOKEN": ""}, "misconfigured", "an empty token")
fails(uri(), {"VAULT_TOKEN": "no-such-token"}, "denied", "a wrong token")
fails(uri(), {"VAULT_TOKEN": "x\r\nX-Other: y"}, "misconfigured",
      "a token with a line break")

path = write("token", token + "\n")
works(uri(token_file=path), {}, "a token file", "token file, expires ")
works(uri(token_file=path), {"VAULT_TOKEN": "wrong"},
      "a token file counts more than the environment")
for content, mode, what in (
        ("", 0o600, "an empty token file"), ("\n", 0o600, "an empty line"),
        ("a\nb", 0o600, "two lines"), (token, 0o644, "others may read it"),
        (token, 0o620, "its group may write it"),
        ("x" * 5000, 0o600, "too long a token")):
    fails(uri(token_file=write("bad-token", content, mode)), {},
          "misconfigured", what)
fails(uri(token_file="/nonexistent/token"), {}, "misconfigured",
      "a missing token file")
fails(uri(token_file="token"), {}, "misconfigured", "a relative path",
      "absolute")
fails(uri(token_file=SCRATCH), {}, "misconfigured", "a directory")
os.mkfifo(os.path.join(SCRATCH, "fifo"), 0o600)
fails(uri(token_file=os.path.join(SCRATCH, "fifo")), {}, "misconfigured",
      "a FIFO")

with Program(uri(token_file=path), {}) as program:
    TAP.equal(program.seal().word, "ok", "a token that is about to change")
    API.post("auth/token/revoke", token=token)
    TAP.equal(program.seal().word, "denied", "revoked")
    token = API.token_of(NAME)
    write("token", token)
    TAP.equal(program.seal().word, "ok", "and replaced in its file")
    os.unlink(path)
    TAP.equal(program.seal().word, "misconfigured", "the file is gone")
    write("token", token)
    TAP.equal(program.seal().word, "ok", "and back")
ENV = {"VAULT_TOKEN": token}

with Program(uri(), {"VAULT_TOKEN": API.token_of(
        NAME, ttl="1s", explicit_max_ttl="1s")}) as program:
    words = []

    def expired():
        words.append(program.check().word)
        return words[-1] != "ok"
    clouds.wait_until(expired, "the token expires")
    TAP.equal(words[-1], "denied", "an expired token is denied")

# A token that would be gone if nobody renewed it, in a program that nobody
# asks for anything.
found = API.post("auth/token/create", policies=[NAME], period="3s",
                 no_parent=True)["auth"]
with Program(uri(), {"VAULT_TOKEN": found["client_token"]}) as program:
    TAP.equal(program.check().word, "ok", "a periodic token")
    before = TLS.requests("auth/token/renew-self")
    clouds.wait_until(
        lambda: TLS.requests("auth/token/renew-self") >= before + 3,
        "it is renewed three times")
    TAP.equal(program.check().word, "ok", "lives on by being renewed")

# ---------------------------------------------------------------------------
# AppRole
# ---------------------------------------------------------------------------

ROLE = {"auth": "approle",
        "role_id_file": DOCUMENTED + "/role-id",
        "secret_id_file": DOCUMENTED + "/secret-id"}
with open(ROLE["role_id_file"], encoding="ascii") as file:
    role_id = file.read().strip()
with open(ROLE["secret_id_file"], encoding="ascii") as file:
    secret_id = file.read().strip()
logins = TLS.requests("auth/approle/login")
with Program(uri(**ROLE), {"VAULT_TOKEN": "not used"}) as program:
    for _i in range(3):
        TAP.equal(program.seal().word, "ok", "AppRole: seals")
    TAP.equal(TLS.requests("auth/approle/login"), logins + 1,
              "AppRole: one login serves")
    accessors = API.do("LIST", "auth/token/accessors")["data"]["keys"]
    revoked = 0
    for accessor in accessors:
        status, found = API.call("POST", "auth/token/lookup-accessor",
                                 {"accessor": accessor})
        if status == 200 and found["data"]["path"] == "auth/approle/login":
            API.post("auth/token/revoke-accessor", accessor=accessor)
            revoked += 1
    TAP.ok(revoked > 0, "AppRole: its token is revoked")
    TAP.equal(program.seal().word, "ok", "AppRole: logs in again")
    TAP.equal(TLS.requests("auth/approle/login"), logins + 2,
              "AppRole: once")
    API.do("PUT", "sys/policies/acl/" + NAME, {"policy": "# nothing"})
    TAP.equal(program.unseal(blob).word, "denied",
              "AppRole: a policy that is taken away")
    TAP.equal(TLS.requests("auth/approle/login"), logins + 3,
              "AppRole: one login more and no further")
    API.do("PUT", "sys/policies/acl/" + NAME,
           {"policy": openbao.POLICY.format(NAME)})
    TAP.equal(program.unseal(blob).word, "ok", "AppRole: given back")
works(uri(auth="approle", role_id=role_id,
          secret_id_file=ROLE["secret_id_file"]), {}, "AppRole: role-id")
bad = write("secret-id", "00000000-0000-0000-0000-000000000000")
fails(uri(**{**ROLE, "secret_id_file": bad}), {}, "denied",
      "AppRole: a wrong secret id", "login was refused")
fails(uri(**{**ROLE, "role_id_file": bad}), {}, "denied",
      "AppRole: a wrong role id")
fails(uri(auth="approle", role_id=role_id), {}, "denied",
      "AppRole: no secret id")
fails(uri(**ROLE, auth_path="nowhere"), {}, "denied",
      "AppRole: no such auth method")
fails(uri(auth="approle"), {}, "misconfigured", "AppRole: no role id",
      "role-id")
with Program(uri(**{**ROLE, "secret_id_file": bad}), {}) as program:
    TAP.equal(program.seal().word, "denied", "AppRole: wrong at first")
    write("secret-id", secret_id)
    TAP.equal(program.seal().word, "ok", "AppRole: the file is read again")
API.post("sys/auth/team/approle", type="approle")
API.post("auth/team/approle/role/app", token_policies=[NAME],
         token_ttl="2s", token_max_ttl="4s")
role = API.get("auth/team/approle/role/app/role-id")["data"]["role_id"]
made = API.post("auth/team/approle/role/app/secret-id")["data"]["secret_id"]
words = uri(auth="approle", auth_path="team/approle", role_id=role,
            secret_id_file=write("team-secret", made))
with Program(words, {}) as program:
    TAP.equal(program.check().word, "ok", "AppRole: at another path")
    clouds.wait_until(
        lambda: program.check().word != "ok" or
        TLS.requests("auth/team/approle/login") >= 2,
        "its token has come to its end")
    TAP.equal(program.check().word, "ok",
              "AppRole: logs in when the token has ended")

# An agent that logs in by itself, OpenBao's own.
agent_port = clouds.free_port()
agent_config = write("agent.hcl", f"""
vault {{
  address = "{API.url}"
  ca_cert = "{CA[0]}"
}}
auto_auth {{
  method "approle" {{
    config = {{
      role_id_file_path = "{ROLE['role_id_file']}"
      secret_id_file_path = "{ROLE['secret_id_file']}"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
api_proxy {{ use_auto_auth_token = true }}
listener "tcp" {{
  address = "127.0.0.1:{agent_port}"
  tls_disable = true
}}
""")
agent = clouds.Server("agent", [openbao.BAO, "proxy",
                                f"-config={agent_config}"], agent_port)
agent_uri = uri(scheme="vault+http", host="127.0.0.1", port=agent_port,
                ca=None, auth="agent")
with Program(agent_uri, {"VAULT_TOKEN": "not used"}) as program:
    clouds.wait_until(lambda: program.check().word == "ok",
                      "the agent has logged in")
    TAP.equal(program.seal().word, "ok", "an agent: seals")
    TAP.equal(program.unseal(blob).bytes, PLAINTEXT, "an agent: unseals")
agent.stop()
fails(agent_uri + "&timeout=500", {}, "unavailable", "an agent that is gone")
fails(uri(auth="agent"), {}, "denied", "no agent where one should be")

# ---------------------------------------------------------------------------
# JWT, Kubernetes
# ---------------------------------------------------------------------------

signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = signing.public_key().public_bytes(
    serialization.Encoding.PEM,
    serialization.PublicFormat.SubjectPublicKeyInfo).decode()
for mount in ("jwt", "kubernetes"):
    API.post(f"sys/auth/{mount}", type="jwt")
    API.post(f"auth/{mount}/config", jwt_validation_pubkeys=[public],
             bound_issuer="https://issuer.example")
    API.post(f"auth/{mount}/role/database", role_type="jwt",
             bound_audiences=["vault"], user_claim="sub",
             bound_subject="system:serviceaccount:db:postgres",
             token_policies=[NAME], token_ttl="10m")


def new_jwt(lifetime=300, **claims):
    return openbao.jwt(signing, lifetime, **{
        "iss": "https://issuer.example", "aud": "vault",
        "sub": "system:serviceaccount:db:postgres", **claims})


# As an orchestrator mounts it: all of the container may read it.
jwt_file = write("jwt", new_jwt(), 0o644)
works(uri(auth="jwt", role="database", jwt_file=jwt_file), {}, "JWT",
      "JWT login, expires ")
works(uri(auth="kubernetes", role="database", jwt_file=jwt_file), {},
      "Kubernetes", "Kubernetes login, expires ")
fails(uri(auth="kubernetes", role="database"), {}, "misconfigured",
      "Kubernetes: outside a pod", "serviceaccount/token")
fails(uri(auth="jwt", role="other", jwt_file=jwt_file), {}, "denied",
      "JWT: another role")
fails(uri(auth="jwt", jwt_file=jwt_file), {}, "misconfigured",
      "JWT: no role", "role")
fails(uri(auth="jwt", role="database"), {}, "misconfigured",
      "JWT: no file", "jwt-file")
for claims, what in (({"lifetime": -600}, "expired"),
                     ({"aud": "other"}, "for somebody else"),
                     ({"sub": "root"}, "of somebody else")):
    bad = write("bad-jwt", new_jwt(**claims))
    fails(uri(auth="jwt", role="database", jwt_file=bad), {}, "denied",
          "JWT: " + what)
with Program(uri(auth="jwt", role="database", jwt_file=bad), {}) as program:
    TAP.equal(program.seal().word, "denied", "JWT: wrong at first")
    write("bad-jwt", new_jwt())
    TAP.equal(program.seal().word, "ok", "JWT: the file is read again")

# ---------------------------------------------------------------------------
# TLS certificates as credentials
# ---------------------------------------------------------------------------

CLIENT_CA = openbao.certificate("client-ca")
CLIENT = openbao.certificate("postgres", issuer=CLIENT_CA, client=True)
STRANGER = openbao.certificate("stranger", issuer=CA, client=True)
API.post("sys/auth/cert", type="cert")
with open(CLIENT_CA[0], encoding="ascii") as file:
    API.post("auth/cert/certs/database", certificate=file.read(),
             token_policies=[NAME])
works(uri(auth="cert", cert_file=CLIENT[0], key_file=CLIENT[1]), {},
      "TLS certificate", "TLS certificate login")
works(uri(auth="cert", role="database"),
      {"VAULT_CLIENT_CERT": CLIENT[0], "VAULT_CLIENT_KEY": CLIENT[1]},
      "TLS certificate of the environment, and a role")
fails(uri(auth="cert", cert_file=STRANGER[0], key_file=STRANGER[1]), {},
      "denied", "TLS certificate: of another CA")
fails(uri(auth="cert"), {}, "misconfigured", "TLS certificate: none",
      "cert-file")
fails(uri(auth="cert", cert_file=CLIENT[0]), {}, "misconfigured",
      "TLS certificate: without its key", "key-file")
fails(uri(auth="cert", cert_file=CLIENT[0], key_file=STRANGER[1]), {},
      "misconfigured", "TLS certificate: another's key")
open_key = write("open.key", open(CLIENT[1], encoding="ascii").read(), 0o644)
fails(uri(auth="cert", cert_file=CLIENT[0], key_file=open_key), {},
      "misconfigured", "TLS certificate: others may read its key", "mode")

# ---------------------------------------------------------------------------
# Namespaces
# ---------------------------------------------------------------------------

if API.call("POST", "sys/namespaces/team", {})[0] < 300:
    inner = openbao.Api(API.url, API.context, API.token, "team")
    inner.post("sys/mounts/transit", type="transit")
    inner.post("transit/keys/inner")
    env = {"VAULT_TOKEN": API.token}
    works(uri("inner", namespace="team"), env, "a namespace")
    works(uri("inner"), {**env, "VAULT_NAMESPACE": "team"},
          "VAULT_NAMESPACE")
    works(uri("inner"), {**env, "BAO_NAMESPACE": "team"}, "BAO_NAMESPACE")
    fails(uri("inner"), env, "not_found", "without its namespace")
    fails(uri("inner", namespace="a%0d%0ab"), env, "misconfigured",
          "a namespace that is none")
else:
    TAP.skip("a namespace", "this OpenBao has none")

# ---------------------------------------------------------------------------
# TLS
# ---------------------------------------------------------------------------

works(uri(ca=None), {**ENV, "VAULT_CACERT": CA[0]}, "VAULT_CACERT")
fails(uri(ca=None), ENV, "misconfigured", "a CA that nobody trusts",
      "certificate is not trusted")
fails(uri(ca=CLIENT_CA[0]), ENV, "misconfigured", "another CA",
      "certificate is not trusted")
fails(uri(host="127.0.0.1"), ENV, "misconfigured",
      "another host name than the certificate's",
      "certificate is not trusted")
fails(uri(ca="/nonexistent.pem"), ENV, "misconfigured", "no CA file",
      "trusted certificates cannot be read")
fails(uri(ca=write("loose.pem", open(CA[0]).read(), 0o666)), ENV,
      "misconfigured", "a CA file that all can write", "written by others")
fails(uri(ca=write("no-ca.pem", "rubbish")), ENV, "misconfigured",
      "a CA file that is none", "certificate file")
fails(uri(ca="ca.pem"), ENV, "misconfigured", "a relative path", "absolute")
fails(uri(scheme="vault+http", ca=None), ENV, "misconfigured",
      "plain HTTP to a server with TLS")
for host in ("192.0.2.1", "vault.example.com", "169.254.169.254"):
    fails(uri(scheme="vault+http", host=host, ca=None), ENV,
          "misconfigured", f"plain HTTP to {host}", "not https")


def tls_server(certificate, *options):
    """openssl s_server, which answers with a page of its own."""
    port = clouds.free_port()
    return clouds.Server("s_server", [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www",
        "-cert", certificate[0], "-key", certificate[1], *options], port)


for certificate, options, word, what in (
        (openbao.certificate("expired", issuer=CA, days=-1), [],
         "misconfigured", "an expired certificate"),
        (openbao.certificate("localhost"), [],
         "misconfigured", "a self-signed certificate"),
        (openbao.certificate("client-only", issuer=CA, client=True), [],
         "misconfigured", "a certificate for clients only"),
        (SERVER_CERT, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
         "unavailable", "a server that speaks TLS 1.1"),
        (SERVER_CERT, [], "unavailable", "a server that is no Vault")):
    server = tls_server(certificate, *options)
    fails(uri(port=server.port, timeout=2000), ENV, word, what)
    server.stop()

# ---------------------------------------------------------------------------
# URIs
# ---------------------------------------------------------------------------

for bad, what in (
        ("vault:transit/keys/a", "no host"),
        ("vault://localhost/keys/a", "no mount"),
        ("vault://localhost/transit/a", "no keys"),
        ("vault://localhost/transit/keys/", "no name"),
        ("vault://localhost/transit/keys/a/b", "more than a name"),
        ("vault://localhost/transit/../keys/a", "dots"),
        ("vault://localhost/a%2Fb/keys/a", "an escape"),
        ("vault://localhost//keys/a", "an empty part"),
        ("vault://localhost/transit/keys/" + "a" * 101, "too long a name"),
        ("vault://u@localhost/transit/keys/a", "a user"),
        ("other://localhost/transit/keys/a", "another scheme"),
        (uri(token="x"), "a token"), (uri(auth="magic"), "an auth method"),
        (uri(timeout=99), "too short a time"),
        (uri(timeout="1s"), "a time with a unit"),
        (uri() + "&ca-file=/x", "a word twice"),
        (uri(auth="approle", role_id="x", auth_path="../sys"),
         "an auth path that leaves")):
    fails(bad, ENV, "misconfigured", "a URI with " + what)

# ---------------------------------------------------------------------------
# The server's own troubles
# ---------------------------------------------------------------------------

with Program(uri(timeout=1500), ENV) as program:
    TAP.equal(program.seal().word, "ok", "before it is sealed")
    TLS.seal()
    answer = program.seal()
    TAP.equal((answer.word, "is sealed" in answer.text),
              ("unavailable", True), f"sealed: {answer.text}")
    TAP.equal(program.unseal(blob).word, "unavailable", "sealed: unseal")
    TLS.unseal()
    TAP.equal(program.unseal(blob).bytes, PLAINTEXT,
              "opened again, the same program goes on")
    TLS.stop()
    TAP.equal(program.unseal(blob).word, "unavailable", "stopped")
    TLS.start()
    answer = program.unseal(blob)
    TAP.equal(answer.word, "unavailable", "started, but sealed")
    TLS.unseal()
    TAP.equal(program.unseal(blob).bytes, PLAINTEXT, "and back")

API.do("POST", "sys/quotas/rate-limit/few", {
    "path": f"transit/decrypt/{NAME}", "rate": 1, "interval": "60s"})
with Program(uri(timeout=1000), ENV) as program:
    words = [program.unseal(blob).word for _i in range(3)]
    TAP.ok(words[-1] == "throttled", f"a quota is used up: {words}")
    TAP.equal(program.check().word, "ok", "the quota is for decrypt only")
API.do("DELETE", "sys/quotas/rate-limit/few")

# ---------------------------------------------------------------------------
# A network that misbehaves
# ---------------------------------------------------------------------------

server, dev = openbao.dev_server()
dev.post("sys/mounts/transit", type="transit")
dev.post("transit/keys/" + NAME)
DEV_ENV = {"VAULT_TOKEN": dev.token}
plain = {"scheme": "vault+http", "host": "127.0.0.1", "ca": None}
works(uri(port=server.port, **plain), DEV_ENV, "plain HTTP to this machine")
works(uri(port=server.port, **{**plain, "host": "localhost"}), DEV_ENV,
      "plain HTTP to localhost")
works(uri(port=server.port, **plain),
      {**DEV_ENV, "http_proxy": "http://127.0.0.1:1",
       "ALL_PROXY": "http://127.0.0.1:1"},
      "no proxy comes between")

OK = "HTTP/1.1 200 OK\\r\\nContent-Length: "


def reply(body, status="200 OK", header=""):
    return (f"text HTTP/1.1 {status}\\r\\n{header}Connection: close\\r\\n"
            f"Content-Length: {len(body)}\\r\\n\\r\\n{body}")


FAULTS = (
    ("refuse", "unavailable"), ("reset", "unavailable"),
    ("hang", "unavailable"), ("cut 10", "unavailable"),
    ("cut 150", "unavailable"), ("drip 0.05", "unavailable"),
    ("delay 5", "unavailable"), ("garbage", "unavailable"),
    ("flood", "unavailable"), ("text ", "unavailable"),
    ("text HTTP/1.1 200", "unavailable"),
    ("text HTTP/1.1 200 OK\\r\\nContent-Length: -1\\r\\n\\r\\n",
     "unavailable"),
    ("text HTTP/1.1 200 OK\\r\\n" + "X: y\\r\\n" * 60000, "unavailable"),
    ("text SSH-2.0-OpenSSH\\r\\n", "unavailable"),
    (reply(""), "unavailable"), (reply("null"), "unavailable"),
    (reply("[]"), "unavailable"), (reply("{}"), "unavailable"),
    (reply("{" * 5000), "unavailable"),
    (reply('{"data":{"ciphertext":"vault:v1:AAAA"'), "unavailable"),
    (reply('{"data":[]}'), "unavailable"),
    (reply('{"data":{"ciphertext":7,"plaintext":7,"latest_version":"1"}}'),
     "unavailable"),
    (reply("x" * 70000), "unavailable"),
    (reply("", "302 Found", "Location: http://127.0.0.1:1/\\r\\n"),
     "misconfigured"),
    (reply("", "307 Temporary Redirect",
           "Location: http://127.0.0.1:1/\\r\\n"), "misconfigured"),
    (reply("", "400 Bad Request"), "misconfigured"),
    (reply("<html>", "403 Forbidden"), "unavailable"),
    (reply("<html>", "404 Not Found"), "unavailable"),
    (reply('{"errors":[]}', "404 Not Found"), "not_found"),
    (reply("", "412 Precondition Failed"), "unavailable"),
    (reply("", "418 Teapot"), "misconfigured"),
    (reply("", "429 Too Many Requests", "Retry-After: 3600\\r\\n"),
     "throttled"),
    (reply("", "472 Standby"), "unavailable"),
    (reply("", "500 Error"), "unavailable"),
    (reply("", "502 Bad Gateway"), "unavailable"),
    (reply('{"errors":["Vault is sealed"]}', "503 Unavailable"),
     "unavailable"))

for scheme, target in (("plain", server.port), ("TLS", TLS.port)):
    proxy = Proxy(target)
    words = plain if scheme == "plain" else {}
    with Program(uri(port=proxy.port, timeout=700, **words),
                 DEV_ENV if scheme == "plain" else ENV) as program:
        sealed = program.seal()
        TAP.equal(sealed.word, "ok", f"{scheme}: through the proxy")
        for fault, want in FAULTS:
            shown = fault if len(fault) < 60 else fault[:57] + "..."
            # Of a reply in TLS only its bytes can be changed.
            if scheme == "TLS" and fault.startswith("text HTTP"):
                continue
            proxy.mode(fault)
            started = time.monotonic()
            answer = program.unseal(sealed.bytes)
            took = time.monotonic() - started
            # What is opened to something else than a key is a wrong answer.
            good = answer.word == want or (
                answer.word == "integrity" and fault.startswith("text HTTP/1.1 200"))
            if not TAP.ok(good, f"{scheme}: {shown}: {want}"):
                TAP.note(answer.line)
            TAP.ok(took < 1.5, f"{scheme}: {shown}: in time ({took:.2f} s)")
            answer = program.seal()
            TAP.ok(answer.word == want, f"{scheme}: {shown}: sealing, "
                   f"{answer.word}")
            proxy.mode("pass")
            answer = program.unseal(sealed.bytes)
            TAP.equal((answer.word, answer.bytes), ("ok", PLAINTEXT),
                      f"{scheme}: {shown}: and it goes on {answer.text}")
        for fault in ("once reset", "once refuse", "once cut 20",
                      "once garbage"):
            proxy.mode("pass")
            with Program(uri(port=proxy.port, timeout=3000, **words),
                         DEV_ENV if scheme == "plain" else ENV) as again:
                proxy.mode(fault)
                TAP.equal(again.unseal(sealed.bytes).bytes, PLAINTEXT,
                          f"{scheme}: {fault}: is tried again")
    proxy.stop()

# It gives up before its caller does, whatever the URI says.
proxy = Proxy(server.port)
proxy.mode("hang")
for caller, said, least in (("500", "30000", 0.35), ("500", None, 0.35),
                            ("5000", "300", 0.25), ("rubbish", "300", 0.25)):
    words = {**plain, **({"timeout": said} if said else {})}
    with Program(uri(port=proxy.port, **words), {
            **DEV_ENV, "PGENVELOPE_PROVIDER_TIMEOUT": caller}) as program:
        started = time.monotonic()
        answer = program.seal()
        took = time.monotonic() - started
    TAP.ok(answer.word == "unavailable" and least < took < 2,
           f"{caller} ms of the caller's, {said} of the URI's: {took:.2f} s")
proxy.stop()

# Retry-After is heeded where there is time for it.
asked = []


def throttle(request):
    asked.append(time.monotonic())
    if len(asked) < 2:
        return 429, "", {"Retry-After": "1"}
    return 200, {"data": {"latest_version": 1, "type": "aes256-gcm96"}}


double = clouds.Double(throttle)
with Program(uri(port=double.server.server_address[1], timeout=4000, **plain),
             {"VAULT_TOKEN": "x"}) as program:
    TAP.equal(program.check().word, "ok", "a double: throttled once")
    TAP.ok(asked[1] - asked[0] >= 1, "a double: Retry-After is waited for")
double.stop()

# Redirects: the token goes to nobody else.
seen = []


def elsewhere(request):
    seen.append(request.path)
    return 200, {}


def redirect(_request):
    return 307, "", {"Location": f"{thief.url}/v1/stolen"}


thief, double = clouds.Double(elsewhere), clouds.Double(redirect)
fails(uri(port=double.server.server_address[1], **plain),
      {"VAULT_TOKEN": "x"}, "misconfigured", "a double: a redirect",
      "redirects")
TAP.equal(seen, [], "a double: it is not followed")
thief.stop()
double.stop()

# ---------------------------------------------------------------------------
# By hand, and what never shows
# ---------------------------------------------------------------------------

code, output = clouds.run_check(uri("absent"), {"VAULT_TOKEN": API.token})
TAP.ok(code == 1 and "check: not_found: " in output,
       "--check says what is wrong")
code, output = clouds.run_check(uri(), ENV)
TAP.ok(code == 0 and "root key: pgenvelope:v2\n" in output and
       "seal and unseal: ok" in output, "--check says what is right")
for arguments in ([], ["--check"], ["--other", "x"], ["a", "b"]):
    done = subprocess.run([clouds.PROGRAM, *arguments], check=False,
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    TAP.ok(done.returncode == 2 and done.stdout == b"" and
           b"Usage" in done.stderr, f"usage: {arguments}")

with Program(uri(), ENV) as program:
    program.seal()
    if os.geteuid() != 0:
        try:
            with open(f"/proc/{program.process.pid}/mem", "rb"):
                TAP.ok(False, "nobody of its user can read its memory")
        except PermissionError:
            TAP.ok(True, "nobody of its user can read its memory")
    line = subprocess.run(
        ["ps", "-o", "args=", "-p", str(program.process.pid)], check=False,
        stdout=subprocess.PIPE).stdout.decode()
    TAP.ok(uri() in line and token not in line,
           "its arguments are the URI and no secret")
    for bad in (b"nonsense\n", b"seal 0 main x y\n", b"\n", b"x" * 8192):
        other_program = Program(uri(), ENV)
        other_program.process.stdin.write(bad)
        other_program.process.stdin.close()
        TAP.equal((other_program.process.stdout.read(),
                   other_program.process.wait(20)), (b"", 1),
                  f"it ends at what cannot be answered: {bad[:20]!r}")
        other_program.process.stdout.close()
        other_program.stderr.close()
    with open(os.path.join(SCRATCH, "program.stderr"), "wb"):
        pass

clouds.no_secrets({
    "a token": token, "the root token": API.token,
    "a secret id": secret_id, "a role id": role_id,
    "a JWT": new_jwt()[:40], "a plaintext": base64.b64encode(PLAINTEXT)[:20],
    "a ciphertext": blob[9:40]})
with open(TLS.audit, encoding="utf-8") as file:
    TAP.ok(base64.b64encode(PLAINTEXT).decode() not in file.read(),
           "nor has the audit log a key")

TAP.done()
