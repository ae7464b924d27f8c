"""Settings become the adapters of what is outside: DNS servers, registries, network fabrics.

Knows both vocabularies. Does not know what is told to them.
"""

from xds_server.adapters.consul import Consul
from xds_server.adapters.etcd import Etcd
from xds_server.adapters.fabrics import Access, Aci, BridgeDomain, Neutron, NoFabric, Nsx, Project
from xds_server.adapters.rfc2136 import Key, Rfc2136
from xds_server.config.networks import FabricPart
from xds_server.config.schema import Settings
from xds_server.ports import NameService, NetworkFabric, Registry


def name_services(settings: Settings) -> list[NameService]:
    """Return the configured DNS servers."""
    return [
        Rfc2136(
            part.name,
            part.address,
            part.port,
            key=Key(part.tsig.name, part.tsig.algorithm, part.tsig.secret_file) if part.tsig else None,
            owner=part.owner,
        )
        for part in settings.dns_servers
    ]


def registries(settings: Settings) -> list[Registry]:
    """Return the configured registries."""
    return [
        Etcd(part.url, owner=part.owner)
        if part.kind == "etcd"
        else Consul(part.url, owner=part.owner, token_file=part.token_file)
        for part in settings.registries
    ]


def fabrics(settings: Settings) -> list[NetworkFabric]:
    """Return the configured network fabrics."""
    return [_fabric(part) for part in settings.fabrics]


def _fabric(part: FabricPart) -> NetworkFabric:
    access = Access(part.url.rstrip("/"), part.owner, part.username, part.password_file, part.ca)
    if part.nsx:
        return Nsx(part.name, access, tier1=part.nsx.tier1, transport_zone=part.nsx.transport_zone)
    if part.aci:
        return Aci(part.name, access, BridgeDomain(part.aci.tenant, part.aci.bridge_domain, part.aci.scope))
    if part.neutron:
        where = part.neutron
        return Neutron(
            part.name, access, Project(where.keystone.rstrip("/"), where.project, where.domain, where.router)
        )
    return NoFabric(part.name)
