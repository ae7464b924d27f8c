"""Clusters: how a client reaches a service, and how a front-end node reaches what stands behind its appliance.

Knows connection limits, retries' budget and load balancing. Does not know endpoints' weights nor routes.
"""

from datetime import timedelta
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from xds_server.domain.load_report import REPORTED
from xds_server.domain.resource import Resource
from xds_server.domain.topology import Appliance, Dialect, Service, Upstream
from xds_server.resources.addresses import is_resolved, write
from xds_server.resources.encode import encode
from xds_server.resources.payloads import wrapped
from xds_server.resources.refusals import Refused
from xds_server.resources.sources import ads, extension

_CONNECT_TIMEOUT: Final = timedelta(seconds=1)
_MOST: Final = {"value": 100_000}
"""Instead of Envoy's 1,024: spreading load is our business, and a limit per Envoy would hide it from the weights."""
_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LEAST_REQUEST: Final = "envoy.load_balancing_policies.least_request"


def service_cluster(service: Service, dialect: Dialect) -> Resource:
    """Encode the cluster of a service, named after it; its endpoints come over EDS under the same name."""
    cluster = cluster_pb2.Cluster(
        name=service.name,
        type="EDS",
        eds_cluster_config={"eds_config": ads()},
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=_circuit_breakers(),
    )
    if dialect is Dialect.GRPC:
        cluster.lb_policy = cluster.ROUND_ROBIN  # in gRPC: localities by weight, round robin within
        return encode(cluster)
    # Panic (health disregarded) only below one healthy endpoint in a hundred. At the default of 50 %, draining half of
    # a service would give the drained half its traffic back. Zero would answer 503 once the last one is draining.
    cluster.common_lb_config.healthy_panic_threshold.value = 1
    cluster.load_balancing_policy.policies.add(
        typed_extension_config=extension(_LEAST_REQUEST, _least_request(service))
    )
    cluster.lrs_report_endpoint_metrics.extend(REPORTED)  # what endpoints say of themselves comes with load reports
    _speak_as_the_caller(cluster)
    return encode(cluster)


def _least_request(service: Service) -> least_request_pb2.LeastRequest:
    """Return the policy. No locality configuration: endpoint weights then count across all localities."""
    return least_request_pb2.LeastRequest(
        selection_method="FULL_SCAN",
        active_request_bias={
            "default_value": service.policy.active_request_bias,
            "runtime_key": f"xds_server.{service.name}.active_request_bias",
        },
    )


def appliance_cluster(appliance: Appliance) -> Resource:
    """Encode the cluster behind an appliance: its upstream, known from the start or asked of DNS. Raises Refused."""
    if not appliance.upstream:
        raise Refused(f"appliance {appliance.name!r} has no upstream; name at least one address and port")
    resolved = all(is_resolved(upstream.address) for upstream in appliance.upstream)
    name = appliance_cluster_name(appliance)
    cluster = cluster_pb2.Cluster(
        name=name,
        type="STATIC" if resolved else "STRICT_DNS",
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=_circuit_breakers(),
        load_assignment={"cluster_name": name},
    )
    group = cluster.load_assignment.endpoints.add()
    for upstream in appliance.upstream:
        _write_upstream(group.lb_endpoints.add(), upstream)
    _speak_as_the_caller(cluster)
    return encode(cluster)


def appliance_cluster_name(appliance: Appliance) -> str:
    """Return a name that no service can have."""
    return f"appliance/{appliance.name}"


def _write_upstream(item: Any, upstream: Upstream) -> None:
    write(item.endpoint.address, upstream.address, upstream.port)


def _circuit_breakers() -> dict[str, Any]:
    """Return high limits, and a budget that keeps retries below a fifth of all requests."""
    budget = {"budget_percent": {"value": 20.0}, "min_retry_concurrency": {"value": 3}}
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _MOST)
    return {"thresholds": [{**limits, "retry_budget": budget}]}


def _speak_as_the_caller(cluster: Any) -> None:
    """Forward HTTP/2 (gRPC) as HTTP/2 and HTTP/1 as HTTP/1."""
    options = http_protocol_options_pb2.HttpProtocolOptions(
        use_downstream_protocol_config={"http_protocol_options": {}, "http2_protocol_options": {}}
    )
    cluster.typed_extension_protocol_options[_PROTOCOL].CopyFrom(wrapped(options))
