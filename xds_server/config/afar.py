"""Settings become the adapters of nodes that are configured from afar, by NETCONF or RESTCONF.

Knows both vocabularies. Does not know what a node is told.
"""

from collections.abc import Mapping
from typing import Final

from xds_server.adapters import restconf
from xds_server.config.nodes import NodeConfiguratorPart
from xds_server.config.schema import Settings
from xds_server.controllers.configure_afar import Remote
from xds_server.domain.names import NodeId

_NETCONF: Final = 830
_HTTPS: Final = 443


def node_configurators(settings: Settings) -> Mapping[NodeId, Remote]:
    """Return how each node is configured that has no agent."""
    make = {"netconf": _netconf, "restconf": _restconf}
    return {NodeId(part.node): make[part.kind](part) for part in settings.node_configurators}


def _netconf(part: NodeConfiguratorPart) -> Remote:
    from xds_server.adapters.netconf import Netconf  # its library is an extra
    from xds_server.adapters.netconf.session import Place

    assert part.host_key_file  # the schema sees to it
    port = part.port or _NETCONF
    proofs = (part.host_key_file, part.key_file, part.password_file)
    return Netconf(Place(part.address, port, part.user, *proofs, timeout_s=part.timeout_s))


def _restconf(part: NodeConfiguratorPart) -> Remote:
    assert part.ca_file  # the schema sees to it
    return restconf.Restconf(
        restconf.Place(
            address=part.address,
            port=part.port or _HTTPS,
            ca_file=part.ca_file,
            certificate_file=part.certificate_file,
            key_file=part.key_file,
            user=part.user,
            password_file=part.password_file,
            root=part.root,
            commit=part.commit,
            discard=part.discard,
            bare_entries=part.bare_entries,
            timeout_s=part.timeout_s,
        )
    )
