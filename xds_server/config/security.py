"""Security: TLS of our ports and what the names in clients' certificates may do.

Knows keys, bounds and defaults. Does not know what a certificate says.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FilePath

from xds_server.config.words import Part
from xds_server.domain.access import Role
from xds_server.domain.names import InvalidName, NodeId

Listener = Literal["xds", "admin", "http"]


def _is_node_id(text: str) -> str:
    try:
        return NodeId(text)
    except InvalidName as error:
        raise ValueError(str(error)) from error


_NodeId = Annotated[str, AfterValidator(_is_node_id)]
_NodeIds = Annotated[tuple[_NodeId, ...], Field(min_length=1)]
CertifiedName = Annotated[str, Field(min_length=1, max_length=2048)]


class TlsPart(Part):
    """Our certificate (with its chain) and key, and the authorities whose clients are let in; PEM files.

    ``listeners``: the ports that speak TLS; the others stay as they are without. ``nodes``: URI in a certificate ->
    the node ids that it may be; a URI that is not here may be the node that its path or its path's last part names.
    """

    certificate: FilePath
    key: FilePath
    client_ca: FilePath
    listeners: tuple[Listener, ...] = ("xds", "admin", "http")
    nodes: dict[CertifiedName, _NodeIds] = Field(default_factory=dict)


Roles = dict[CertifiedName, Role]
