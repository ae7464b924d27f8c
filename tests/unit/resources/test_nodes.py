"""Nodes: what a client says of itself becomes a fact, or an error fit for its stream."""

import pytest
from envoy.config.core.v3 import base_pb2
from google.protobuf.json_format import ParseDict

from xds_server.domain.names import ApplianceName, NodeId, VirtualNetwork
from xds_server.domain.topology import Dialect, Locality, Node, NodeKind
from xds_server.resources.bootstrap import node_json
from xds_server.resources.nodes import InvalidNode, node_of


def message(ours=None, **facts) -> base_pb2.Node:
    """A Node message with our part of the metadata."""
    metadata = {} if ours is None else {"metadata": {"xds_server": ours}}
    return ParseDict({"id": "n1", **facts, **metadata}, base_pb2.Node())


def test_a_stranger_is_a_sidecar_of_the_default_network():
    """An id is enough."""
    assert node_of(message()) == Node(NodeId("n1"))


@pytest.mark.parametrize(
    "node",
    [
        Node(
            NodeId("s"),
            virtual_network=VirtualNetwork("vn-a"),
            locality=Locality("r1", "z1"),
            listen_address="127.0.0.2",
        ),
        Node(NodeId("f"), NodeKind.FRONT_END, appliance=ApplianceName("nat"), telemetry="127.0.0.1:19001"),
        Node(NodeId("u"), telemetry="unix:/run/telemetry.sock", listen_address="::1"),
    ],
)
def test_the_bootstrap_is_read_back(node):
    """What the bootstrap generator writes, the control plane reads back unchanged."""
    assert node_of(ParseDict(node_json(node), base_pb2.Node())) == node


@pytest.mark.parametrize(
    ("facts", "dialect", "agent"),
    [
        (
            {"userAgentName": "envoy", "userAgentBuildVersion": {"version": {"majorNumber": 1, "minorNumber": 40}}},
            Dialect.ENVOY,
            "envoy 1.40.0",
        ),
        (
            {"userAgentName": "gRPC C-core Linux", "userAgentVersion": "C-core 48"},
            Dialect.GRPC,
            "gRPC C-core Linux C-core 48",
        ),
        ({"userAgentName": "grpc-go"}, Dialect.GRPC, "grpc-go"),
        ({"clientFeatures": ["xds.config.resource-in-sotw"]}, Dialect.GRPC, ""),
    ],
)
def test_dialect_follows_the_user_agent(facts, dialect, agent):
    """Clients of gRPC are told by their name or their features; everybody else speaks Envoy."""
    node = node_of(message(**facts))
    assert (node.dialect, node.user_agent) == (dialect, agent)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (message("text"), "metadata xds_server is no object"),
        (message({"kind": "router"}), "kind is 'router'; it must be 'sidecar' or 'front-end'"),
        (message({"kind": "front-end"}), "appliance is missing"),
        (message({"kind": 3}), "kind is no text"),
        (message({"listen_address": "somewhere"}), "listen_address is 'somewhere'; it must be an IP address"),
        (message({"telemetry": "127.0.0.1"}), "telemetry: '127.0.0.1' is no address; write HOST:PORT"),
        (message({"telemetry": "127.0.0.1:99999"}), "is no address"),
        (message({"virtual_network": "a b"}), "virtual network 'a b' is not allowed"),
        (message({"kind": "front-end", "appliance": "../x"}), "appliance name '../x' is not allowed"),
        (message(id=""), "node id is empty"),
        (message(id="a\nb"), "control characters"),
    ],
)
def test_bad_facts_are_told(bad, words):
    """Each error says which key, what stands there and what would do."""
    with pytest.raises(InvalidNode) as caught:
        node_of(bad)
    assert words in str(caught.value)


def test_null_and_foreign_metadata_count_for_nothing():
    """A null is as good as nothing, and other keys are others' business."""
    assert node_of(message({"kind": None, "colour": 7})) == Node(NodeId("n1"))
