"""Bootstrap: who an Envoy is, whom it asks, and the ready examples in envoy/."""

from pathlib import Path

import pytest
import yaml

from xds_server.domain.names import ApplianceName, NodeId, VirtualNetwork
from xds_server.domain.topology import Locality, Node, NodeKind
from xds_server.resources.bootstrap import TELEMETRY_PORT, InvalidBootstrap, as_yaml, bootstrap, tls_files

EXAMPLES = Path(__file__).parents[3] / "envoy"
XDS = "127.0.0.1:18000"
PLACE = {"virtual_network": VirtualNetwork("vn-a"), "locality": Locality("r1", "z1")}
NODES = {
    "sidecar.yaml": Node(NodeId("sidecar-1"), telemetry=f"127.0.0.1:{TELEMETRY_PORT}", **PLACE),
    "front-end.yaml": Node(
        NodeId("front-end-1"),
        NodeKind.FRONT_END,
        appliance=ApplianceName("nat"),
        telemetry=f"127.0.0.2:{TELEMETRY_PORT}",
        **PLACE,
    ),
}


FILES = tls_files("/pki/ca.pem", "/pki/n.pem", "/pki/n.key")


@pytest.mark.parametrize(
    ("xds", "kind", "name", "sni"),
    [
        ("xds.test:1", "DNS", "xds.test", "xds.test"),
        ("127.0.0.1:1", "IP_ADDRESS", "127.0.0.1", None),
        ("[0:0::1]:1", "IP_ADDRESS", "::1", None),
    ],
)
def test_tls_checks_that_the_peer_is_the_control_plane(xds, kind, name, sni):
    """The server's certificate must carry its address: another node's certificate of the same authority does not."""
    socket = bootstrap(Node(NodeId("n")), xds, tls=FILES)["static_resources"]["clusters"][0]["transport_socket"]
    context = socket["typed_config"]
    common = context["common_tls_context"]
    assert common["validation_context"] == {
        "trusted_ca": {"filename": "/pki/ca.pem"},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
    }
    (own,) = common["tls_certificates"]
    assert own == {"certificate_chain": {"filename": "/pki/n.pem"}, "private_key": {"filename": "/pki/n.key"}}
    assert context.get("sni") == sni


def test_tls_is_all_or_nothing():
    """Sockets need none; a part of the files is a mistake that is told."""
    assert tls_files("", "", "") is None
    with pytest.raises(InvalidBootstrap, match="all three"):
        tls_files("/pki/ca.pem", "", "")
    unix = bootstrap(Node(NodeId("n")), "unix:/run/xds.sock", tls=FILES)["static_resources"]["clusters"][0]
    assert "transport_socket" not in unix


@pytest.mark.parametrize("name", NODES)
def test_examples_are_what_the_generator_writes(name, rewrite):
    """The ready bootstraps are never older than the generator (--rewrite records them)."""
    path, text = EXAMPLES / name, as_yaml(bootstrap(NODES[name], XDS))
    if rewrite:
        path.write_text(text)
    assert path.read_text() == text


def test_every_text_is_quoted():
    """A node called n or off stays a text: Envoy's YAML reader takes bare ones for booleans."""
    text = as_yaml(bootstrap(Node(NodeId("off")), XDS))
    assert 'id: "off"' in text
    assert yaml.safe_load(text) == bootstrap(Node(NodeId("off")), XDS)


def test_addresses_may_be_names_ips_or_sockets():
    """A named control plane is resolved, an IP is static, a unix path is a pipe that only its owner may use."""
    kinds = {}
    for xds in ("xds.test:1", "127.0.0.1:1", "[::1]:1", "unix:/run/xds.sock"):
        cluster = bootstrap(Node(NodeId("n")), xds)["static_resources"]["clusters"][0]
        address = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        kinds[xds] = cluster["type"], *address
    assert kinds == {
        "xds.test:1": ("STRICT_DNS", "socket_address"),
        "127.0.0.1:1": ("STATIC", "socket_address"),
        "[::1]:1": ("STATIC", "socket_address"),
        "unix:/run/xds.sock": ("STATIC", "pipe"),
    }
    made = bootstrap(Node(NodeId("n")), XDS, admin="unix:/run/admin.sock")
    assert made["admin"]["address"] == {"pipe": {"path": "/run/admin.sock", "mode": 0o600}}


def test_admin_sockets_of_two_nodes_differ():
    """Two Envoys of one machine do not meet at the same admin socket, and any id fits into a socket's name."""
    paths = {bootstrap(Node(NodeId(n)), XDS)["admin"]["address"]["pipe"]["path"] for n in ("a", "b", "x" * 1024)}
    assert len(paths) == 3
    assert all(path.startswith("@") and len(path) < 108 for path in paths)


def test_without_a_telemetry_address_nothing_listens():
    """No telemetry, no listener; the metadata then says nothing of it either."""
    made = bootstrap(Node(NodeId("n")), XDS)
    assert "listeners" not in made["static_resources"]
    assert "telemetry" not in made["node"]["metadata"]["xds_server"]


@pytest.mark.parametrize(
    ("node", "xds", "words"),
    [
        (Node(NodeId("n")), "nowhere", "'nowhere' is no address; write HOST:PORT"),
        (Node(NodeId("n"), telemetry="tele.test:1"), XDS, "telemetry 'tele.test:1' is a name"),
        (Node(NodeId("n"), listen_address="a.test"), XDS, "listen address 'a.test' is no IP address"),
        (Node(NodeId("n"), NodeKind.FRONT_END), XDS, "front-end node 'n' has no appliance"),
    ],
)
def test_unfit_facts_are_told(node, xds, words):
    """No bootstrap is written from which an Envoy could not start."""
    with pytest.raises(InvalidBootstrap, match=words):
        bootstrap(node, xds)
