"""Kernel: this machine as a node whose interfaces can be configured (ports.NodeConfigurator).

Plans from what the kernel told when it was last looked at and what was done since, each deed of which the kernel has
acknowledged; so a change costs as much as it changes. Every ``observe`` looks at the whole kernel, and so does whatever
comes after a refusal or an interruption: what others did meanwhile is seen then, what a crash left behind at the start.
Knows which part does what. Does not know netlink or nftables.
"""

from collections.abc import Callable, Iterable, Mapping

from xds_server.decisions.wiring import Operation, differences, plan
from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import Fact, Key, Layout, Part
from xds_server.domain.names import SubnetId
from xds_server.ports import KernelParts, NodeConfigurator, Unavailable

_Picture = dict[tuple[Part, Key], Fact]


class Kernel:
    """The parts of one kernel, and how subnets are laid out in it. One call at a time."""

    def __init__(self, parts: Iterable[KernelParts], layout: Layout) -> None:
        self._parts = tuple(parts)
        self._of: Mapping[Part, KernelParts] = {part: parts for parts in self._parts for part in parts.parts}
        self._layout = layout
        self._known: _Picture | None = None

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[str, tuple[str, ...]]:
        """Look; return what differs from what is wanted, in words, by subnet; under '' what no one subnet owns.

        Raises Unavailable.
        """
        picture = self._known = await self._look()
        return differences(self._plan(picture, wanted))

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Make the kernel hold these interfaces and no others; return the kernel's words for those it refused.

        A refusal ends the work on its subnet (the order of the rest matters), not on others; none is told before the
        kernel has been looked at. Raises Unavailable when it cannot even be looked at, or refuses what all share.
        """
        if self._known is not None and await self._went_well(self._known, wanted):
            return {}
        return await self._change(await self._look(), wanted)

    async def _went_well(self, picture: _Picture, wanted: Mapping[SubnetId, Interface]) -> bool:
        try:
            return not await self._change(picture, wanted)
        except Unavailable:
            return False

    async def _change(self, picture: _Picture, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Do what is to be done from this picture on; it is known again only once all of it is done."""
        self._known = None
        refused: dict[SubnetId, str] = {}
        for operation in self._plan(picture, wanted):
            owner = operation.fact.subnet
            if owner in refused:
                continue
            try:
                await self._do(operation, picture)
            except Unavailable as error:
                if not owner:
                    raise
                refused[SubnetId(owner)] = str(error)
        self._known = None if refused else picture
        return refused

    async def _look(self) -> _Picture:
        self._known = None
        return {(fact.part, fact.key): fact for parts in self._parts for fact in await parts.observe()}

    def _plan(self, picture: _Picture, wanted: Mapping[SubnetId, Interface]) -> list[Operation]:
        return [o for o in plan(picture.values(), wanted.values(), self._layout) if o.fact.part in self._of]

    async def _do(self, operation: Operation, picture: _Picture) -> None:
        fact = operation.fact
        parts, place = self._of[fact.part], (fact.part, fact.key)
        if operation.make:
            await parts.make(fact)
            picture[place] = fact
        else:
            await parts.remove(fact)
            picture.pop(place, None)


_fits: Callable[[Iterable[KernelParts], Layout], NodeConfigurator] = Kernel
