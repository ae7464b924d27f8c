"""Reason: the small tree of "because" that every derived fact carries and ``xdsctl explain`` prints.

Knows words and numbers with units. Does not know how to print itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of an explanation.

    ``what`` names the fact ("weight", "capacity"), ``value`` its number if it has one, ``unit`` the number's unit,
    ``why`` the rule in a few words, ``because`` what it rests on.
    """

    what: str
    value: float | None = None
    unit: str = ""
    why: str = ""
    because: "tuple[Reason, ...]" = ()

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, Reason]]":
        """Yield every step with its depth, parents first."""
        yield depth, self
        for reason in self.because:
            yield from reason.walk(depth + 1)

    def lines(self) -> "list[str]":
        """Return every step in words, parents first."""
        return [
            " ".join(filter(None, (r.what, "" if r.value is None else f"{r.value:g} {r.unit}".strip(), r.why)))
            for _, r in self.walk()
        ]

    def find(self, what: str) -> "Reason | None":
        """Return the first step that is called ``what``."""
        return next((reason for _, reason in self.walk() if reason.what == what), None)
