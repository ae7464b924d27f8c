"""Subscription: what one stream wants of one type and what its client holds, in either dialect.

What is held is told by difference: the client holds what the shelf held at the last change this subscription saw,
except for its *debts*. So a subscription that is in step costs the same with ten names as with ten thousand, and a
change costs what changed. Knows no ordering, no clock, no other type.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from xds_server.domain.resource import Resource, Shelf
from xds_server.xds.messages import Shift
from xds_server.xds.wish import Wish

NEVER: Final = Resource("", "", "", b"")
"""What a client holds of a name it has just asked for: nobody knows, so that it must be told."""

MOST_FLIGHTS: Final = 8
"""Unanswered pushes that are remembered one by one."""

Held = Resource | None
"""What a client holds of a name: a resource (perhaps only its version is known), nothing (None), or NEVER."""


def same(held: Held, offer: Resource) -> bool:
    """Return whether a client that holds ``held`` needs not be sent ``offer``."""
    if held is None or held is NEVER:
        return False
    if held is offer or not held.body:  # of what a client brought along only the version is known
        return held.version == offer.version
    return (held.version, held.body, held.ttl_s) == (offer.version, offer.body, offer.ttl_s)


class Flight(NamedTuple):
    """A push that was not answered yet. ``before``: what the client held of each name it changes."""

    nonce: str
    version: str
    resources: tuple[Resource, ...]
    before: Mapping[str, Held]
    trial: str | None = None


class Subscription:
    """One type of one stream. Times are the session's; every field lives as long as the stream unless said otherwise.

    ``began``: when it was first asked for. ``seen``: the last change of the shelf folded in. ``debts``: name -> what
    the client holds, where that is not what the shelf held then; emptied by pushes. ``flights``: unanswered pushes,
    oldest first. ``due``: the first request waits for its answer. ``urgent``: a debt was asked for, so that it is not
    debounced; until the next push. ``fresh``: the client came with nothing of this type, until its first push.
    ``refused``: name -> versions that this client alone rejected, until it accepts one. ``trials``: suspects to be
    tried alone (name -> version).
    """

    __slots__ = (
        "acked_version", "began", "debts", "due", "error", "flights", "fresh", "heartbeat_at", "held_since",
        "last_push", "nonce", "refused", "seen", "sent_version", "shelf", "since", "trials", "type", "urgent",
        "waiting_for", "wish",
    )  # fmt: skip

    def __init__(self, shelf: Shelf, now: float) -> None:
        self.type = shelf.type
        self.shelf = shelf
        self.wish = Wish()
        self.seen = shelf.last
        self.debts: dict[str, Held] = {}
        self.flights: list[Flight] = []
        self.due = self.urgent = self.fresh = True
        self.last_push = self.heartbeat_at = float("-inf")
        self.held_since: float | None = None
        self.refused: dict[str, tuple[str, ...]] = {}
        self.trials: dict[str, str] = {}
        self.nonce = self.sent_version = self.acked_version = self.error = self.waiting_for = ""
        self.since = self.began = now

    @property
    def came_back(self) -> bool:
        """Return whether the client brought something of this type along and was told nothing yet."""
        return not self.fresh and self.last_push == float("-inf")

    def look(self) -> None:
        """Fold in what changed on the shelf.

        A SotW client that came back may hold anything until it was told: not what the shelf held before, and not
        nothing because the shelf was empty, or a listener that waits for its clusters would be left out and removed.
        """
        change, may_hold_anything = self.seen.next, self.due and not self.fresh
        while change is not None:
            for name, before in change.before.items():
                if name not in self.debts and self.wish.wants(name):
                    self.debts[name] = NEVER if may_hold_anything else before
            self.seen = change
            change = change.next

    def ask(self, shift: Shift, claims: Mapping[str, str]) -> None:
        """Take a changed wish. ``claims``: what a reconnecting client says it holds (name -> version)."""
        self.look()
        if shift.narrowed:
            self._forget_the_unwanted()
        if shift.everything:
            self.debts.update(dict.fromkeys(self.shelf.names(), NEVER))
        self.debts.update(dict.fromkeys(shift.asked, NEVER))
        for name, version in claims.items():
            if self.wish.wants(name):
                self._claim(name, version)
        self.urgent = self.urgent or shift.everything or bool(shift.asked)

    def _claim(self, name: str, version: str) -> None:
        current = self.shelf.get(name)
        if current is not None and current.version == version:
            self.debts.pop(name, None)
        else:
            self.debts[name] = Resource(self.type.url, name, version, b"")

    def _forget_the_unwanted(self) -> None:
        wants = self.wish.wants
        self.debts = {name: held for name, held in self.debts.items() if wants(name)}
        if not self.debts:
            self.waiting_for = ""
        self.refused = {name: versions for name, versions in self.refused.items() if wants(name)}
        self.trials = {name: version for name, version in self.trials.items() if wants(name)}
        self.forgive()

    def forgive(self) -> None:
        """Clear the error once nothing that was rejected is still wanted."""
        if not (self.refused or self.trials):
            self.error = ""

    def depart(self, flight: Flight) -> None:
        """Note a push that was sent; of many unanswered ones the oldest become one."""
        self.flights.append(flight)
        if len(self.flights) > MOST_FLIGHTS:
            oldest, second = self.flights.pop(0), self.flights[0]
            newer = {resource.name for resource in second.resources}
            resources = (*(r for r in oldest.resources if r.name not in newer), *second.resources)
            self.flights[0] = second._replace(resources=resources, before={**second.before, **oldest.before})

    def settle(self, nonce: str) -> list[Flight]:
        """Take out the flight of that nonce and every earlier one; none if the nonce is not awaited."""
        for index, flight in enumerate(self.flights):
            if flight.nonce == nonce:
                settled, self.flights = self.flights[: index + 1], self.flights[index + 1 :]
                return settled
        return []

    def unsettled(self) -> Iterator[Resource]:
        """Yield what the client holds, and perhaps still uses, of names that are to change."""
        for held in self.debts.values():
            if held is not None:
                yield held
        for flight in self.flights:
            for held in flight.before.values():
                if held is not None:
                    yield held

    def in_flight(self, name: str) -> bool:
        """Return whether an unanswered push changes that name."""
        return any(name in flight.before for flight in self.flights)

    def acked(self, name: str) -> Resource | None:
        """Return the resource of that name that the client is known to hold."""
        self.look()
        if not self.wish.wants(name) or self.in_flight(name):
            return None
        held = self.debts.get(name, self.shelf.get(name))
        return None if held is NEVER else held
