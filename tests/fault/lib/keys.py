# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates for tests of logins, by the openssl command: nkeys, JWTs, credentials files, an authority's certificates."""
import base64
import json
import os
import subprocess

ACCOUNT, USER, OPERATOR = 0, 20 << 3, 14 << 3  # the first byte of an nkey's public key


def openssl(folder, *argv, text=None):
    return subprocess.run(["openssl", *argv], check=True, cwd=folder, capture_output=True, input=text).stdout


def checked(data):
    """With its CRC-16, in base32."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


class Nkey:
    def __init__(self, folder, name, kind=USER):
        self.folder, self.file = folder, name + ".pem"
        openssl(folder, "genpkey", "-algorithm", "ed25519", "-out", self.file)
        raw = openssl(folder, "pkey", "-in", self.file, "-outform", "DER")[-32:]
        public = openssl(folder, "pkey", "-in", self.file, "-pubout", "-outform", "DER")[-32:]
        self.seed = checked(bytes([18 << 3 | kind >> 5, (kind & 31) << 3]) + raw)
        self.public = checked(bytes([kind]) + public)

    def sign(self, text):
        path = os.path.join(self.folder, "to-be-signed")
        with open(path, "wb") as file:
            file.write(text)
        return openssl(self.folder, "pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", path)

    def jwt(self, about, name, claims):
        """What this key says of another."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        head = part(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
        body = part(json.dumps({"jti": name, "iat": 1700000000, "iss": self.public, "name": name, "sub": about.public,
                                "nats": {"version": 2, **claims}}).encode())
        return (head + b"." + body + b"." + part(self.sign(head + b"." + body))).decode()


def operator(folder):
    """An operator with one user: the server's configuration, and a credentials file's text."""
    unlimited = {key: -1 for key in ("subs", "data", "payload", "imports", "exports", "conn", "leaf")}
    storage = {key: -1 for key in ("mem_storage", "disk_storage", "streams", "consumer")}
    top, system = Nkey(folder, "operator", OPERATOR), Nkey(folder, "system", ACCOUNT)
    account, user = Nkey(folder, "account", ACCOUNT), Nkey(folder, "user")
    of_top = top.jwt(top, "top", {"type": "operator", "system_account": system.public})
    of_system = top.jwt(system, "SYS", {"type": "account", "limits": {**unlimited, "wildcards": True}})
    of_account = top.jwt(account, "A", {"type": "account", "limits": {**unlimited, **storage, "wildcards": True}})
    of_user = account.jwt(user, "u", {"type": "user", "subs": -1, "data": -1, "payload": -1})
    config = (f"operator: {of_top}\nresolver: MEMORY\n"
              f"resolver_preload: {{ {system.public}: {of_system}, {account.public}: {of_account} }}\n")
    creds = (f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
             f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
    return config, creds


def certificates(folder):
    """ca.pem, and what it has signed: server.pem and .key for 127.0.0.1 and localhost, client.pem and .key."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    with open(os.path.join(folder, "names"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl(folder, "req", *curve, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl(folder, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem",
                "-days", "2", "-extfile", "names")
