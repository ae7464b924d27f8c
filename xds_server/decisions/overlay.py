"""Overlay: the services as they stand once subnets and operators have had their say.

Knows the order of precedence: configuration, then subnets' endpoints, then the operator. Does not know where any of
the three is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from xds_server.decisions.naming import named
from xds_server.domain.names import EndpointKey, ServiceName
from xds_server.domain.overrides import Overrides
from xds_server.domain.policy import Pin
from xds_server.domain.refusal import Kind, Refusal
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.tuning import tuned

Services = Mapping[ServiceName, Service]


def effective(
    configured: Services, announced: Mapping[ServiceName, Sequence[Endpoint]], overrides: Overrides
) -> dict[ServiceName, Service]:
    """Lay subnets' endpoints and the operator's facts over the configured services.

    An id that is there twice belongs to the first of configuration, subnet, operator. Facts about services or
    endpoints that are gone lie still; they hold again when the name returns.
    """
    added: dict[ServiceName, list[Endpoint]] = {}
    for key, endpoint in overrides.endpoints.items():
        added.setdefault(key.service, []).append(endpoint)
    laid = (
        replace(
            service,
            policy=tuned(service.policy, overrides.policies.get(name, {})),
            endpoints=_endpoints(name, (service.endpoints, announced.get(name, ()), added.get(name, ())), overrides),
            generation=service.generation + overrides.generations.get(name, 0),
        )
        for name, service in configured.items()
    )
    return {service.name: replace(service, endpoints=named(service)) for service in laid}


def _endpoints(
    service: ServiceName, sources: Iterable[Sequence[Endpoint]], overrides: Overrides
) -> tuple[Endpoint, ...]:
    found: dict[str, Endpoint] = {}
    for endpoint in (e for source in sources for e in source):
        drained = EndpointKey(service, endpoint.id) in overrides.drains
        found.setdefault(endpoint.id, replace(endpoint, draining=True) if drained else endpoint)
    return tuple(found.values())


def in_force(overrides: Overrides, services: Services, now_s: float) -> dict[ServiceName, tuple[Pin, ...]]:
    """Return the pins that hold now (wall clock): not expired, and their endpoint exists. By service, by endpoint."""
    found: dict[ServiceName, list[Pin]] = {}
    for key, pin in sorted(overrides.pins.items()):
        service = services.get(key.service)
        if service and service.endpoint(key.endpoint) and pin.expires_at_s > now_s:
            found.setdefault(key.service, []).append(pin)
    return {name: tuple(pins) for name, pins in found.items()}


def find_service(services: Services, name: str) -> Service:
    """Return the service of that name; raises Refusal with the nearest names."""
    service = next((s for s in services.values() if s.name == name), None)
    if service is None:
        raise Refusal(Kind.UNKNOWN, f"service {name!r} is unknown; {nearest(name, services, 'xdsctl services')}")
    return service


def find_endpoint(service: Service, wanted: str) -> Endpoint:
    """Return the endpoint with that id or ``address:port``; raises Refusal with the nearest ids."""
    endpoint = service.endpoint(wanted)
    if endpoint is None:
        names = [name for e in service.endpoints for name in (e.id, f"{e.address}:{e.port}")]
        hint = nearest(wanted, names, f"xdsctl endpoints {service.name}")
        raise Refusal(Kind.UNKNOWN, f"service {service.name} has no endpoint {wanted!r}; {hint}")
    return endpoint


def nearest(name: str, names: Iterable[str], lister: str) -> str:
    """Return words that help: the likeliest names, else how to list them all."""
    close = get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"`{lister}` lists what there is"
