"""News: what a worker's quarantines found out, for the parent; and what the parent knows, for them.

Knows verdicts and their messages. Does not know the wire.
"""

from collections.abc import Iterator

from xds_server.domain.resource import Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.groups import TypeWatch
from xds_server.servers.workers.mirror import packed, unpacked
from xds_server.xds.quarantine import News, Quarantine, Verdict


def found_out(group: str, watch: TypeWatch) -> pb.Verdicts | None:
    """Return what the parent was not told yet, None if nothing."""
    news = watch.quarantine.news
    if news is None or not (news.accepted or news.doubted):
        return None
    watch.quarantine.news = News()
    verdicts = [*_accepted(watch, news), *_doubted(watch, news)]
    return pb.Verdicts(group=group, type_url=watch.shelf.type.url, verdicts=verdicts)


def _accepted(watch: TypeWatch, news: News) -> Iterator[pb.Verdict]:
    for name in sorted(news.accepted):
        good, current = watch.quarantine.good.get(name), watch.shelf.get(name)
        if good is not None:
            old = None if current is not None and current.version == good.version else packed(good)
            yield pb.Verdict(name=name, version=good.version, state=pb.Verdict.ACCEPTED, resource=old)


def _doubted(watch: TypeWatch, news: News) -> Iterator[pb.Verdict]:
    for name in sorted(news.doubted):
        verdict = watch.quarantine.bad.get(name)
        if verdict is not None:
            yield pb.Verdict(
                name=name,
                version=verdict.version,
                state=_state(verdict),
                words=verdict.words,
                at=verdict.at,
                opinions=verdict.opinions,
            )


def _state(verdict: Verdict) -> pb.Verdict.State:
    if verdict.guilty:
        return pb.Verdict.GUILTY
    return pb.Verdict.SUSPECT if verdict.accusers else pb.Verdict.WITHDRAWN


def learn(watch: TypeWatch, heard: pb.Verdicts) -> None:
    """Take what the parent knows; none of it is news. Of what the shelf does not hold, only what was accepted."""
    quarantine = watch.quarantine
    news, quarantine.news = quarantine.news, None
    for said in heard.verdicts:
        current = watch.shelf.get(said.name)
        held = current if current is not None and current.version == said.version else None
        if said.state == pb.Verdict.ACCEPTED:
            _accept(quarantine, held or (unpacked(said.resource) if said.HasField("resource") else None))
        elif held is not None:
            guilty = said.state == pb.Verdict.GUILTY
            verdict = Verdict(said.version, said.words, said.at, guilty, opinions=said.opinions)
            quarantine.told(held, verdict, ours=said.yours)
    quarantine.news = news
    watch.tell_verdicts()


def _accept(quarantine: Quarantine, resource: Resource | None) -> None:
    if resource is not None:
        quarantine.acquit((resource,))
