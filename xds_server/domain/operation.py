"""Operation: an operator's wish to change something, and what came of it.

Knows who, why and under which condition. Does not know what is changed nor how.
"""

from dataclasses import dataclass

from xds_server.domain.names import ServiceName


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants something changed, why, and under which condition. ``dry_run``: decide and tell, change nothing."""

    actor: str
    action: str
    reason: str = ""
    dry_run: bool = False
    expected_generation: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact before and after, as text; ``-``: it is not there."""

    fact: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did, or would do. No differences: it was already so, and nothing was written.

    No ``service``: not of one alone, and ``generation`` says nothing.
    """

    service: ServiceName | None
    revision: int
    generation: int
    differences: tuple[Difference, ...] = ()
