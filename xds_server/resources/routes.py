"""Routes: which cluster a request goes to, and how often it is tried.

Knows domains and retries. Does not know listeners nor endpoints.
"""

from datetime import timedelta
from typing import Any, Final

from envoy.config.route.v3 import route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from xds_server.domain.resource import Resource
from xds_server.domain.topology import Appliance, Dialect, Service
from xds_server.resources.clusters import appliance_cluster_name
from xds_server.resources.encode import encode
from xds_server.resources.payloads import wrapped

_TIMEOUT: Final = timedelta(seconds=15)
_RETRIES: Final[dict[str, Any]] = {
    "retry_on": "connect-failure,refused-stream",
    "num_retries": {"value": 1},
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": wrapped(previous_hosts_pb2.PreviousHostsPredicate()),
        }
    ],
    "host_selection_retry_max_attempts": 3,
}
"""Once more, elsewhere, and only what no endpoint can have begun to serve: a retry never doubles work or effects."""


def service_routes(service: Service, dialect: Dialect) -> Resource:
    """Encode the routes of a service, named after it: every host, because the port (or gRPC target) is its own."""
    action: dict[str, Any] = {"cluster": service.name}
    if dialect is Dialect.ENVOY:
        action |= {"timeout": _TIMEOUT, "retry_policy": _RETRIES}
    domains = ["*"] if dialect is Dialect.GRPC else [*_domains(service), "*"]
    return _routes(service.name, service.name, domains, action)


def appliance_routes(appliance: Appliance) -> Resource:
    """Encode the routes of an appliance: all to its cluster."""
    name = appliance_cluster_name(appliance)
    return _routes(name, appliance.name, ["*"], {"cluster": name, "timeout": _TIMEOUT, "retry_policy": _RETRIES})


def _domains(service: Service) -> list[str]:
    """Return a service's domains, plain and with its port, as callers write them; each once, '*' left out."""
    port = service.listen_port
    both = [text for domain in service.domains for text in ((domain, f"{domain}:{port}") if port else (domain,))]
    return [domain for domain in dict.fromkeys(text.lower() for text in both) if domain.partition(":")[0] != "*"]


def _routes(name: str, host: str, domains: list[str], action: dict[str, Any]) -> Resource:
    everything = {"match": {"prefix": "/"}, "route": action}
    hosts = [{"name": host, "domains": domains, "routes": [everything]}]
    return encode(route_pb2.RouteConfiguration(name=name, virtual_hosts=hosts))
