"""A node names its own telemetry address: what may be connected to, and what is refused with which words."""

from ipaddress import ip_network

import pytest

from xds_server.adapters.envoy_stats.addresses import judged
from xds_server.ports import Unavailable

NETWORKS = [ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("fd00::/16")]


@pytest.mark.parametrize(
    ("telemetry", "url"),
    [
        ("127.0.0.1:9901", "http://127.0.0.1:9901"),
        ("10.1.255.3:80", "http://10.1.255.3:80"),
        ("[fd00::1]:9901", "http://[fd00::1]:9901"),
        ("[::ffff:127.0.0.1]:9901", "http://127.0.0.1:9901"),
    ],
)
def test_an_address_within_the_allowed_networks_passes(telemetry, url):
    """IPv4, IPv6, and IPv4 in IPv6's clothes."""
    assert judged(telemetry, NETWORKS, ()) == url


@pytest.mark.parametrize(
    ("telemetry", "words"),
    [
        ("", "has no port"),
        ("127.0.0.1", "has no port"),
        ("127.0.0.1:0", "has no port"),
        ("127.0.0.1:65536", "has no port"),
        ("127.0.0.1:99²", "has no port"),
        ("127.0.0.1:-1", "has no port"),
        ("localhost:9901", "names are not resolved"),
        ("metadata.internal:80", "names are not resolved"),
        ("127.1:9901", "names are not resolved"),
        ("2130706433:9901", "names are not resolved"),
        ("user@127.0.0.1:9901", "names are not resolved"),
        ("127.0.0.1/x:9901", "names are not resolved"),
        ("10.2.0.1:9901", "allowed_networks"),
        ("169.254.169.254:80", "allowed_networks"),
        ("[::1]:9901", "allowed_networks"),
        ("[::ffff:10.2.0.1]:9901", "allowed_networks"),
        ("[fd00::1%eth0]:9901", "scope"),
        ("unix:/var/run/docker.sock", "allowed_sockets"),
    ],
)
def test_everything_else_is_refused_with_what_to_do(telemetry, words):
    """Foreign networks, names, odd spellings, sockets nobody allowed."""
    with pytest.raises(Unavailable, match=words) as failure:
        judged(telemetry, NETWORKS, ())
    assert failure.value.reason == "refused"


def test_a_socket_must_lie_in_an_allowed_directory_after_all_links(tmp_path):
    """Neither `..` nor a symbolic link leads out."""
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    assert judged(f"unix:{allowed}/envoy.sock", [], [str(allowed)]) == f"unix:{allowed.resolve()}/envoy.sock"
    (allowed / "link").symlink_to(outside)
    for path in (f"{allowed}/../outside/s", f"{allowed}/link/s", f"{tmp_path}/allowed-too/s"):
        with pytest.raises(Unavailable, match="allowed_sockets"):
            judged(f"unix:{path}", [], [str(allowed)])
