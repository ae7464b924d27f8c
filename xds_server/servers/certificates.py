"""Certificates: our own and those we trust, read anew for every handshake, so that rotation needs no restart.

Knows three PEM files and how gRPC and Python take them. A pair that does not fit (half written, key of another
certificate) is told once and the last good one stays. Does not know who connects.
"""

import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from xds_server import metrics

_log = structlog.get_logger(__name__)
_VERSION: Final = 0xA0  # RFC 5280, 4.1: the only optional field before validity
_UTC_TIME: Final = 0x17


class UnusableCertificates(Exception):
    """The files cannot be served with; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Paths:
    """PEM files: our certificate (with its chain), its key, and the authorities whose clients we let in."""

    certificate: Path
    key: Path
    client_ca: Path

    def __iter__(self) -> Iterator[Path]:
        """Yield all three."""
        return iter((self.certificate, self.key, self.client_ca))


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    for_grpc: Any
    expires_s: float


class Certificates:
    """What TLS servers serve with, from ``paths``. Every client needs a certificate of ``client_ca``.

    Raises UnusableCertificates.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._seen = self._signature()
        self._refused: object = None
        self._loaded = _load(paths)
        metrics.CERT_EXPIRY_TIMESTAMP_SECONDS.set_function(lambda: self.expires_s)

    @property
    def expires_s(self) -> float:
        """Return when our certificate expires, in seconds since 1970."""
        return self._latest().expires_s

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files before every handshake (from a thread of gRPC's)."""
        served = self._loaded

        def fetch() -> Any:
            nonlocal served
            latest = self._latest()
            if latest is served:
                return None
            served = latest
            return latest.for_grpc

        return grpc.dynamic_ssl_server_credentials(served.for_grpc, fetch, require_client_authentication=True)

    def http_context(self) -> ssl.SSLContext:
        """Return a context that hands each handshake to one with the latest files."""

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._latest().context

        door = _context(self.paths)
        door.sni_callback = choose
        return door

    def _latest(self) -> _Loaded:
        seen = self._signature()
        if seen not in (self._seen, self._refused):
            try:
                self._loaded, self._seen = _load(self.paths), seen
                _log.info("certificates read anew", certificate=str(self.paths.certificate))
            except UnusableCertificates as error:
                self._refused = seen
                _log.error("the new certificates are refused; the last good ones stay", why=str(error))
        return self._loaded

    def _signature(self) -> object:
        """Return what changes when a file does; links are followed, so that swapped directories count."""
        try:
            found = [path.stat() for path in self.paths]
        except OSError as error:
            return str(error)
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in found)


class Tls:
    """Which of our ports speak TLS, by name; without certificates none does."""

    def __init__(self, certificates: Certificates | None = None, ports: Collection[str] = ()) -> None:
        self._certificates = certificates
        self._ports = ports

    def grpc(self, port: str) -> grpc.ServerCredentials | None:
        """Return the credentials of a gRPC port, None where it is plaintext."""
        return self._certificates.grpc_credentials() if self._certificates and port in self._ports else None

    def paths(self, port: str) -> Paths | None:
        """Return the files of a port, for another process to serve with; None where it is plaintext."""
        return self._certificates.paths if self._certificates and port in self._ports else None

    def http(self, port: str) -> ssl.SSLContext | None:
        """Return the context of an HTTP port, None where it is plaintext."""
        return self._certificates.http_context() if self._certificates and port in self._ports else None


def _load(paths: Paths) -> _Loaded:
    context = _context(paths)
    try:
        certificate, key, authorities = (path.read_bytes() for path in paths)
        expires_s = end_of(certificate.decode())
    except (OSError, ValueError, LookupError) as error:
        raise UnusableCertificates(f"{paths.certificate}: {error}") from error
    return _Loaded(context, grpc.ssl_server_certificate_configuration([(key, certificate)], authorities), expires_s)


def _context(paths: Paths) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # no resumption: each connection shows a certificate that is good now
    context.options |= ssl.OP_NO_TICKET
    try:
        context.load_cert_chain(paths.certificate, paths.key)
    except (OSError, ValueError) as error:
        raise UnusableCertificates(f"certificate {paths.certificate} and key {paths.key}: {error}") from error
    try:
        context.load_verify_locations(paths.client_ca)
    except (OSError, ValueError) as error:
        raise UnusableCertificates(f"client_ca {paths.client_ca}: {error}") from error
    return context


def end_of(pem: str) -> float:
    """Return the end of validity of the first certificate (RFC 5280, 4.1.2.5), in seconds since 1970.

    The first of a file is our own; those of its issuers follow. Raises ValueError, LookupError.
    """
    start, end = pem.index(ssl.PEM_HEADER), pem.index(ssl.PEM_FOOTER)
    certificate = ssl.PEM_cert_to_DER_cert(pem[start : end + len(ssl.PEM_FOOTER)] + "\n")
    (_, whole), *_ = _parts(certificate)
    (_, signed), *_ = _parts(whole)
    fields = [value for tag, value in _parts(signed) if tag != _VERSION]
    _, (tag, text) = _parts(fields[3])  # serial number, signature, issuer, validity
    shape = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode(), shape).replace(tzinfo=UTC).timestamp()


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value of each element (X.690, 8.1)."""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size & 0x80:
            digits = size & 0x7F
            size, at = int.from_bytes(der[at : at + digits], "big"), at + digits
        yield tag, der[at : at + size]
        at += size
