"""None: a fabric that needs no telling, because its routers find the nodes by themselves.

Knows nothing and remembers nothing.
"""

from collections.abc import Mapping

from xds_server.domain.fabrics import DONE, FabricNetwork, Progress
from xds_server.domain.names import SubnetId
from xds_server.ports import NetworkFabric


class NoFabric:
    """Everything is done as soon as it is said."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def attach(self, wanted: FabricNetwork) -> Progress:  # noqa: ARG002 - the port's shape
        """Do nothing."""
        return DONE

    async def detach(self, subnet: SubnetId) -> Progress:  # noqa: ARG002 - the port's shape
        """Do nothing."""
        return DONE

    async def ours(self) -> Mapping[SubnetId, int]:
        """Return nothing."""
        return {}

    async def close(self) -> None:
        """Do nothing."""


_fits: type[NetworkFabric] = NoFabric
