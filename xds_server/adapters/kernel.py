"""Kernel: this machine as a node whose interfaces can be configured (ports.NodeConfigurator).

Looks at what is there, plans, does it step by step. Remembers nothing between two calls: what a crash left behind is
a difference like any other. Knows which part does what. Does not know netlink or nftables.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from xds_server.decisions.wiring import Operation, differences, plan
from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import Fact, Layout, Part
from xds_server.domain.names import SubnetId
from xds_server.ports import KernelParts, NodeConfigurator, Unavailable


class Kernel:
    """The parts of one kernel, and how subnets are laid out in it."""

    def __init__(self, parts: Iterable[KernelParts], layout: Layout) -> None:
        self._parts = tuple(parts)
        self._of: Mapping[Part, KernelParts] = {part: parts for parts in self._parts for part in parts.parts}
        self._layout = layout

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, tuple[str, ...]]:
        """Return what differs from what is wanted, in words, by subnet. Raises Unavailable."""
        return differences(await self._plan(wanted))

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Make the kernel hold these interfaces and no others; return the kernel's words for those it refused.

        A refusal ends the work on its subnet (the order of the rest matters), not on others. Raises Unavailable when
        the kernel cannot even be looked at, or refuses what all subnets share.
        """
        refused: dict[SubnetId, str] = {}
        for operation in await self._plan(wanted):
            owner = operation.fact.subnet
            if owner in refused:
                continue
            try:
                await self._do(operation)
            except Unavailable as error:
                if not owner:
                    raise
                refused[SubnetId(owner)] = str(error)
        return refused

    async def _plan(self, wanted: Mapping[SubnetId, Interface]) -> Sequence[Operation]:
        observed: list[Fact] = []
        for parts in self._parts:
            observed += await parts.observe()
        return [o for o in plan(observed, wanted.values(), self._layout) if o.fact.part in self._of]

    async def _do(self, operation: Operation) -> None:
        parts = self._of[operation.fact.part]
        await (parts.make(operation.fact) if operation.make else parts.remove(operation.fact))


_fits: Callable[[Iterable[KernelParts], Layout], NodeConfigurator] = Kernel
