"""Docket: what the workers found out about versions of resources, joined into one truth.

A quarantine per group and type, whose accusers and triers are workers instead of sessions. Unknown < suspect < guilty
< accepted: a version only ever moves to the right, so that the order in which workers speak does not matter; only who
may try a suspect is exclusive. Knows the cache and workers by number. Does not know processes or sockets.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from xds_server import metrics
from xds_server.domain.resource import TYPES, Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.workers.mirror import packed, unpacked
from xds_server.state.cache import GroupCache, Picture, TypeShelf
from xds_server.xds.quarantine import Quarantine


class Case:
    """One type of one group."""

    def __init__(self, group: str, shelf: TypeShelf) -> None:
        self.group = group
        self.shelf = shelf
        self.quarantine = Quarantine(shelf)

    def accept(self, name: str, version: str, resource: Resource | None) -> bool:
        """A node accepted a version (``resource``: itself, unless the shelf holds it); return whether that is news."""
        current = self.shelf.get(name)
        accepted = current if current is not None and current.version == version else resource
        if accepted is None or (self.quarantine.proven(accepted) and self.quarantine.verdict(accepted) is None):
            return False
        self.quarantine.acquit((accepted,))
        return self.quarantine.proven(accepted)

    def doubt(self, worker: int, said: pb.Verdict) -> bool:
        """A node of a worker rejected a version, or left; return whether that is news. Of old versions nothing is."""
        current = self.shelf.get(said.name)
        if current is None or current.version != said.version or self.quarantine.proven(current):
            return False
        known = self.quarantine.verdict(current)
        if known is not None and known.opinions > said.opinions:  # it speaks of the round before
            return False
        if said.state == pb.Verdict.WITHDRAWN:
            if known is not None:
                known.accusers.discard(worker)
                known.trier = None if known.trier == worker else known.trier
            return known is not None and not known.guilty
        guilty = said.state == pb.Verdict.GUILTY
        if known is not None and (known.guilty or (worker in known.accusers and not guilty)):
            return False
        self.quarantine.accuse(current, said.words, worker, guilty=guilty, now=said.at)
        return True

    def grant(self, name: str, present: Callable[[str], Iterable[int]]) -> bool:
        """Let one worker try a suspect that nobody may: who accused it, else who has streams; return whether it may."""
        current = self.shelf.get(name)
        verdict = self.quarantine.verdict(current) if current is not None else None
        if current is None or verdict is None or verdict.guilty or verdict.trier is not None:
            return False
        return any(
            self.quarantine.may_try(current, worker) for worker in sorted(verdict.accusers) or present(self.group)
        )

    def told(self, name: str, worker: int) -> Iterator[pb.Verdict]:
        """Yield what a worker is to know of a name: its last good version, unless that is current, and what stands."""
        current, good = self.shelf.get(name), self.quarantine.good.get(name)
        verdict = self.quarantine.verdict(current) if current is not None else None
        if good is not None:
            known = current is not None and current.version == good.version
            accepted = pb.Verdict(name=name, version=good.version, state=pb.Verdict.ACCEPTED)
            if not known:
                accepted.resource.CopyFrom(packed(good))
            yield accepted
        if verdict is not None:
            yield pb.Verdict(
                name=name,
                version=verdict.version,
                state=pb.Verdict.GUILTY if verdict.guilty else pb.Verdict.SUSPECT,
                words=verdict.words,
                at=verdict.at,
                opinions=verdict.opinions,
                yours=verdict.trier == worker,
            )

    def all_told(self, names: Iterable[str], worker: int) -> pb.Verdicts:
        """Return what a worker is to know of these names."""
        verdicts = [verdict for name in names for verdict in self.told(name, worker)]
        return pb.Verdicts(group=self.group, type_url=self.shelf.type.url, verdicts=verdicts)


@dataclass(slots=True)
class _Group:
    picture: Picture  # held, so that its shelves stay the ones that streams see
    cases: dict[str, Case] = field(default_factory=dict)


News = list[tuple[Case, list[str]]]
"""The names of which something changed, by case."""


class Docket:
    """Every case. ``present``: the workers with streams of a group."""

    def __init__(self, cache: GroupCache, present: Callable[[str], Iterable[int]]) -> None:
        self._cache = cache
        self._present = present
        self._groups: dict[str, _Group] = {}

    def hear(self, worker: int, heard: pb.Verdicts) -> News:
        """Take what a worker found out."""
        case = self._case(heard.group, heard.type_url)
        news = [said.name for said in heard.verdicts if self._take(case, worker, said)]
        for name in news:
            case.grant(name, self._present)
        return [(case, news)] if news else []

    @staticmethod
    def _take(case: Case, worker: int, said: pb.Verdict) -> bool:
        if said.state != pb.Verdict.ACCEPTED:
            return case.doubt(worker, said)
        resource = unpacked(said.resource) if said.HasField("resource") else None
        return case.accept(said.name, said.version, resource)

    def leave(self, worker: int) -> None:
        """A worker is gone: what it was trying may be tried by another."""
        for case in self.cases():
            case.quarantine.leave(worker)

    def look(self, now: float, opinion_s: float) -> News:
        """Grant what nobody may try, ask for second opinions that are due, forget groups that nobody knows."""
        for name, group in list(self._groups.items()):
            if not group.picture.ready and not list(self._present(name)):
                del self._groups[name]
        news: News = []
        for case in self.cases():
            if opinion_s and case.quarantine.bad:
                case.quarantine.ask_others(now, opinion_s)
            granted = [name for name in case.quarantine.suspects() if case.grant(name, self._present)]
            news += [(case, granted)] if granted else []
        return news

    def cases(self) -> Iterator[Case]:
        """Yield every case."""
        for group in self._groups.values():
            yield from group.cases.values()

    def count(self) -> None:
        """Tell how many versions are held back, by type."""
        held = dict.fromkeys((kind.short for kind in TYPES.values()), 0)
        for case in self.cases():
            held[case.shelf.type.short] += case.quarantine.held_back()
        for short, number in held.items():
            metrics.QUARANTINED.labels(short).set(number)

    def _case(self, group: str, type_url: str) -> Case:
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = _Group(self._cache.picture(group))
        case = found.cases.get(type_url)
        if case is None:
            case = found.cases[type_url] = Case(group, found.picture.shelf(TYPES[type_url]))
        return case
