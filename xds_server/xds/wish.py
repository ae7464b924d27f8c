"""Wish: which names of one type a stream wants, explicitly and by wildcard, and every way that can change.

The rules are those of the xDS protocol page, "How the client specifies what resources to return" and "Unsubscribing
From Resources". Knows names only: not whether they exist, nor what was sent.
"""

from collections.abc import Mapping
from typing import Final

from xds_server.xds.messages import NO_NAMES, UNCHANGED, Shift

WILDCARD: Final = "*"


class Wish:
    """What is wanted of one type.

    ``changes``: how often it changed. ``wildcard``: everything of the group. ``names``: asked for by name, ``*`` never
    among them; shared with other streams while it is a frozenset. ``_legacy``: no name was ever given, so that an empty
    list still means everything.
    """

    __slots__ = ("_legacy", "_said", "changes", "names", "wildcard")

    def __init__(self) -> None:
        self.names: frozenset[str] | set[str] = NO_NAMES
        self.wildcard = False
        self._legacy = True
        self.changes = 0
        self._said: frozenset[str] | None = None  # SotW: the last list as it came

    def wants(self, name: str) -> bool:
        """Return whether a resource of that name belongs to the wish."""
        return self.wildcard or name in self.names

    def wants_all(self, names: Mapping[str, object]) -> bool:
        """Return whether the resources of all these names belong to the wish."""
        return self.wildcard or self.names.issuperset(names)

    @property
    def empty(self) -> bool:
        """Return whether nothing is wanted at all."""
        return not (self.wildcard or self.names)

    def say(self, said: frozenset[str]) -> Shift:
        """SotW: replace the whole wish."""
        if said is self._said or said == self._said:
            return UNCHANGED
        self._said = said
        self.changes += 1
        self._legacy = self._legacy and not said
        wildcard = self._legacy or WILDCARD in said
        names = said - {WILDCARD} if WILDCARD in said else said
        old_names, old_wildcard = self.names, self.wildcard
        self.names, self.wildcard = names, wildcard
        return Shift(
            asked=names - old_names if old_names else names,
            everything=wildcard and not old_wildcard,
            narrowed=(old_wildcard and not wildcard) or not old_names <= names,
        )

    def adjust(self, subscribe: frozenset[str], unsubscribe: frozenset[str], *, first: bool) -> Shift:
        """Delta: change the wish. ``first``: the first request of the type on this stream.

        A name asked for again is asked for again: the client may have forgotten what it held. A name given up while
        the wildcard stays must be answered too, because the client cannot know whether the wildcard covers it.
        """
        if not (subscribe or unsubscribe or first):
            return UNCHANGED
        self.changes += 1
        if not (subscribe or unsubscribe):
            self.wildcard = True
            return Shift(everything=True)
        given_up = {name for name in unsubscribe if name in self.names and name not in subscribe}
        narrowed = bool(given_up)
        if WILDCARD in unsubscribe and WILDCARD not in subscribe and self.wildcard:
            self.wildcard, narrowed = False, True
        everything = WILDCARD in subscribe
        self.wildcard = self.wildcard or everything
        asked = subscribe - {WILDCARD} if everything else subscribe
        self._rename(asked, given_up)
        return Shift(asked=asked | given_up if self.wildcard else asked, everything=everything, narrowed=narrowed)

    def _rename(self, asked: frozenset[str], given_up: set[str]) -> None:
        if not self.names:
            self.names = asked
        elif given_up or not asked <= self.names:
            own = self.names if isinstance(self.names, set) else set(self.names)
            own -= given_up
            own |= asked
            self.names = own
