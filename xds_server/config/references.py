"""What refers to what: names used but not defined, defined twice, addresses that collide, pools that overlap.

Works on the raw values, so that these faults are told together with misspelt keys. Does not know types or bounds.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from pydantic import TypeAdapter, ValidationError

from xds_server.config.document import Location
from xds_server.config.words import Port
from xds_server.domain.addresses import read_place
from xds_server.domain.dns import DnsPlace
from xds_server.domain.subnets import Block

Fault = tuple[Location, str]
_AS_PORT = TypeAdapter(Port)


def dangling(raw: Mapping[str, object]) -> list[Fault]:
    """Return every fault between parts of the configuration."""
    return [fault for rule in _RULES for fault in rule(raw)]


def _items(raw: object, *path: str) -> Iterator[tuple[Location, Mapping[str, object]]]:
    """Yield the mappings of a list (or of lists within its items) with their locations; skip what has another shape."""
    found = raw.get(path[0]) if isinstance(raw, Mapping) else None
    for i, item in enumerate(found if isinstance(found, (list, tuple)) else ()):
        if not isinstance(item, Mapping):
            continue
        if len(path) == 1:
            yield (path[0], i), item
        else:
            for at, inner in _items(item, *path[1:]):
                yield (path[0], i, *at), inner


def _names(raw: Mapping[str, object], section: str) -> list[str]:
    found = raw.get(section)
    if isinstance(found, Mapping):
        return [str(key) for key in found]
    return [str(item["name"]) for _, item in _items(raw, section) if "name" in item]


def _twice(section: str, key: str = "name") -> Callable[[Mapping[str, object]], Iterator[Fault]]:
    def rule(raw: Mapping[str, object]) -> Iterator[Fault]:
        seen: set[str] = set()
        for at, item in _items(raw, section):
            name = str(item.get(key))
            if name in seen:
                yield (*at, key), f"{name!r} is defined twice in {section}; rename or remove one"
            seen.add(name)

    return rule


def _refers(path: tuple[str, ...], key: str, section: str) -> Callable[[Mapping[str, object]], Iterator[Fault]]:
    def rule(raw: Mapping[str, object]) -> Iterator[Fault]:
        known = _names(raw, section)
        for at, item in _items(raw, *path):
            for name in _listed(item.get(key)):
                if name not in known:
                    yield (*at, key), f"{name!r} is not defined in {section}; known: {', '.join(known) or 'none'}"

    return rule


def _nested(section: str, inner: str, key: str, target: str) -> Callable[[Mapping[str, object]], Iterator[Fault]]:
    def rule(raw: Mapping[str, object]) -> Iterator[Fault]:
        known = _names(raw, target)
        for at, item in _items(raw, section):
            part = item.get(inner)
            if isinstance(part, Mapping) and key in part and str(part[key]) not in known:
                yield (
                    (*at, inner, key),
                    f"{part[key]!r} is not defined in {target}; known: {', '.join(known) or 'none'}",
                )

    return rule


def _locations(raw: Mapping[str, object]) -> Iterator[Fault]:
    known = {str(pool.get("location")) for _, pool in _items(raw, "pools")}
    for at, item in _items(raw, "appliances"):
        part = item.get("subnet")
        if isinstance(part, Mapping) and "location" in part and str(part["location"]) not in known:
            where = ", ".join(sorted(known)) or "none"
            yield (*at, "subnet", "location"), f"{part['location']!r} is no pool's location; known: {where}"


def _quotas(raw: Mapping[str, object]) -> Iterator[Fault]:
    found = raw.get("quotas")
    known = [*_names(raw, "services"), "default"]
    for name in found if isinstance(found, Mapping) else ():
        if str(name) not in known:
            yield ("quotas", str(name)), f"{name!r} is not defined in services; known: {', '.join(known)}"


def _endpoints_twice(raw: Mapping[str, object]) -> Iterator[Fault]:
    for at, service in _items(raw, "services"):
        seen: set[tuple[str, str]] = set()
        for inner, endpoint in _items(service, "endpoints"):
            place = f"{_address(endpoint.get('address'))}:{_port(endpoint.get('port'))}"
            for key, value in (("id", str(endpoint.get("id"))), ("address", place)):
                if (key, value) in seen:
                    yield (
                        (*at, *inner, key),
                        f"{value!r} is used by two endpoints of this service; change or remove one",
                    )
                seen.add((key, value))


def _address(value: object) -> str:
    """Return an address in its one spelling, the text where it is none; IPv4 has no other."""
    text = str(value)
    try:
        return read_place(text) if ":" in text else text
    except ValueError:
        return text


def _port(value: object) -> str:
    """Return a port in its one spelling, the text where it is none."""
    try:
        return str(_AS_PORT.validate_python(value))
    except ValidationError:
        return str(value)


def _ports_twice(raw: Mapping[str, object]) -> Iterator[Fault]:
    """Two services of one virtual network may not share a port: a sidecar could not open both listeners."""
    seen: dict[tuple[str, str], object] = {}
    for at, service in _items(raw, "services"):
        for network in _networks(service):
            yield from _claimed(seen, (*at, "listen_port"), service, network, _port(service.get("listen_port")))


def _targets_twice(raw: Mapping[str, object]) -> Iterator[Fault]:
    """A service's name and domains are what gRPC clients of its virtual networks dial: each leads to one service."""
    seen: dict[tuple[str, str], object] = {}
    for _, service in _items(raw, "services"):
        for network in _networks(service):
            seen.setdefault((network, str(service.get("name"))), service.get("name"))
    for at, service in _items(raw, "services"):
        for network in _networks(service):
            for domain in _listed(service.get("domains")):
                yield from _claimed(seen, (*at, "domains"), service, network, domain)


def _claimed(
    seen: dict[tuple[str, str], object], at: Location, service: Mapping[str, object], network: str, value: str
) -> Iterator[Fault]:
    owner = seen.setdefault((network, value), service.get("name"))
    if owner != service.get("name"):
        yield at, f"{value} already belongs to service {owner!r} in {network!r}; choose another"


def _networks(service: Mapping[str, object]) -> list[str]:
    return _listed(service.get("virtual_network", "default"))


def _dns_names_twice(raw: Mapping[str, object]) -> Iterator[Fault]:
    """One name of one DNS server answers for one service."""
    seen: dict[tuple[str, str], object] = {}
    for at, service in _items(raw, "services"):
        dns = service.get("dns")
        if not isinstance(dns, Mapping) or not {"zone", "name", "server"} <= dns.keys():
            continue
        server = str(dns["server"])
        name = DnsPlace(str(dns["zone"]), str(dns["name"]), 0, server).full_name
        owner = seen.setdefault((server, name), service.get("name"))
        if owner != service.get("name"):
            yield (*at, "dns", "name"), f"{name} is the name of service {owner!r} already; choose another"


def _supplied_twice(raw: Mapping[str, object]) -> Iterator[Fault]:
    """A service's subnets go to one appliance."""
    seen: dict[str, object] = {}
    for at, appliance in _items(raw, "appliances"):
        service = str(appliance.get("service"))
        owner = seen.setdefault(service, appliance.get("name"))
        if owner != appliance.get("name"):
            yield (
                (*at, "service"),
                f"the subnets of {service!r} go to appliance {owner!r} already; give this one a service of its own",
            )


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]


def _pools_overlap(raw: Mapping[str, object]) -> Iterator[Fault]:
    blocks: list[tuple[Location, str, Block]] = []
    for at, pool in _items(raw, "pools"):
        prefixes = pool.get("prefixes")
        for i, prefix in enumerate(prefixes if isinstance(prefixes, (list, tuple)) else ()):
            try:
                blocks.append(
                    ((*at, "prefixes", i), f"{prefix} of pool {pool.get('name')!r}", Block.parse(str(prefix)))
                )
            except ValueError:
                continue  # the schema tells it
    for (_, first, a), (at, _, b) in combinations(blocks, 2):
        if a.covers(b) or b.covers(a):
            yield at, f"{b} overlaps {first}; an address may belong to one pool only"


_RULES: tuple[Callable[[Mapping[str, object]], Iterator[Fault]], ...] = (
    *(_twice(section) for section in ("services", "appliances", "pools", "dns_servers", "fabrics")),
    _twice("node_configurators", "node"),
    _refers(("appliances",), "service", "services"),
    _refers(("pools",), "security_profiles", "security_profiles"),
    _refers(("pools",), "fabric", "fabrics"),
    _nested("services", "dns", "server", "dns_servers"),
    _nested("appliances", "subnet", "security_profile", "security_profiles"),
    _locations,
    _quotas,
    _endpoints_twice,
    _ports_twice,
    _targets_twice,
    _dns_names_twice,
    _supplied_twice,
    _pools_overlap,
)
