"""An HTTPS server on this machine, with certificates that are valid or invalid in one way."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.helpers.http_server import Handler, Server, running


class Authority:
    """A certificate authority for the tests, whose certificate is in ``file``."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("A CA of the tests")
        builder = _builder(self.name, self.key, 1, is_ca=True)
        self.certificate = builder.issuer_name(self.name).sign(self.key, hashes.SHA256())
        self.file = directory / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(self, host: str = "127.0.0.1", days: int = 1, self_signed: bool = False) -> Path:
        """A key and a certificate for a host, which expires in ``days`` days."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(host)
        builder = _builder(name, key, days).add_extension(
            x509.SubjectAlternativeName([_general_name(host)]), critical=False
        )
        issuer, issuer_key = (name, key) if self_signed else (self.name, self.key)
        certificate = builder.issuer_name(issuer).sign(issuer_key, hashes.SHA256())
        path = self.directory / f"{host}-{days}-{self_signed}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path


@contextmanager
def https_api(certificate: Path, body: bytes) -> Iterator[Any]:
    """Answer the first page with ``body``, others without records; yield the calls' ``headers``."""
    headers: list[dict[str, str]] = []

    class Pages(Handler):
        def do_GET(self) -> None:
            headers.append(dict(self.headers))
            page = body if self.path.endswith("&page=1") else b"[]"
            self.send(200, page, {"Content-Type": "application/json"})

    class TlsServer(Server):
        def handle_error(self, *_: Any) -> None:
            """Nothing: a client that does not trust the server hangs up."""

        @property
        def url(self) -> str:
            return super().url.replace("http", "https")

    server: Any = TlsServer(Pages)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    server.headers = headers
    with running(server):
        yield server


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, key: Any, days: int, is_ca: bool = False) -> Any:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
