"""Settings become the adapters of what is outside: DNS servers and registries.

Knows both vocabularies. Does not know what is told to them.
"""

from xds_server.adapters.consul import Consul
from xds_server.adapters.etcd import Etcd
from xds_server.adapters.rfc2136 import Key, Rfc2136
from xds_server.config.schema import Settings
from xds_server.ports import NameService, Registry


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
