"""What the configuration says of front-end nodes that are configured from afar (docs/netconf.md).

Knows keys, bounds and what goes together. Does not know who is connected.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from xds_server.config.words import ApiPath, IpAddress, Line, NodeId, Operation, Part, Port

_RESTCONF_ONLY: Final = {"ca_file", "certificate_file", "root", "commit", "discard", "bare_entries"}


class NodeConfiguratorPart(Part):
    """A front-end node whose interfaces are configured from afar instead of by an agent (docs/netconf.md)."""

    node: NodeId
    kind: Literal["netconf", "restconf"]
    address: IpAddress
    port: Port | None = None
    user: Line = ""
    host_key_file: Path | None = None
    key_file: Path | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    root: ApiPath = "/restconf"
    commit: Operation = ""
    discard: Operation = ""
    bare_entries: bool = False
    timeout_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    every_s: Annotated[float, Field(ge=1, le=86_400)] = 10.0

    @model_validator(mode="after")
    def can_be_reached(self) -> Self:
        """Refuse what is missing to prove both sides, what the other kind has, and NETCONF without its library."""
        if self.kind == "netconf" and find_spec("netconf_client") is None:
            raise ValueError("kind netconf needs the extra `netconf`: pip install 'xds-server[netconf]'")
        needed = {"netconf": {"user", "host_key_file"}, "restconf": {"ca_file"}}[self.kind]
        if missing := sorted(name for name in needed if not getattr(self, name)):
            raise ValueError(f"{self.kind} needs {' and '.join(missing)}")
        foreign = _RESTCONF_ONLY if self.kind == "netconf" else {"host_key_file"}
        if strange := sorted(foreign & self.model_fields_set):
            raise ValueError(f"{self.kind} has no {' and no '.join(strange)}; remove it")
        return self.proved()

    def proved(self) -> Self:
        """Refuse a node that we could not prove who we are to, and half a proof."""
        if self.kind == "netconf" and (self.key_file is None) == (self.password_file is None):
            raise ValueError("netconf needs key_file or password_file, one of them")
        if self.kind == "restconf":
            if (self.certificate_file is None) != (self.key_file is None):
                raise ValueError("certificate_file and key_file go together; add the other")
            if (self.password_file is None) != (not self.user):
                raise ValueError("user and password_file go together; add the other")
            if self.certificate_file is None and self.password_file is None:
                raise ValueError("restconf needs certificate_file and key_file, or user and password_file")
        return self
