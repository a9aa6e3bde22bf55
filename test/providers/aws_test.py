#!/usr/bin/python3
"""aws_test.py: root keys in AWS KMS.

Against moto, which checks signatures and IAM policies, local-kms as a second
opinion, and AWS's own mock of the instance metadata service; with botocore as
the oracle.  What no such server does is asked of a double, named so.

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import base64
import datetime
import json
import subprocess
import time
import urllib.parse
import urllib.request

import clouds
from clouds import KEY, PLAINTEXT, TAP, Double, Program, Server, works, fails

missing = clouds.prepare("python", "local-kms", "ec2-metadata-mock")
if "python" in missing:
    clouds.skip_all("needs moto")

import boto3                                            # noqa: E402
import botocore.config                                  # noqa: E402
import moto                                             # noqa: E402

REGION = "eu-central-1"
CONTEXT = {"pgenvelope-key": KEY}
BINARIES = clouds.CACHE + "/go/"
TAP.note(f"servers: moto {moto.__version__}, local-kms, ec2-metadata-mock 1.13.0; "
         "doubles for what they do not do; oracle: botocore "
         f"{botocore.__version__}")


# moto, with keys, users and roles

def start_moto(name, *options):
    port = clouds.free_port()
    scripts = clouds.CACHE + "/python/clouds/bin/"
    return Server(name, [scripts + "python", scripts + "moto_server",
                         "-H", "127.0.0.1", "-p", str(port), *options],
                  port, {"INITIAL_NO_AUTH_ACTION_COUNT": "1000"})


def post(url, data):
    urllib.request.urlopen(urllib.request.Request(url, data, {
        "Content-Type": "text/plain"}), timeout=30).read()


SERVER = start_moto("moto")
MOTO = f"http://127.0.0.1:{SERVER.port}"


def allow(count):
    """The next actions are not authenticated, all later ones are."""
    post(MOTO + "/moto-api/reset-auth", str(count).encode())


def client(service, access_key="setup", secret_key="setup", token=None,
           endpoint=MOTO):
    return boto3.client(
        service, region_name=REGION, endpoint_url=endpoint,
        aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        aws_session_token=token,
        config=botocore.config.Config(retries={"max_attempts": 1}))


kms = client("kms")
iam = client("iam")
OTHER_ARN = kms.create_key()["KeyMetadata"]["Arn"]
DISABLED_ARN = kms.create_key()["KeyMetadata"]["Arn"]
kms.disable_key(KeyId=DISABLED_ARN.rsplit("/", 1)[1])
RSA_ARN = kms.create_key(KeyUsage="ENCRYPT_DECRYPT",
                         KeySpec="RSA_2048")["KeyMetadata"]["Arn"]

# What the documentation has people run, by AWS's own command line.
SECTION = "## 12. awskms: AWS KMS"


def bash(script, env=None):
    """Runs a documented script; returns its output's last line."""
    done = subprocess.run(
        ["bash", "-eu", "-c", script], stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=clouds.SCRATCH,
        env={"PATH": f"{clouds.CACHE}/python/clouds/bin:/usr/bin:/bin",
             "HOME": clouds.SCRATCH, "AWS_ENDPOINT_URL": MOTO,
             "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "setup",
             "AWS_SECRET_ACCESS_KEY": "setup", **(env or {})})
    TAP.equal(done.returncode, 0, "the documented commands run "
              + done.stderr.decode()[-200:].replace("\n", " "))
    return done.stdout.decode().strip().split("\n")[-1]


ARN = bash(clouds.documented(SECTION, "arn=")).removeprefix("main=awskms:")
KEY_ID = ARN.rsplit("/", 1)[1]
POLICY = iam.get_role_policy(RoleName="pgenvelope",
                             PolicyName="pgenvelope")["PolicyDocument"]
TAP.equal(POLICY["Statement"][0]["Resource"], ARN,
          "the documented policy is for the key")

# moto knows no resources of KMS.
POLICY["Statement"][0]["Resource"] = "*"
SEAL_ONLY = json.loads(json.dumps(POLICY))
SEAL_ONLY["Statement"][0]["Action"] = ["kms:Encrypt"]
TRUST = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": [
        "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"]}]}


def make_user(name, policy):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p",
                        PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


ACCESS, SECRET = make_user("database", POLICY)
SEALER, SEALER_SECRET = make_user("sealer", SEAL_ONLY)
ASSUMER, ASSUMER_SECRET = make_user("assumer", {
    "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]})
ROLE = iam.create_role(RoleName="database", AssumeRolePolicyDocument=(
    json.dumps(TRUST)))["Role"]["Arn"]
iam.put_role_policy(RoleName="database", PolicyName="p",
                    PolicyDocument=json.dumps(POLICY))
ROLE_KEYS = client("sts").assume_role(
    RoleArn=ROLE, RoleSessionName="metadata")["Credentials"]
allow(0)

SECRETS = {"the secret key": SECRET, "the access key": ACCESS,
           "the role's secret key": ROLE_KEYS["SecretAccessKey"],
           "the role's session token": ROLE_KEYS["SessionToken"],
           "the sealer's access key": SEALER,
           "the assumer's secret key": ASSUMER_SECRET}
BASE = {"AWS_ENDPOINT_URL": MOTO, "AWS_EC2_METADATA_DISABLED": "true"}
ENV = {**BASE, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
URI = "awskms:" + ARN


# Sealing, and botocore as the oracle

sealed = works(URI, ENV, "environment", "environment")
if sealed is None:
    TAP.done()
oracle = client("kms", ACCESS, SECRET)
TAP.ok(sealed.startswith(b"awskms:v1:"), "what is sealed says what it is")
blob = base64.b64decode(sealed[len("awskms:v1:"):])
TAP.equal(oracle.decrypt(CiphertextBlob=blob, KeyId=ARN,
                         EncryptionContext=CONTEXT)["Plaintext"], PLAINTEXT,
          "botocore opens what the program seals")
TAP.equal(bash(f"sealed={sealed.decode()} arn={ARN}\n"
               + clouds.documented(SECTION, "aws kms decrypt"), {
                   "AWS_ACCESS_KEY_ID": ACCESS,
                   "AWS_SECRET_ACCESS_KEY": SECRET}),
          base64.b64encode(PLAINTEXT).decode(),
          "and so does the documented command, without this software")
theirs = oracle.encrypt(KeyId=ARN, Plaintext=PLAINTEXT,
                        EncryptionContext=CONTEXT)["CiphertextBlob"]
with Program(URI, ENV) as program:
    answer = program.unseal(b"awskms:v1:" + base64.b64encode(theirs))
    TAP.equal(answer.bytes, PLAINTEXT,
              "the program opens what botocore seals")
    answer = program.seal()
    TAP.equal(answer.root_key, KEY_ID, "the root key is named by its id")
    TAP.ok(answer.bytes != sealed, "two seals differ")

    # The encryption context binds the key and its version.
    for key in ("0123456789ab/2", "0123456789ac/1"):
        TAP.equal(program.unseal(sealed, key).word, "integrity",
                  f"it does not open for {key}")
    for name, damaged in (
            ("a bit", sealed[:-6] + b"AAAAA="),
            ("no prefix", sealed[len("awskms:v1:"):]),
            ("another version", sealed.replace(b":v1:", b":v2:")),
            ("another provider's", b"vault:v1:AAAA"),
            ("nothing behind the prefix", b"awskms:v1:"),
            ("not base64", b"awskms:v1:####"),
            ("zeros", bytes(64))):
        TAP.equal(program.unseal(damaged).word, "integrity",
                  f"damaged, {name}: integrity")
    short = oracle.encrypt(KeyId=ARN, Plaintext=PLAINTEXT[:47],
                           EncryptionContext=CONTEXT)["CiphertextBlob"]
    TAP.equal(program.unseal(
        b"awskms:v1:" + base64.b64encode(short)).word, "integrity",
        "what is too short is no key")
    foreign = oracle.encrypt(KeyId=OTHER_ARN, Plaintext=PLAINTEXT,
                             EncryptionContext=CONTEXT)["CiphertextBlob"]
    # moto says AccessDenied where AWS says IncorrectKey.
    TAP.equal(program.unseal(
        b"awskms:v1:" + base64.b64encode(foreign)).word, "denied",
        "what another key of the account has sealed does not open")
    TAP.equal(program.unseal(sealed).word, "ok", "and the right one does")


# Credentials

works(URI, {**BASE, "AWS_ACCESS_KEY_ID": ROLE_KEYS["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": ROLE_KEYS["SecretAccessKey"],
            "AWS_SESSION_TOKEN": ROLE_KEYS["SessionToken"]},
      "environment with a session token", "environment")

credentials = clouds.write("aws/credentials", f"""# keys
[default]
aws_access_key_id = nobody
aws_secret_access_key = nothing

[app]
AWS_ACCESS_KEY_ID={ACCESS}
aws_secret_access_key   =   {SECRET}
[assumer]
aws_access_key_id = {ASSUMER}
aws_secret_access_key = {ASSUMER_SECRET}
""")
token_file = clouds.write("aws/token", "header.claims.signature\n", 0o644)
config = clouds.write("aws/config", f"""
[default]
region = mars-north-1
[profile by-role]
role_arn = {ROLE}
source_profile = assumer
role_session_name = tester
s3 =
    role_arn = not this
[profile "by token"]
role_arn = {ROLE}
web_identity_token_file = {token_file}
[profile circle]
role_arn = {ROLE}
source_profile = circle2
[profile circle2]
role_arn = {ROLE}
source_profile = circle
[profile process]
credential_process = /bin/false
""")
FILES = {**BASE, "AWS_SHARED_CREDENTIALS_FILE": credentials,
         "AWS_CONFIG_FILE": config}
works(URI, {**FILES, "AWS_PROFILE": "app"}, "AWS_PROFILE", 'profile "app"')
works(URI + f"?profile=app&credentials-file={credentials}", BASE,
      "profile in the URI", 'profile "app"')
clouds.write("home/.aws/credentials", f"""[default]
aws_access_key_id={ACCESS}
aws_secret_access_key={SECRET}""")
works(URI, {**BASE, "HOME": clouds.SCRATCH + "/home"}, "profile at home",
      'profile "default"')
works(URI, {**FILES, "AWS_PROFILE": "by-role"}, "role of a source profile",
      "role, by profile")

# moto wants a signature where AWS wants none, so one call goes without.
WEB = {**BASE, "AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": token_file}
for name, env in (("web identity", WEB), ("web identity of a profile", {
        **FILES, "AWS_PROFILE": "by token"})):
    allow(1)
    with Program(URI, env) as program:
        answer = program.seal()
        TAP.equal(answer.word, "ok", f"{name}: seals {answer.text}")
        TAP.equal(program.unseal(answer.bytes).bytes, PLAINTEXT,
                  f"{name}: unseals")
        TAP.equal(program.check().word, "ok", f"{name}: checks")
    allow(0)

# What moto does not look at: the token, and that nothing is signed.
sts = Double(lambda request: (403, """<ErrorResponse><Error><Type>Sender</Type>
<Code>InvalidIdentityToken</Code><Message>MARKER</Message></Error>
<RequestId>req-5678</RequestId></ErrorResponse>"""))
answer = fails(URI, {**WEB, "AWS_ENDPOINT_URL_STS": sts.url,
                     "AWS_ROLE_SESSION_NAME": "me & you"}, "denied",
               "web identity, a refused token (a double)",
               "InvalidIdentityToken")
TAP.ok("req-5678" in answer.text and "MARKER" not in answer.text,
       "web identity: the request's id is told, the message is not")
TAP.equal(dict(urllib.parse.parse_qsl(sts.requests[0].body.decode())), {
    "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
    "RoleArn": ROLE, "RoleSessionName": "me & you",
    "WebIdentityToken": "header.claims.signature"},
    "web identity: the file's token is sent")
TAP.ok("Authorization" not in sts.requests[0].headers,
       "web identity: unsigned")
sts.answer = lambda request: (200, "<a><AccessKeyId>x</AccessKeyId></a>")
fails(URI + "?timeout=1000", {**WEB, "AWS_ENDPOINT_URL_STS": sts.url},
      "unavailable", "web identity, half an answer (a double)")
sts.stop()

for name, env, text in (
        ("missing profile", {**FILES, "AWS_PROFILE": "nosuch"}, "profile"),
        ("profiles in a circle", {**FILES, "AWS_PROFILE": "circle"},
         "source"),
        ("a profile's program", {**FILES, "AWS_PROFILE": "process"},
         "not supported"),
        ("half a key pair", {**BASE, "AWS_ACCESS_KEY_ID": ACCESS},
         "AWS_SECRET_ACCESS_KEY"),
        ("no credentials", BASE, "no AWS credentials")):
    fails(URI, env, "misconfigured", name, text)
loose = clouds.write("aws/loose", "[default]\n", 0o644)
fails(URI, {**BASE, "AWS_SHARED_CREDENTIALS_FILE": loose}, "misconfigured",
      "a profile file that all can read")

# A file that changes is read again by the running program.
changing = clouds.write("aws/changing", "[default]\naws_access_key_id=AKIAX\n"
                        "aws_secret_access_key=wrong\n")
with Program(URI, {**BASE, "AWS_SHARED_CREDENTIALS_FILE": changing}) as program:
    TAP.equal(program.unseal(sealed).word, "denied",
              "wrong keys in a file: denied")
    clouds.write("aws/changing", f"[default]\naws_access_key_id={ACCESS}\n"
                 f"aws_secret_access_key={SECRET}\n")
    TAP.equal(program.unseal(sealed).word, "ok",
              "and right ones serve at once")


# Credentials that a host hands out

def host_credentials(seconds=3600):
    end = datetime.datetime.now(datetime.timezone.utc) + \
        datetime.timedelta(seconds=seconds)
    return {"Code": "Success", "AccessKeyId": ROLE_KEYS["AccessKeyId"],
            "SecretAccessKey": ROLE_KEYS["SecretAccessKey"],
            "Token": ROLE_KEYS["SessionToken"],
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


lifetime = 3600


def container(request):
    if request.path != "/role?id=1" or \
            request.headers.get("Authorization") != "container-secret":
        return 403, {}
    return 200, host_credentials(lifetime)


double = Double(container)
POD = {**BASE,
       "AWS_CONTAINER_CREDENTIALS_FULL_URI": double.url + "/role?id=1",
       "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": clouds.write(
           "aws/pod", "container-secret\n", 0o644)}
works(URI, POD, "container (a double)", "container")
fails(URI, {**POD, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": clouds.write(
    "aws/pod2", "wrong\n")}, "denied", "container, wrong token")
works(URI, {**BASE,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": double.url + "/role?id=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-secret"},
      "container, token in the environment")
fails(URI, {**BASE, "AWS_CONTAINER_CREDENTIALS_FULL_URI":
            "http://192.0.2.1/role"}, "misconfigured",
      "container, plain http to elsewhere")
del double.requests[:]
with Program(URI, POD) as program:
    for _ in range(3):
        program.unseal(sealed)
    TAP.equal(len(double.requests), 1, "credentials are kept")
lifetime = 200
del double.requests[:]
with Program(URI, POD) as program:
    for _ in range(3):
        TAP.equal(program.unseal(sealed).word, "ok",
                  "credentials that are about to end serve")
    TAP.equal(len(double.requests), 3, "and are replaced before they do")
    double.answer = lambda request: time.sleep(6)
    TAP.equal(program.unseal(sealed).word, "ok",
              "if none are to be had in time, the old ones serve")
    double.answer = lambda request: (500, {})
    TAP.equal(program.unseal(sealed).word, "ok",
              "and if the host fails")
    double.stop()
    TAP.equal(program.unseal(sealed).word, "ok",
              "and if it is not there")

if "ec2-metadata-mock" in missing:
    TAP.skip("IMDSv2", "needs ec2-metadata-mock")
else:
    mock_config = clouds.write("aemm.json", json.dumps({"metadata": {
        "paths": {"iam-security-credentials":
                  "/latest/meta-data/iam/security-credentials/database"},
        "values": {"iam-security-credentials-role": "database",
                   "iam-security-credentials": {
                       key.lower(): value
                       for key, value in host_credentials().items()}}}}))
    port = clouds.free_port()
    mock = Server("metadata", [BINARIES + "ec2-metadata-mock", "-I", "-n",
                               "127.0.0.1", "-p", str(port), "-c",
                               mock_config], port)
    IMDS = {"AWS_ENDPOINT_URL": MOTO,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}"}
    works(URI, IMDS, "IMDSv2 (ec2-metadata-mock 1.13.0, version 2 only)",
          "instance metadata")
    mock.stop()
    fails(URI, IMDS, "unavailable", "no metadata service",
          "no instance metadata")


# Refusals

fails(URI, {**ENV, "AWS_SECRET_ACCESS_KEY": "wrong"}, "denied",
      "wrong secret key", "HTTP status 403")
fails(URI, {**ENV, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "denied",
      "unknown access key")
LESS = {**BASE, "AWS_ACCESS_KEY_ID": SEALER,
        "AWS_SECRET_ACCESS_KEY": SEALER_SECRET}
fails(URI, LESS, "denied", "a policy without kms:Decrypt",
      "HTTP status 403", sealed)
with Program(URI, LESS) as program:
    TAP.equal(program.seal().word, "ok", "which may seal")
    TAP.equal(program.check().word, "denied", "and not check")
fails(URI.replace(KEY_ID, "00000000-0000-0000-0000-000000000000"), ENV,
      "not_found", "no such key", "NotFoundException")
with Program("awskms:" + DISABLED_ARN, ENV) as program:
    TAP.equal(program.check().word, "disabled", "a disabled key: disabled")
with Program("awskms:" + RSA_ARN, ENV) as program:
    TAP.equal(program.check().word, "misconfigured",
              "an RSA key: misconfigured")
for uri in ("awskms:alias/app", "awskms:" + ARN.rsplit(":", 1)[0]
            + ":alias/app", "awskms:" + KEY_ID, "awskms:", URI + "/x",
            "awskms:arn:aws:kms:evil.example/:1:key/x",
            URI + "?regoin=x", URI + "?access-key=x"):
    fails(uri, ENV, "misconfigured", "URI " + uri[:60])


# What no server can be made to do

def replies(*answers):
    """A double of AWS that gives these answers, the last one on and on."""
    left = list(answers)

    def answer(_request):
        return left.pop(0) if len(left) > 1 else left[0]
    return Double(answer)


def error(status, code, headers=None):
    return status, {"__type": "com.amazonaws.kms#" + code,
                    "message": "MARKER of the body"}, {
        "x-amzn-RequestId": "req-1234", **(headers or {})}


GOOD = 200, {"KeyId": ARN, "Plaintext": base64.b64encode(PLAINTEXT).decode()}
for want, status, code in (
        ("throttled", 400, "ThrottlingException"),
        ("throttled", 400, "LimitExceededException"),
        ("unavailable", 500, "KMSInternalException"),
        ("unavailable", 400, "KeyUnavailableException"),
        ("unavailable", 503, "DependencyTimeoutException"),
        ("denied", 400, "AccessDeniedException"),
        ("denied", 400, "ExpiredTokenException"),
        ("disabled", 400, "DisabledException"),
        ("unavailable", 400, "KMSInvalidStateException"),
        ("integrity", 400, "InvalidCiphertextException"),
        ("integrity", 400, "IncorrectKeyException"),
        ("not_found", 400, "NotFoundException"),
        ("misconfigured", 400, "InvalidKeyUsageException"),
        ("misconfigured", 400, "NeverHeardOfException"),
        ("unavailable", 502, "NeverHeardOfException")):
    double = replies(error(status, code))
    answer = fails(URI + "?timeout=1000", {**ENV, "AWS_ENDPOINT_URL":
                                           double.url},
                   want, f"{status} {code} (a double)", code, sealed)
    TAP.ok("req-1234" in answer.text and "MARKER" not in answer.text,
           f"{code}: the request's id is told, the message is not")
    double.stop()
for name, answer, want in (
        ("rubbish", (200, "<html>"), "unavailable"),
        ("nothing", (200, ""), "unavailable"),
        ("an array", (200, "[]"), "unavailable"),
        ("another key", (200, {"KeyId": OTHER_ARN, "Plaintext": GOOD[1][
            "Plaintext"]}), "integrity"),
        ("no key", (200, {"Plaintext": GOOD[1]["Plaintext"]}),
         "unavailable"),
        ("too long a plaintext", (200, {"KeyId": ARN, "Plaintext":
                                        "A" * 4096}), "integrity"),
        ("a redirect", (307, "", {"Location": "http://127.0.0.1:1/"}),
         "misconfigured"),
        ("an answer without end", (200, "x" * 1000000), "unavailable"),
        ("a closed connection", None, "unavailable")):
    double = replies(answer)
    fails(URI + "?timeout=1000", {**ENV, "AWS_ENDPOINT_URL": double.url},
          want, f"{name} (a double)", None, sealed)
    double.stop()
double = replies(error(400, "ThrottlingException"),
                 error(500, "KMSInternalException"), GOOD)
with Program(URI, {**ENV, "AWS_ENDPOINT_URL": double.url}) as program:
    TAP.equal(program.unseal(sealed).word, "ok",
              "what passes is tried again (a double)")
double.stop()

for state, want in (("PendingImport", "disabled"),
                    ("PendingDeletion", "disabled"),
                    ("PendingReplicaDeletion", "disabled"),
                    ("NeverHeardOf", "disabled"), ("Updating", "ok"),
                    ("Unavailable", "unavailable")):
    double = replies((200, {"KeyMetadata": {"Arn": ARN, "KeyState": state}}))
    with Program(URI, {**ENV, "AWS_ENDPOINT_URL": double.url}) as program:
        TAP.equal(program.check().word, want,
                  f"a key that is {state}: {want} (a double)")
    double.stop()

# Credentials that have ended before their time are replaced, once.
fetched = Double(lambda request: (200, host_credentials()))
double = replies(GOOD, error(400, "ExpiredTokenException"), GOOD)
with Program(URI, {
        "AWS_ENDPOINT_URL": double.url, "AWS_CONTAINER_CREDENTIALS_FULL_URI":
        fetched.url}) as program:
    TAP.equal([program.unseal(sealed).word for _ in range(2)], ["ok", "ok"],
              "refused credentials are replaced (a double)")
    TAP.equal(len(fetched.requests), 2, "once")
double.stop()
fetched.stop()

fails(URI + "?timeout=1000",
      {**ENV, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{clouds.free_port()}"},
      "unavailable", "nobody listens")


# TLS

CA, CERT, CERT_KEY = clouds.make_certificates()
tls = start_moto("moto-tls", "-s", "-c", CERT, "-k", CERT_KEY)
secure = f"https://localhost:{tls.port}"
boot = boto3.client("kms", region_name=REGION, endpoint_url=secure,
                    aws_access_key_id="a", aws_secret_access_key="b",
                    verify=CA)
tls_uri = "awskms:" + boot.create_key()["KeyMetadata"]["Arn"]
SECURE = {**ENV, "AWS_ENDPOINT_URL": secure}
works(f"{tls_uri}?ca-file={CA}", SECURE, "TLS, ca-file")
works(tls_uri, {**SECURE, "AWS_CA_BUNDLE": CA}, "TLS, AWS_CA_BUNDLE")
fails(tls_uri, SECURE, "misconfigured", "TLS, an unknown CA")
fails(f"{tls_uri}?ca-file={CA}", {**SECURE, "AWS_ENDPOINT_URL":
                                  f"https://127.0.0.1:{tls.port}"},
      "misconfigured", "TLS, a certificate of another name",
      "certificate is not trusted")
fails(URI, {**ENV, "AWS_ENDPOINT_URL": "http://192.0.2.1"}, "misconfigured",
      "plain http to another machine")


clouds.faults(
    SERVER.port, lambda port, timeout=4000: f"{URI}?timeout={timeout}",
    lambda port: {**ENV, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"},
    sealed)


# A second opinion

if "local-kms" in missing:
    TAP.skip("local-kms", "needs local-kms")
else:
    seed = clouds.write("seed.yaml", """Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: bc436485-5092-42b8-92a3-0aa8b93536dc
        BackingKeys:
          - 34743777217A25432A46294A404E635266556A586E3272357538782F413F4428
      - Metadata:
          KeyId: 1234abcd-12ab-34cd-56ef-1234567890ab
        BackingKeys:
          - 614E645267556B58703273357638792F423F4528472B4B6250655368566D5971
      - Metadata:
          KeyId: 49c5492b-b1bc-42a8-9a5c-b2015e810c1c
        BackingKeys:
          - 5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9
""")
    port = clouds.free_port()
    local = Server("local-kms", [BINARIES + "local-kms"], port, {
        "PORT": str(port), "KMS_DATA_PATH": clouds.SCRATCH,
        "KMS_SEED_PATH": seed, "KMS_REGION": REGION})
    LOCAL = f"http://127.0.0.1:{port}"
    env = {**ENV, "AWS_ENDPOINT_URL_KMS": LOCAL}
    start = f"awskms:arn:aws:kms:{REGION}:111122223333:key/"
    local_uri = start + "bc436485-5092-42b8-92a3-0aa8b93536dc"
    local_sealed = works(local_uri, env, "local-kms")
    with Program(local_uri, env) as program:
        TAP.equal(program.unseal(local_sealed, "0123456789ab/2").word,
                  "integrity", "local-kms: bound to the version")
        TAP.equal(program.unseal(sealed).word, "integrity",
                  "local-kms: moto's seal does not open")
    works(clouds.documented_uri(SECTION), env, "local-kms: documented URI")
    admin = client("kms", endpoint=LOCAL)
    admin.disable_key(KeyId=local_uri[7:])
    with Program(local_uri, env) as program:
        TAP.equal((program.unseal(local_sealed).word, program.seal().word,
                   program.check().word), ("disabled",) * 3,
                  "local-kms: a disabled key")
        admin.enable_key(KeyId=local_uri[7:])
        TAP.equal(program.unseal(local_sealed).word, "ok",
                  "local-kms: and enabled again")
        admin.schedule_key_deletion(KeyId=local_uri[7:])
        TAP.equal((program.unseal(local_sealed).word, program.check().word),
                  ("disabled",) * 2, "local-kms: a key about to be deleted")
    with Program(start + "49c5492b-b1bc-42a8-9a5c-b2015e810c1c",
                 env) as program:
        TAP.equal(program.unseal(local_sealed).word, "integrity",
                  "local-kms: another key does not open it")
    fails(start + "00000000-5092-42b8-92a3-0aa8b93536dc", env, "not_found",
          "local-kms: no such key")

clouds.no_secrets(SECRETS)
TAP.done()
