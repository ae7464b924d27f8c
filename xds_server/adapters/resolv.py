"""Resolv: the name servers of each subnet, as a file that what runs behind the subnet can use as its resolv.conf.

Knows a directory. Does not know who reads the files.
"""

from collections.abc import Callable
from pathlib import Path

from xds_server.domain.kernel import Fact, Part
from xds_server.ports import KernelParts, Unavailable

_SUFFIX = ".resolv.conf"


class ResolvFiles:
    """``DIRECTORY/<subnet id>.resolv.conf``, one ``nameserver`` a line."""

    parts = frozenset({Part.RESOLV})

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def observe(self) -> list[Fact]:
        """Return every file of ours."""
        return [_fact(path) for path in sorted(self._directory.glob(f"*{_SUFFIX}"))]

    async def make(self, fact: Fact) -> None:
        """Write a file, whole or not at all. Raises Unavailable with the system's words."""
        path = self._path(fact)
        draft = path.with_suffix(".draft")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            draft.write_text("".join(f"nameserver {server}\n" for server in fact.value), encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise Unavailable("refused", f"{path}: {error.strerror}") from error

    async def remove(self, fact: Fact) -> None:
        """Remove a file; one that is gone is fine. Raises Unavailable with the system's words."""
        try:
            self._path(fact).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable("refused", f"{self._path(fact)}: {error.strerror}") from error

    def _path(self, fact: Fact) -> Path:
        return self._directory / f"{fact.key[0]}{_SUFFIX}"


def _fact(path: Path) -> Fact:
    subnet = path.name.removesuffix(_SUFFIX)
    servers = tuple(line.removeprefix("nameserver ") for line in path.read_text(encoding="utf-8").splitlines())
    return Fact(Part.RESOLV, (subnet,), servers, subnet)


_fits: Callable[[Path], KernelParts] = ResolvFiles
