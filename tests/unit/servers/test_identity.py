"""Who calls, as gRPC and Python tell it: the same names from both, and no name that passes for a URI."""

from xds_server.domain.access import Caller
from xds_server.servers.identity import caller_of, caller_with


class _Context:
    """A servicer context with this proof."""

    def __init__(self, peer: str, **proof: list[bytes]) -> None:
        self._peer, self._proof = peer, proof

    def peer(self) -> str:
        return self._peer

    def auth_context(self):
        return self._proof


def test_plaintext_proves_nothing():
    """Peers are told without their port; a socket file is local."""
    assert caller_of(_Context("ipv4:127.0.0.1:5")) == Caller("127.0.0.1")
    assert caller_of(_Context("ipv6:%5B::1%5D:5")) == Caller("::1")
    assert caller_of(_Context("unix:/run/x.sock")) == Caller("local")
    assert caller_with(None, "10.0.0.1") == Caller("10.0.0.1")
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
    assert caller_of(context) == caller_with(certificate, "127.0.0.1") == expected


def test_a_certificate_without_names_is_a_certificate():
    """It proves that it was issued, and nothing more."""
    assert caller_with({}, "10.0.0.1") == Caller("10.0.0.1", proved=True)
