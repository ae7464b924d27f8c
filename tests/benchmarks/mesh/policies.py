"""The policies that are compared: who decides where a request goes, and what the Envoys are told for it.

All Envoys get the resources that this product makes (same listener, routes, limits, telemetry). A policy of Envoy alone
differs from the others in one field of the cluster, and gets its resources from a plain server that only hands them
out; ours are served by a real ``xds-server serve``. Knows Envoy's names of policies. Does not know scenarios.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3 import (
    client_side_weighted_round_robin_pb2 as cswrr_pb2,
)
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.random.v3 import random_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message

from xds_server.domain.names import ServiceName
from xds_server.domain.resource import CDS, Resource
from xds_server.domain.topology import Node, Service
from xds_server.domain.weights import WeightTable
from xds_server.resources.encode import encode
from xds_server.resources.translator import Translator

SERVICE: Final = ServiceName("mesh")
_EXTENSION: Final = "envoy.load_balancing_policies."


@dataclass(frozen=True)
class Policy:
    """``told``: what people read. ``lonely``: Envoy's own, by the extension's name and message.

    ``settings``: of our service, where our server decides. ``by_capacity``: weights set once, by hand, to capacities.
    ``learns``: needs the whole warm-up. ``foresees``: its weights follow forecasts, too.
    """

    told: str
    lonely: tuple[str, Message] | None = None
    settings: Mapping[str, Any] | None = None
    by_capacity: bool = False
    learns: bool = field(default=False, repr=False)
    foresees: bool = field(default=False, repr=False)


POLICIES: Final[Mapping[str, Policy]] = {
    "round_robin": Policy("ROUND_ROBIN", ("round_robin", round_robin_pb2.RoundRobin())),
    "random": Policy("RANDOM", ("random", random_pb2.Random())),
    "least_request": Policy("LEAST_REQUEST (default)", ("least_request", least_request_pb2.LeastRequest())),
    "full_scan": Policy(
        "LEAST_REQUEST FULL_SCAN",
        ("least_request", least_request_pb2.LeastRequest(selection_method="FULL_SCAN")),
    ),
    "cswrr": Policy(
        "CLIENT_SIDE_WEIGHTED_ROUND_ROBIN (ORCA)",
        ("client_side_weighted_round_robin", cswrr_pb2.ClientSideWeightedRoundRobin()),
        learns=True,
    ),
    "equal": Policy("this server, equal weights", settings={"guardrails": {"floor": 1.0}}),
    "static": Policy("weights by capacity, set by hand", by_capacity=True),
    "reactive": Policy("this server, reactive", settings={"guardrails": {"gate": 0.0}}, learns=True),
    "forecast": Policy("this server, with the forecast", settings={}, learns=True, foresees=True),
}
PAIRED: Final = ("full_scan", "reactive", "forecast")
"""Those that run on every seed; the others run on the first."""


def resources(policy: Policy, node: Node, service: Service, speeds: tuple[float, ...]) -> list[Resource]:
    """Return what a plain server hands one Envoy under a policy that is not ours."""
    weights = np.array(speeds) / np.mean(speeds) if policy.by_capacity else np.ones(len(speeds))
    ids = tuple(endpoint.id for endpoint in service.endpoints)
    table = WeightTable(service.name, ids, np.round(1000 * weights).astype(np.int64))
    rendered = Translator().sidecar(node, [service], {service.name: table}).resources
    return [_with_policy(r, policy) if r.type_url == CDS.url else r for r in rendered]


def _with_policy(resource: Resource, policy: Policy) -> Resource:
    """Return a cluster with another load balancing policy, and nothing else changed."""
    if policy.lonely is None:
        return resource
    cluster = cluster_pb2.Cluster.FromString(resource.body)
    name, message = policy.lonely
    packed = Packed()
    packed.Pack(message)
    (item,) = cluster.load_balancing_policy.policies
    item.typed_extension_config.name = _EXTENSION + name
    item.typed_extension_config.typed_config.CopyFrom(packed)
    return encode(cluster)
