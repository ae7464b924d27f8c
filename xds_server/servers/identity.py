"""Identity: who stands behind a connection, as far as its transport proves it.

Knows gRPC's authentication context and Python's peer certificates. Does not know who may do what.
"""

import math
import ssl
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import unquote

from xds_server.domain.access import Caller
from xds_server.servers.certificates import end_of

CALLING: Final[ContextVar[Caller]] = ContextVar("caller")
"""The caller of the RPC or request that is served; the gate sets it, nobody else does."""
_OTHERS: Final = ("DNS", "email")


def caller_of(context: Any) -> Caller:
    """Return the caller of an RPC (a grpc.aio servicer context)."""
    proof: Mapping[str, Any] = context.auth_context()
    peer = _host(context.peer())
    if b"ssl" not in proof.get("transport_security_type", ()):
        return Caller(peer)
    uris = [_text(name) for name in proof.get("peer_uri", ())]
    others = [_text(name) for name in proof.get("x509_subject_alternative_name", ())]
    reused = b"true" in proof.get("ssl_session_reused", ())
    until_s = end_of(_text(proof["x509_pem_cert"][0])) if reused else math.inf
    return Caller(peer, proved=True, names=_names(uris, others), until_s=until_s)


def caller_on(tls: ssl.SSLObject | None, peer: str) -> Caller:
    """Return the caller at the other end of a connection of Python's; None: it is plaintext."""
    if tls is None:
        return Caller(peer)
    certificate: Mapping[str, Any] = tls.getpeercert() or {}
    alternatives = certificate.get("subjectAltName", ())
    names = _names(
        [text for kind, text in alternatives if kind == "URI"],
        [text for kind, text in alternatives if kind in _OTHERS],
    )
    until_s = ssl.cert_time_to_seconds(certificate["notAfter"]) if tls.session_reused else math.inf
    return Caller(peer, proved=True, names=names, until_s=until_s)


def _names(uris: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the URIs, which say who, then the other names; of those, none that could be taken for a URI."""
    return tuple(dict.fromkeys((*uris, *(name for name in others if ":/" not in name))))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _host(peer: str) -> str:
    """Return the address in gRPC's name of a peer, without its port."""
    kind, _, address = unquote(peer).partition(":")
    return "local" if kind == "unix" else address.rpartition(":")[0].strip("[]")
