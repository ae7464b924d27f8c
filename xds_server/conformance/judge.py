"""Judge: decides, response by response, whether a client was told what it should be, exactly, in its dialect.

Knows what each dialect and type lets a server say beside the news. Does not know where responses come from.
"""

from collections.abc import Mapping

from xds_server.conformance.books import Book, Heard, Violation
from xds_server.conformance.content import Thing


class Judge:
    """One expectation; each of the three verdicts says whether it is met now. ``world``: what there is of the type."""

    def __init__(self, book: Book, world: Mapping[str, Thing], wanted: Mapping[str, Thing], gone: set[str]) -> None:
        self._book, self._world, self._wanted, self._gone = book, world, wanted, gone
        self._came: dict[str, Thing] = {}
        self._removed: set[str] = set()

    def missing(self) -> str:
        """Return what has not come."""
        things = [str(t) for n, t in self._wanted.items() if n not in self._came or self._came[n].content != t.content]
        return " ".join([*things, *(f"-{name}" for name in sorted(self._gone - self._removed))])

    def _note(self, heard: Heard) -> None:
        self._came |= heard.things
        self._removed |= heard.gone

    def delta(self, heard: Heard) -> bool:
        """Only what changed or was asked for; removals by name."""
        self._note(heard)
        stray = [str(t) for n, t in heard.things.items() if n not in self._wanted]
        stray += [f"-{name}" for name in heard.gone - self._gone if self._book.wants(name)]
        if stray:
            raise Violation(f"{' '.join(stray)} came though nobody asked for it and it did not change")
        return not self.missing()

    def named(self, heard: Heard) -> bool:
        """What changed or was asked for; beside it only what is wanted, as it is now."""
        self._note(heard)
        for name, thing in heard.things.items():
            if name not in self._wanted and self._world.get(name) != thing:
                raise Violation(f"{thing} came; it is not so any more")
        return all(n in self._came and self._came[n].content == t.content for n, t in self._wanted.items())

    def complete(self, heard: Heard) -> bool:
        """Everything that is wanted and exists, in each response: absence is removal."""
        self._came, held = heard.things, self._book.held
        lost = [n for n in held if n in self._world and self._book.wants(n) and n not in heard.things]
        if lost:
            raise Violation(f"{' '.join(sorted(lost))} is absent from a complete response, which removes it")
        never = [str(t) for n, t in heard.things.items() if n not in self._world and n not in held]
        if never:
            raise Violation(f"{' '.join(never)} came; there is no such resource any more")
        self._removed = self._gone - set(heard.things)
        return not self.missing()
