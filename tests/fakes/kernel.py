"""FakeKernel: facts in memory; and a power cut at any operation, for fake and real kernels alike.

Knows ports.KernelParts. Does not know netlink.
"""

from collections.abc import Callable, Iterable

from xds_server.domain.kernel import Fact, Part
from xds_server.ports import KernelParts, Unavailable


class FakeKernel:
    """All parts of a kernel that obeys; ``refusing``: parts that it will not make, with its words.

    ``told``: how many facts it was asked to tell, over all looks.
    """

    parts = frozenset(Part)

    def __init__(self) -> None:
        self.facts: dict[tuple[Part, object], Fact] = {}
        self.refusing: dict[Part, str] = {}
        self.told = 0

    async def observe(self) -> list[Fact]:
        """Return everything."""
        self.told += len(self.facts)
        return list(self.facts.values())

    async def make(self, fact: Fact) -> None:
        """Make a fact so."""
        if fact.part in self.refusing:
            raise Unavailable("refused", f"{fact.name}: {self.refusing[fact.part]}")
        self.facts[fact.part, fact.key] = fact

    async def remove(self, fact: Fact) -> None:
        """Remove a fact."""
        self.facts.pop((fact.part, fact.key), None)


class PowerCut(BaseException):
    """The process is no more."""


class Fuse:
    """Lets so many operations pass, over all parts that it guards, and then cuts the power."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def guard(self, parts: Iterable[KernelParts]) -> list[KernelParts]:
        """Return the same parts, behind this fuse."""
        return [_Guarded(one, self) for one in parts]

    def burn(self) -> None:
        """Count one operation."""
        if self.left == 0:
            raise PowerCut
        self.left -= 1


class _Guarded:
    def __init__(self, parts: KernelParts, fuse: Fuse) -> None:
        self.parts = parts.parts
        self._behind, self._fuse = parts, fuse

    async def observe(self) -> list[Fact]:
        return await self._behind.observe()

    async def make(self, fact: Fact) -> None:
        self._fuse.burn()
        await self._behind.make(fact)

    async def remove(self, fact: Fact) -> None:
        self._fuse.burn()
        await self._behind.remove(fact)


_fits: Callable[[], KernelParts] = FakeKernel
