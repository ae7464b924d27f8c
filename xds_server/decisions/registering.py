"""Registering: which endpoints registries tell of, under which name, with which weight.

Knows services and weights. Does not know any registry.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from xds_server.decisions.naming import USUAL_TTL_S
from xds_server.domain.names import EndpointKey, InvalidName, Name, ServiceName
from xds_server.domain.registration import Registration
from xds_server.domain.topology import Endpoint, Service, levels
from xds_server.domain.weights import FAIR, WeightTable

_STEPS: Final = 10  # tenths of a fair share, as in SRV records


def registrations(
    services: Iterable[Service], tables: Mapping[ServiceName, WeightTable]
) -> dict[EndpointKey, Registration]:
    """Return what registries are to tell: every endpoint that is open to clients; all, where all are drained.

    Unix sockets are left out: nobody elsewhere can reach them.
    """
    found = {}
    for service in services:
        level, table = levels(e.priority for e in service.endpoints), tables.get(service.name)
        for endpoint in _offered(service):
            weight = table.weight(endpoint.id) if table else None
            found[EndpointKey(service.name, endpoint.id)] = Registration(
                service=service.name,
                endpoint=endpoint.id,
                domain=domain_of(service),
                address=endpoint.address,
                port=endpoint.port,
                weight=max(1, round((FAIR if weight is None else weight) * _STEPS / FAIR)),
                ttl_s=service.dns.ttl_s if service.dns else USUAL_TTL_S,
                level=level[endpoint.priority],
            )
    return found


def domain_of(service: Service) -> str:
    """Return a service's name in registries: its DNS name, else its first domain, else ``SERVICE.NETWORK``."""
    if service.dns:
        return service.dns.full_name
    for domain in service.domains:
        try:
            return Name(domain).lower()
        except InvalidName:
            continue
    return f"{service.name}.{service.virtual_networks[0]}".lower()


def _offered(service: Service) -> list[Endpoint]:
    reachable = [endpoint for endpoint in service.endpoints if not endpoint.address.startswith("unix:")]
    return [endpoint for endpoint in reachable if not endpoint.draining] or reachable
