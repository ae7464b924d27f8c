"""Naming: the records of services and endpoints, and the name of an endpoint that was given none.

Knows the shape of A, AAAA and SRV records and the label of our ownership. Does not know who is to be answered
(``decisions.failover``), nor any server.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from xds_server.decisions.failover import Answer
from xds_server.domain.addresses import read_address
from xds_server.domain.dns import DnsPlace, Names, Record, RecordSet, within
from xds_server.domain.names import EndpointId
from xds_server.domain.topology import Endpoint, Service
from xds_server.domain.weights import FAIR

MOST: Final = 100
"""At most so many endpoints stand in one answer, the best: BIND takes no more records of a type (since 9.18.28)."""
USUAL_TTL_S: Final = 5
"""Of endpoints' names whose service has none."""
_STEPS: Final = 10
"""SRV weights are tenths of a fair share: finer steps would rewrite the zone with every tick."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def named(service: Service) -> tuple[Endpoint, ...]:
    """Return a service's endpoints, each with a name: what it was given, else one below the service's own.

    A service without DNS leaves them as they are.
    """
    place = service.dns
    if place is None:
        return service.endpoints
    return tuple(e if e.dns_name else replace(e, dns_name=own_name(e.id, place)) for e in service.endpoints)


def reachable(service: Service) -> Service:
    """Return a service with those of its endpoints that DNS can tell of: nobody elsewhere can reach a Unix socket."""
    return replace(service, endpoints=tuple(e for e in service.endpoints if _kind(e)))


def own_name(endpoint: EndpointId, place: DnsPlace) -> str:
    """Return the name of an endpoint below its service's; ids that no host may have, or that differ only in case, get
    a mark of their own.
    """
    plain = endpoint.lower().replace("_", "-")
    label = plain if plain == endpoint else f"{plain[:50].rstrip('.-')}-{sha256(endpoint.encode()).hexdigest()[:8]}"
    return f"{label}.{place.full_name}"


def service_names(service: Service, answered: Answer, weights: Mapping[EndpointId, int]) -> Names:
    """Return the names of a service with DNS: its own and its SRV name; none when it has nobody to answer.

    ``answered``: of those that are ``reachable``. ``weights``: as published, 1000 = fair share of its level.
    """
    place = service.dns
    if place is None or not answered.addresses:
        return {}
    found = {place.full_name: RecordSet(place.ttl_s, frozenset(map(_address, answered.addresses[:MOST])))}
    ranked = answered.ranked[:MOST]
    services = frozenset(_srv(level, e, weights.get(e.id, FAIR)) for level, e in ranked if e.dns_name)
    return found | ({srv_name(place): RecordSet(place.ttl_s, services)} if services else {})


def endpoint_names(services: Iterable[Service], zones: Collection[str]) -> Names:
    """Return the names of endpoints themselves that lie in these zones; a name that several have answers them all."""
    found: dict[str, tuple[int, set[Record]]] = {}
    for service in services:
        ttl_s = service.dns.ttl_s if service.dns else USUAL_TTL_S
        for endpoint in service.endpoints:
            name = endpoint.dns_name.lower().removesuffix(".")
            if _kind(endpoint) and _HOST.fullmatch(name) and any(within(name, zone) for zone in zones):
                _, records = found.setdefault(name, (ttl_s, set()))
                records.add(_address(endpoint))
    return {name: RecordSet(ttl_s, frozenset(records)) for name, (ttl_s, records) in found.items()}


def srv_name(place: DnsPlace) -> str:
    """Return where SRV records stand (RFC 2782): ``_checkout._tcp.mesh.test`` for ``checkout.mesh.test``."""
    first, _, rest = place.full_name.partition(".")
    return f"_{first}._tcp.{rest}"


def _kind(endpoint: Endpoint) -> str:
    """Return the type of an endpoint's address record, empty for one that DNS cannot tell (a Unix socket)."""
    if endpoint.address.startswith("unix:"):
        return ""
    return "A" if read_address(endpoint.address).version == 4 else "AAAA"


def _address(endpoint: Endpoint) -> Record:
    return Record(_kind(endpoint), str(read_address(endpoint.address)))


def targets(records: RecordSet) -> frozenset[str]:
    """Return the names that SRV records point at."""
    return frozenset(r.text.split()[-1].removesuffix(".") for r in records.records if r.kind == "SRV")


def _srv(level: int, endpoint: Endpoint, weight: int) -> Record:
    tenths = min(65_535, max(1, round(weight * _STEPS / FAIR)))
    target = endpoint.dns_name.lower().removesuffix(".")
    return Record("SRV", f"{level} {tenths} {endpoint.port} {target}.")
