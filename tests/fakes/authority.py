"""A certificate authority for tests: certificates with any names and any validity, written as PEM files."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a directory. ``ca``: its own certificate."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        whole = (
            self._builder(self._name, self._key, _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = directory / f"{name}.pem"
        self.ca.write_bytes(whole.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "server", *, valid_for: dt.timedelta = _DAY) -> Pair:
        """Issue a certificate for loopback."""
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._issue(name, names, valid_for)

    def client(self, uri: str, *, valid_for: dt.timedelta = _DAY) -> Pair:
        """Issue a certificate with this URI; without any name for ''."""
        names = [x509.UniformResourceIdentifier(uri)] if uri else [x509.DNSName("somebody.test")]
        return self._issue(f"client-{len(list(self._directory.iterdir()))}", names, valid_for)

    def _issue(self, name: str, names: list[x509.GeneralName], valid_for: dt.timedelta) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            self._builder(subject, key, valid_for)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        _replace(pair.certificate, made.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        shape = serialization.PrivateFormat.PKCS8
        _replace(pair.key, key.private_bytes(serialization.Encoding.PEM, shape, plain))
        return pair

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, valid_for: dt.timedelta):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + valid_for)
        )


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, as rotation does."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)
