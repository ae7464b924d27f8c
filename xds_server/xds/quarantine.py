"""Quarantine: what the nodes of one group learned about each version of each resource of one type.

A version that a node rejected before any node accepted it goes to nobody else; new joiners get the last good one. An
acceptance by anybody, before or after, lifts it: then the rejection concerns one node alone. Newer content lifts it;
the same bytes set again do not (docs/surface.md, Quarantine). Where no good one is known, others may be asked for a
second opinion (docs/decisions/0007-one-accuser.md). Shared by all sessions of the group; knows no session.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from xds_server.domain.resource import Resource, Shelf

ELSEWHERE: Final = -1
"""The trier of a suspect that only sessions of another process may try."""


@dataclass(slots=True)
class Verdict:
    """Why a version is held back. ``guilty``: it was alone to blame; otherwise one of several suspects.

    ``accusers``: sessions that rejected it and may try it once more alone; ``trier``: the one that is doing so.
    ``opinions``: how often somebody else was asked after it was convicted.
    """

    version: str
    words: str
    at: float
    guilty: bool
    accusers: set[int] = field(default_factory=set)
    trier: int | None = None
    opinions: int = 0


@dataclass(slots=True)
class News:
    """Names since somebody looked: ``accepted``, with a good version it did not have; ``doubted``, with a verdict."""

    accepted: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)


class Quarantine:
    """``good``: the last accepted resource of each name. ``bad``: verdicts. ``revision`` grows when a view changes.

    ``news``: what others are to be told who hold a quarantine of the same shelf; None: there are no others. With
    others, a suspect is tried only once they have let us (``told``).
    """

    __slots__ = ("_last_acquitted", "_shelf", "bad", "good", "news", "revision")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.good: dict[str, Resource] = {}
        self.bad: dict[str, Verdict] = {}
        self.revision = 0
        self.news: News | None = None
        self._last_acquitted: tuple[Resource, ...] | None = None

    def verdict(self, resource: Resource) -> Verdict | None:
        """Return why this version is held back, or None."""
        found = self.bad.get(resource.name)
        return found if found is not None and found.version == resource.version else None

    def proven(self, resource: Resource) -> bool:
        """Return whether some node of the group accepted this version."""
        good = self.good.get(resource.name)
        return good is not None and good.version == resource.version

    def acquit(self, resources: tuple[Resource, ...]) -> None:
        """A node accepted these."""
        if resources is self._last_acquitted and not self.bad:
            return
        for resource in resources:
            if self.verdict(resource) is not None:
                del self.bad[resource.name]
                self.revision += 1
            current = self._shelf.get(resource.name)
            good = self.good.get(resource.name)
            if resource is not good and (resource is current or good is not current):
                self.good[resource.name] = resource
                if self.news is not None:
                    self.news.accepted.add(resource.name)
        self._last_acquitted = resources
        self._forget_the_removed()

    def claimed(self, claims: Mapping[str, str]) -> None:
        """A delta client came back holding these (name -> version): it accepts what it has before it tells so."""
        held = [r for name, version in claims.items() if (r := self._shelf.get(name)) and r.version == version]
        unknown = tuple(resource for resource in held if not self.proven(resource))
        if unknown:
            self.acquit(unknown)

    def accuse(self, resource: Resource, words: str, accuser: int, *, guilty: bool, now: float) -> None:
        """A node rejected this version, which nobody has accepted."""
        verdict = self.verdict(resource)
        if verdict is None:
            trier = None if self.news is None else ELSEWHERE
            verdict = self.bad[resource.name] = Verdict(resource.version, words, now, guilty, trier=trier)
        verdict.accusers.add(accuser)
        if guilty:
            verdict.guilty, verdict.words, verdict.trier = True, words, None
        self._doubted(resource.name)

    def told(self, resource: Resource, heard: Verdict, *, ours: bool) -> None:
        """Others with a quarantine of this shelf hold back a version; ``ours``: our sessions may try it, if suspect.

        What is known here only ever gets worse, until the next round of opinions: order and repetition are harmless.
        """
        known = self.verdict(resource)
        if self.proven(resource) or (known is not None and known.opinions > heard.opinions):
            return
        if known is None or known.opinions < heard.opinions:
            known = self.bad[resource.name] = Verdict(
                heard.version, heard.words, heard.at, heard.guilty, trier=ELSEWHERE, opinions=heard.opinions
            )
        if heard.guilty:
            known.guilty, known.words, known.trier = True, heard.words, None
        elif ours and known.trier == ELSEWHERE:
            known.trier = None
        elif not ours and known.trier is None:
            known.trier = ELSEWHERE
        self.revision += 1

    def _doubted(self, name: str) -> None:
        self.revision += 1
        if self.news is not None:
            self.news.doubted.add(name)

    def may_try(self, resource: Resource, session: int) -> bool:
        """Claim a suspect, to be sent alone to one node; False when it is not in doubt or somebody else tries it."""
        verdict = self.verdict(resource)
        if verdict is None or verdict.guilty or verdict.trier not in {None, session}:
            return False
        if verdict.accusers and session not in verdict.accusers:
            return False
        verdict.trier = session
        return True

    def ask_others(self, now: float, after_s: float) -> bool:
        """Let one node more try what was rejected ``after_s`` ago, if nothing older is known to be good.

        A trier that has not answered meanwhile is waited for no longer. Each time twice as long passes before the
        next, so that bad content reaches few. Returns whether there is any.
        """
        found = False
        for name, verdict in self.bad.items():
            current = self._shelf.get(name)
            if name in self.good or current is None or current.version != verdict.version:
                continue
            if now - verdict.at < after_s * 2**verdict.opinions:
                continue
            verdict.guilty, verdict.trier, verdict.at, found = False, None, now, True
            verdict.opinions += 1
            verdict.accusers.clear()
        self.revision += found
        return found

    def suspects(self) -> Iterable[str]:
        """Return the names in doubt."""
        return [name for name, verdict in self.bad.items() if not verdict.guilty]

    def leave(self, session: int) -> None:
        """A session ended: what it was trying may be tried by another."""
        for name, verdict in self.bad.items():
            accused = session in verdict.accusers
            verdict.accusers.discard(session)
            if verdict.trier == session:
                verdict.trier = None
                self._doubted(name)
            elif accused and self.news is not None:
                self.news.doubted.add(name)

    def held_back(self) -> int:
        """Return how many resources are held back now."""
        return sum(1 for name, v in self.bad.items() if (r := self._shelf.get(name)) and r.version == v.version)

    def _forget_the_removed(self) -> None:
        if len(self.good) + len(self.bad) <= 2 * len(self._shelf.all()) + 64:
            return
        there = set(self._shelf.names())
        self.good = {name: resource for name, resource in self.good.items() if name in there}
        self.bad = {name: verdict for name, verdict in self.bad.items() if name in there}
