"""clouds_serve.py: all the clouds at once, for a test in another language.

moto (AWS, signatures and policies verified) and the doubles of Google Cloud
and Azure, each behind a proxy of fault_proxy.py.  Prints one line of JSON: the
environment and the URIs for a server, and what must be in no log.  Then it
takes commands, one a line, answers each with a line of JSON, and ends with its
standard input:

    aws|gcp|azure MODE      what its proxy does: "pass" undoes it, and "deny"
    gcp|azure deny|disable|enable|rotate
    secrets                 tokens that were given since
    calls                   how many calls of keys there were, by cloud

SPDX-License-Identifier: PostgreSQL
Copyright (c) 2026, pgenvelope contributors
"""

import json
import sys

import clouds
from azure_double import CLIENT, SECRET, TENANT, VAULT, Azure
from azure_double import Refused as AzureRefused
from fault_proxy import Proxy
from gcp_double import NAME, Gcp

REGION = "eu-central-1"


class Aws:
    """moto, with a key and a user who may use it."""

    def __init__(self):
        import boto3
        port = clouds.free_port()
        scripts = clouds.CACHE + "/python/clouds/bin/"
        self.server = clouds.Server(
            "moto", [scripts + "python", scripts + "moto_server", "-H",
                     "127.0.0.1", "-p", str(port)], port,
            {"INITIAL_NO_AUTH_ACTION_COUNT": "4"})
        self.url = f"http://127.0.0.1:{port}"

        def client(service):
            return boto3.client(service, region_name=REGION,
                                endpoint_url=self.url, aws_access_key_id="s",
                                aws_secret_access_key="s")
        self.arn = client("kms").create_key()["KeyMetadata"]["Arn"]
        iam = client("iam")
        iam.create_user(UserName="database")
        iam.put_user_policy(
            UserName="database", PolicyName="p", PolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Resource": "*", "Action": [
                        "kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]}]}))
        self.key = iam.create_access_key(UserName="database")["AccessKey"]


def gcp_command(gcp, word):
    """What the double does; the rest is the proxy's."""
    gcp.mistakes[:] = ["PERMISSION_DENIED"] * 1000 if word == "deny" else []
    if word == "rotate":
        gcp.rotate(NAME)
    elif word in ("disable", "enable"):
        for number in range(1, len(gcp.keys[NAME]["versions"]) + 1):
            gcp.state(NAME, number, word.upper() + "D")


def azure_command(azure, word):
    azure.mistakes[:] = [AzureRefused(
        403, "Forbidden", "ForbiddenByRbac")] * 1000 if word == "deny" else []
    if word == "rotate":
        azure.rotate("app")
    elif word in ("disable", "enable"):
        azure.keys["app"]["attributes"]["enabled"] = word == "enable"


def main():
    if clouds.prepare("python"):
        print(json.dumps({"missing": "moto"}), flush=True)
        return
    import moto
    aws, gcp = Aws(), Gcp()
    ca, *certificate = clouds.make_certificates()
    azure = Azure(certificate)
    azure.add_key("app")
    proxies = {"aws": Proxy(aws.server.port), "gcp": Proxy(gcp.double.port),
               "azure": Proxy(azure.vault.port)}
    secret_file = clouds.write("client-secret", SECRET + "\n")
    # In files: at its lowest level the server logs its whole environment.
    profiles = clouds.write(
        "credentials", "[app]\n"
        f"aws_access_key_id = {aws.key['AccessKeyId']}\n"
        f"aws_secret_access_key = {aws.key['SecretAccessKey']}\n")
    print(json.dumps({
        "servers": f"moto {moto.__version__}, doubles of Google Cloud KMS "
        "and Azure Key Vault",
        "environment": {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxies['aws'].port}",
            "GCE_METADATA_HOST": gcp.host,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS":
            f"http://127.0.0.1:{proxies['gcp'].port}",
            "AZURE_AUTHORITY_HOST": azure.url},
        "uris": {
            "aws": f"awskms:{aws.arn}?profile=app"
            f"&credentials-file={profiles}", "gcp": f"gcpkms://{NAME}",
            "azure": f"azurekv://localhost:{proxies['azure'].port}"
            f"/keys/app?ca-file={ca}"
            f"&tenant-id={TENANT}&client-id={CLIENT}&resource={VAULT}"
            f"&client-secret-file={secret_file}"},
        "secrets": [aws.key["SecretAccessKey"], aws.key["AccessKeyId"],
                    SECRET]}), flush=True)
    for line in sys.stdin:
        name, _, word = line.strip().partition(" ")
        answer = []
        if name == "secrets":
            answer = [*gcp.tokens, *azure.issued]
        elif name == "calls":
            answer = {
                "aws": len(proxies["aws"].forwarded),
                "gcp": gcp.calls.count(":encrypt")
                + gcp.calls.count(":decrypt"),
                "azure": azure.calls.count("wrapkey")
                + azure.calls.count("unwrapkey")}
        else:
            if name == "gcp":
                gcp_command(gcp, word)
            elif name == "azure":
                azure_command(azure, word)
            if word not in ("deny", "disable", "enable", "rotate"):
                proxies[name].mode(word)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
