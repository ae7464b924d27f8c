"""Semantics: what Envoy rejects although every field rule holds.

Knows such cases as seen (docs/envoy.md; tests/envoy holds each against a real Envoy). Does not know field rules nor
how messages are walked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from xds_server.resources.addresses import is_ip

HIGHEST_WEIGHT: Final = 2**32 - 1
"""Of one endpoint, of a locality's endpoints together, and of a priority's localities together (Envoy's EDS)."""
Fault = tuple[str, str]
"""(path from the message, what must be true)."""


def _load_assignment(assignment: Any) -> Iterator[Fault]:
    localities: Counter[int] = Counter()
    for index, group in enumerate(assignment.endpoints):
        total = sum(e.load_balancing_weight.value or 1 for e in group.lb_endpoints)
        if total > HIGHEST_WEIGHT:
            yield f".endpoints[{index}]", f"the weights of its endpoints add up to {total}; at most {HIGHEST_WEIGHT}"
        localities[group.priority] += group.load_balancing_weight.value
    for priority, total in localities.items():
        if total > HIGHEST_WEIGHT:
            yield "", f"the locality weights of priority {priority} add up to {total}; at most {HIGHEST_WEIGHT}"


def _unresolved(assignment: Any) -> Iterator[Fault]:
    """Yield addresses that are names: EDS and static clusters never ask DNS."""
    for i, group in enumerate(assignment.endpoints):
        for j, item in enumerate(group.lb_endpoints):
            if item.endpoint.address.WhichOneof("address") != "socket_address":
                continue
            socket = item.endpoint.address.socket_address
            if not (is_ip(socket.address) or socket.resolver_name):
                where = f".endpoints[{i}].lb_endpoints[{j}].endpoint.address.socket_address.address"
                yield (
                    where,
                    f"must be an IP address (it is {socket.address!r}); a name needs a cluster of type STRICT_DNS",
                )


def _cluster(cluster: Any) -> Iterator[Fault]:
    kind = cluster.type if cluster.WhichOneof("cluster_discovery_type") == "type" else None
    if kind == cluster.EDS and not cluster.HasField("eds_cluster_config"):
        yield ".eds_cluster_config", "must be set for type EDS"
    if kind != cluster.EDS and cluster.HasField("eds_cluster_config"):
        yield ".eds_cluster_config", "must not be set unless the type is EDS"
    if kind == cluster.STATIC:
        yield from ((".load_assignment" + where, words) for where, words in _unresolved(cluster.load_assignment))
    if cluster.lb_policy == cluster.LOAD_BALANCING_POLICY_CONFIG and not cluster.HasField("load_balancing_policy"):
        yield ".load_balancing_policy", "must be set for lb_policy LOAD_BALANCING_POLICY_CONFIG"


def _route_configuration(routes: Any) -> Iterator[Fault]:
    domains = Counter(domain.lower() for host in routes.virtual_hosts for domain in host.domains)
    for domain, times in domains.items():
        if times > 1:
            yield ".virtual_hosts", f"the domain {domain!r} must stand in it once, not {times} times"


def _listener(listener: Any) -> Iterator[Fault]:
    if listener.HasField("api_listener") or listener.HasField("internal_listener"):
        return
    if not listener.HasField("address"):
        yield ".address", "must be set"
    chains = listener.filter_chains or listener.HasField("default_filter_chain")
    if not (chains or listener.listener_filters or listener.HasField("udp_listener_config")):
        yield ".filter_chains", "must have at least one"


Rules = Mapping[str, Callable[[Any], Iterator[Fault]]]
EVERYWHERE: Final[Rules] = {
    "envoy.config.cluster.v3.Cluster": _cluster,
    "envoy.config.endpoint.v3.ClusterLoadAssignment": _load_assignment,
    "envoy.config.listener.v3.Listener": _listener,
    "envoy.config.route.v3.RouteConfiguration": _route_configuration,
}
"""Full name of a message -> its faults, wherever it stands."""
AS_A_RESOURCE: Final[Rules] = {"envoy.config.endpoint.v3.ClusterLoadAssignment": _unresolved}
"""The same for messages that are sent on their own."""
