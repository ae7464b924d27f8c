"""Goldens: facts, a dashed line, and the Envoy JSON that they become, in one file. ``--rewrite`` records it anew."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from xds_server.domain.names import ApplianceName, EndpointId, NodeId, ServiceName, SubnetId, VirtualNetwork
from xds_server.domain.policy import Policy
from xds_server.domain.subnets import Allocation, Block, Phase, SubnetPlan, SubnetRequest
from xds_server.domain.topology import Appliance, Dialect, Endpoint, Locality, Node, NodeKind, Service, Upstream
from xds_server.domain.weights import WeightTable
from xds_server.resources.payloads import decoded
from xds_server.resources.translator import Rendering, Translator

HERE = Path(__file__).parent
LINE = "\n---\n"
FILES = sorted(path for path in HERE.iterdir() if path.is_file() and path != Path(__file__))


def _node(part: dict[str, Any]) -> Node:
    return Node(
        NodeId(part["id"]),
        NodeKind(part.get("kind", "sidecar")),
        Dialect(part.get("dialect", "envoy")),
        VirtualNetwork(part.get("virtual_network", "default")),
        listen_address=part.get("listen_address", "127.0.0.1"),
        appliance=ApplianceName(part["appliance"]) if "appliance" in part else None,
    )


def _endpoint(part: dict[str, Any]) -> Endpoint:
    where = Locality(**part.pop("locality", {}))
    return Endpoint(EndpointId(part.pop("id")), locality=where, **part)


def _service(part: dict[str, Any]) -> Service:
    return Service(
        ServiceName(part["name"]),
        (VirtualNetwork(part.get("virtual_network", "default")),),
        tuple(part.get("domains", ())),
        part.get("listen_port", 0),
        Policy(active_request_bias=part.get("active_request_bias", 2.0)),
        tuple(_endpoint(e) for e in part.get("endpoints", ())),
    )


def _table(service: str, weights: dict[str, int]) -> WeightTable:
    ids = tuple(EndpointId(e) for e in weights)
    return WeightTable(ServiceName(service), ids, np.array(list(weights.values()), dtype=np.int64))


def _allocation(part: dict[str, Any], node: Node) -> Allocation:
    request = SubnetRequest(ServiceName("any"), 1, 1.0, "web", "")
    blocks = tuple(Block.parse(cidr) for cidr in part["blocks"])
    made = (SubnetId(part["id"]), request, Phase.ACTIVE, 0.0)
    place = {"appliance": node.appliance, "node": node.id, "generation": part["generation"], "listening": True}
    return Allocation(*made, blocks=blocks, **place)


def _rendering(facts: dict[str, Any]) -> Rendering:
    node = _node(facts["node"])
    if node.kind is NodeKind.SIDECAR:
        tables = {ServiceName(name): _table(name, weights) for name, weights in facts.get("weights", {}).items()}
        return Translator().sidecar(node, [_service(s) for s in facts["services"]], tables)
    part = facts["appliance"]
    upstream = tuple(Upstream(**u) for u in part["upstream"])
    appliance = Appliance(ApplianceName(part["name"]), ServiceName(part["name"]), part["port"], upstream)
    return Translator().front_end(node, appliance, [_allocation(a, node) for a in facts["allocations"]], SubnetPlan())


def _envoy_json(rendering: Rendering) -> str:
    told: list[Any] = [
        MessageToDict(decoded(r.type_url, r.body), preserving_proto_field_name=True) | {"@type": r.type_url}
        for r in rendering.resources
    ]
    if rendering.refusals:
        told.append({"refusals": rendering.refusals})
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_facts_become_this_envoy_json(path: Path, rewrite):
    """The Envoy JSON of the facts is what was reviewed and recorded; a file of any other kind here is an orphan."""
    assert path.suffix == ".yaml", f"{path.name} belongs to no golden; remove it"
    facts, _, recorded = path.read_text().partition(LINE)
    assert facts.strip(), f"{path.name} holds no facts; remove it"
    made = _envoy_json(_rendering(yaml.safe_load(facts)))
    if rewrite:
        path.write_text(facts + LINE + made)
        recorded = made
    assert recorded == made


def test_there_are_goldens():
    """The room is not empty: a moved folder would otherwise pass in silence."""
    assert len(FILES) >= 4
