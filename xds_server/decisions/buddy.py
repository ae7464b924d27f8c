"""Buddy allocator: which block of a set of prefixes is given next.

Free blocks stand in one list per prefix length, sorted by address, as plain integers; a bit mask tells which lists
hold anything; a block given back merges with its buddy (Knowlton 1965). Knows one IP version. Does not know pools,
owners or requests.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from xds_server.domain.subnets import Block, Strategy


class Buddy:
    """The free and the held blocks of some prefixes; never merges across a prefix's border."""

    def __init__(self, version: int, prefixes: Iterable[Block], excluded: Iterable[Block] = ()) -> None:
        self._version = version
        self._bits = 32 if version == 4 else 128
        self._free: list[list[int]] = [[] for _ in range(self._bits + 1)]
        self._filled = 0  # bit L is set while self._free[L] holds anything
        self._held: dict[int, int] = {}  # base -> prefix length
        self._cursor = 0  # where round-robin goes on
        self.free_addresses = 0
        excluded = sorted((e for e in excluded if e.version == version), key=lambda e: e.prefix_length)
        roots = [p for p in prefixes if p.version == version and not any(e.covers(p) for e in excluded)]
        self._roots = sorted((p.base, p.prefix_length) for p in roots)
        self._root_bases = [base for base, _ in self._roots]
        for base, length in self._roots:
            self._put(base, length)
        for block in excluded:
            self._cut_out(block.base, block.prefix_length)
        self.capacity = self.free_addresses

    @property
    def held(self) -> int:
        """Return how many blocks are held."""
        return len(self._held)

    @property
    def largest_free(self) -> Block | None:
        """Return the largest free block, the lowest of equals."""
        if not self._filled:
            return None
        length = (self._filled & -self._filled).bit_length() - 1
        return Block(self._version, self._free[length][0], length)

    def tightest(self, length: int) -> int | None:
        """Return the prefix length of the smallest free block that holds a /``length``."""
        fits = self._filled & ((2 << length) - 1)
        return fits.bit_length() - 1 if fits else None

    def allocate(self, length: int, strategy: Strategy) -> Block | None:
        """Take a block of prefix length ``length``; None when nothing fits. 2-10 us at 100,000 blocks."""
        fits = self._filled & ((2 << length) - 1)
        if not fits:
            return None
        size = 1 << (self._bits - length)
        found, index, base = self._choose(strategy, fits, size)
        self._split(self._pop(found, index), found, base, length)
        self._held[base] = length
        self._cursor = base + size
        return Block(self._version, base, length)

    def holds(self, block: Block) -> bool:
        """Return whether exactly this block is held."""
        return block.version == self._version and self._held.get(block.base) == block.prefix_length

    def take(self, block: Block) -> bool:
        """Take exactly this block (occupancy rebuilt from what is held); False when it is not wholly free."""
        if block.version != self._version or not self._cut_out(block.base, block.prefix_length):
            return False
        self._held[block.base] = block.prefix_length
        return True

    def release(self, block: Block) -> None:
        """Give a held block back and merge it with its free buddies; raises KeyError when it is not held."""
        if not self.holds(block):
            raise KeyError(f"{block} is not held; only a block that was given can be given back")
        del self._held[block.base]
        base, length = block.base, block.prefix_length
        root_length = self._roots[bisect_right(self._root_bases, base) - 1][1]
        self.free_addresses += block.size
        while length > root_length:
            size = 1 << (self._bits - length)
            bases = self._free[length]
            index = bisect_left(bases, base ^ size)
            if index == len(bases) or bases[index] != base ^ size:
                break
            del bases[index]
            if not bases:
                self._filled &= ~(1 << length)
            base &= ~size
            length -= 1
        insort(self._free[length], base)
        self._filled |= 1 << length

    def _choose(self, strategy: Strategy, fits: int, size: int) -> tuple[int, int, int]:
        """Return the list, the place in it, and the address to take within that block."""
        if strategy is Strategy.BEST_FIT:
            length = fits.bit_length() - 1
            return length, 0, self._free[length][0]
        start = -(-self._cursor // size) * size if strategy is Strategy.ROUND_ROBIN else 0
        found = self._lowest_from(start, fits) or self._lowest_from(0, fits)
        assert found is not None  # ``fits`` names lists that hold something
        return found

    def _lowest_from(self, start: int, fits: int) -> tuple[int, int, int] | None:
        """Find the lowest address at or after ``start`` in any list of ``fits``, in the midst of a block too."""
        best: tuple[int, int, int] | None = None
        while fits:
            length = (fits & -fits).bit_length() - 1
            fits &= fits - 1
            bases = self._free[length]
            index = bisect_left(bases, start)
            if index and bases[index - 1] + (1 << (self._bits - length)) > start:
                return length, index - 1, start
            if index < len(bases) and (best is None or bases[index] < best[2]):
                best = length, index, bases[index]
        return best

    def _put(self, base: int, length: int) -> None:
        insort(self._free[length], base)
        self._filled |= 1 << length
        self.free_addresses += 1 << (self._bits - length)

    def _pop(self, length: int, index: int) -> int:
        bases = self._free[length]
        base = bases.pop(index)
        if not bases:
            self._filled &= ~(1 << length)
        self.free_addresses -= 1 << (self._bits - length)
        return base

    def _split(self, base: int, length: int, wanted: int, wanted_length: int) -> None:
        """Halve a popped block until the wanted one is left; every other half becomes free."""
        while length < wanted_length:
            length += 1
            upper = base + (1 << (self._bits - length))
            if wanted >= upper:
                self._put(base, length)
                base = upper
            else:
                self._put(upper, length)

    def _cut_out(self, base: int, length: int) -> bool:
        for found in range(length, -1, -1):
            start = base & -(1 << (self._bits - found))
            bases = self._free[found]
            index = bisect_left(bases, start)
            if index < len(bases) and bases[index] == start:
                self._split(self._pop(found, index), found, base, length)
                return True
        return False
