"""Certificates for an hour, made with the `openssl` that is on every machine with Python's ssl."""

import ssl
import subprocess
from pathlib import Path

# What a strict verifier wants to see in both of them.
_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = Lineshaft tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {name}
"""
_KEY = ["-newkey", "rsa:2048", "-nodes"]  # RSA: LibreSSL's `req` makes no other kind without a file of parameters


class Authority:
    """A private CA. `file` is what clients must trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.pem"
        self._write_config("IP:127.0.0.1")
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-config", "openssl.cnf",
            "-extensions", "authority",
        )  # fmt: skip

    def server(self, name: str = "IP:127.0.0.1") -> ssl.SSLContext:
        """What a server of this name (`IP:...` or `DNS:...`) listens with."""
        self._write_config(name)
        self._openssl("req", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-config", "openssl.cnf")
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1",
            "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.pem",
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
        return context

    def _write_config(self, name: str) -> None:
        (self._folder / "openssl.cnf").write_text(_CONFIG.format(name=name))

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
