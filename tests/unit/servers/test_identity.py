"""Who calls, as gRPC and Python tell it: the same names from both, and no name that passes for a URI."""

import math
import time

import pytest

from tests.fakes.authority import Authority
from xds_server.domain.access import Access, Caller, Right
from xds_server.servers.gate import Gate
from xds_server.servers.identity import caller_of, caller_on
from xds_server.state.watchable import Watchable


class _Context:
    """A servicer context with this proof."""

    def __init__(self, peer: str, **proof: list[bytes]) -> None:
        self._peer, self._proof = peer, proof

    def peer(self) -> str:
        return self._peer

    def auth_context(self):
        return self._proof


class _Tls:
    """A TLS connection whose peer has shown this."""

    def __init__(self, certificate, *, session_reused: bool = False) -> None:
        self._certificate, self.session_reused = certificate, session_reused

    def getpeercert(self):
        return self._certificate


def test_plaintext_proves_nothing():
    """Peers are told without their port; a socket file is local."""
    assert caller_of(_Context("ipv4:127.0.0.1:5")) == Caller("127.0.0.1")
    assert caller_of(_Context("ipv6:%5B::1%5D:5")) == Caller("::1")
    assert caller_of(_Context("unix:/run/x.sock")) == Caller("local")
    assert caller_on(None, "10.0.0.1") == Caller("10.0.0.1")
    insecure = _Context("ipv4:127.0.0.1:5", transport_security_type=[b"insecure"], peer_uri=[b"spiffe://m/n"])
    assert caller_of(insecure) == Caller("127.0.0.1")


def test_both_transports_tell_the_same_names():
    """URIs first, each name once; a DNS name that looks like a URI is dropped: it was never checked as one."""
    context = _Context(
        "ipv4:127.0.0.1:5",
        transport_security_type=[b"ssl"],
        peer_uri=[b"spiffe://m/n"],
        x509_subject_alternative_name=[b"a.test", b"spiffe://m/n", b"spiffe://m/ops", b"a.test"],
    )
    certificate = {
        "subjectAltName": (("DNS", "a.test"), ("URI", "spiffe://m/n"), ("DNS", "spiffe://m/ops"), ("DNS", "a.test"))
    }
    expected = Caller("127.0.0.1", proved=True, names=("spiffe://m/n", "a.test"))
    assert caller_of(context) == caller_on(_Tls(certificate), "127.0.0.1") == expected


def test_a_certificate_without_names_is_a_certificate():
    """It proves that it was issued, and nothing more."""
    assert caller_on(_Tls({}), "10.0.0.1") == Caller("10.0.0.1", proved=True)


def test_a_resumed_session_tells_when_its_certificate_ends(tmp_path):
    """The handshake did not look at the certificate again, so that somebody else must."""
    pem = Authority(tmp_path).client("spiffe://m/n").certificate.read_bytes()
    proof = {"transport_security_type": [b"ssl"], "x509_pem_cert": [pem]}
    assert caller_of(_Context("ipv4:1.1.1.1:5", **proof, ssl_session_reused=[b"false"])).until_s == math.inf
    resumed = caller_of(_Context("ipv4:1.1.1.1:5", **proof, ssl_session_reused=[b"true"]))
    assert 86_000 < resumed.until_s - time.time() <= 86_400
    old = {"notAfter": "Jan  5 09:34:43 2018 GMT"}
    assert caller_on(_Tls(old, session_reused=True), "1.1.1.1").until_s == 1515144883
    assert caller_on(_Tls(old), "1.1.1.1").until_s == math.inf


@pytest.mark.parametrize("right", [Right.OPEN, Right.NODE])
def test_an_expired_certificate_opens_nothing(right):
    """Not even what needs no role."""
    gate = Gate(Watchable(Access()), wall=lambda: 1000.0)
    assert "expired" in gate.admit(Caller("1.1.1.1", proved=True, until_s=999.0), "/x", right)
    assert gate.admit(Caller("1.1.1.1", proved=True, until_s=1001.0), "/x", right) == ""
