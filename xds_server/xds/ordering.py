"""Ordering: make before break on one stream ("Eventual consistency considerations"; docs/architecture.md, law 3).

A listener or route that changes waits for the clusters it names; a removal waits for whatever used it. What a client
asks for by name, and what a client gets that came with nothing, is never held back. Knows what was sent and answered
on this stream; decides nothing about content.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from xds_server.domain.resource import CDS, ECDS, EDS, LDS, RDS, SDS, SRDS, VHDS, Resource, ResourceType, Shelf
from xds_server.xds.quarantine import Quarantine
from xds_server.xds.subscription import NEVER, Held, Subscription, same

Subscriptions = Mapping[str, Subscription]
Look = Callable[[ResourceType], tuple[Shelf, Quarantine]]
"""How to see a type's shelf and quarantine, subscribed or not."""

_WAITS_FOR_CLUSTERS: Final = frozenset({LDS.url, RDS.url})
_USERS: Final[Mapping[str, tuple[ResourceType, ...]]] = {
    CDS.url: (LDS, RDS, ECDS, VHDS),
    EDS.url: (CDS,),
    RDS.url: (LDS, SRDS),
    SDS.url: (LDS, CDS),
    ECDS.url: (LDS,),
}
"""Type -> the types whose resources name it."""
NAME_OTHERS: Final = frozenset(user.url for users in _USERS.values() for user in users)
"""Types whose resources name others: what a client holds of these decides what must wait."""


def offered(sub: Subscription, quarantine: Quarantine, name: str, trial: str | None = None) -> Resource | None:
    """Return what this stream should hold of that name: the current resource, or the last good one in its place.

    None when there is none: the resource is no more, or its version was rejected and nothing older is known to be good.
    """
    current = sub.shelf.get(name)
    if current is None or name == trial:
        return current
    best: Resource | None = current
    if quarantine.bad and quarantine.verdict(current) is not None:
        best = quarantine.good.get(name)
    if best is not None and sub.refused and best.version in sub.refused.get(name, ()):
        return None
    return best


def addition_waits(subs: Subscriptions, look: Look, sub: Subscription, name: str, offer: Resource) -> str:
    """Return the cluster that a listener or route of that name must wait for, or an empty text."""
    if sub.type.url not in _WAITS_FOR_CLUSTERS or not offer.references:
        return ""
    held = sub.debts.get(name)
    if held is NEVER and (sub.fresh or name in sub.wish.names):
        return ""
    if held is None and name in sub.wish.names:
        return ""
    shelf, quarantine = look(CDS)
    clusters = subs.get(CDS.url)
    if clusters is None:  # a client that comes back may ask for its clusters last, as Envoy does in delta
        return next((c for c in _clusters_of(offer, look) if shelf.get(c) is not None), "") if sub.came_back else ""
    if not clusters.wish.wildcard or not clusters.shelf.ready:
        return ""
    return next((c for c in _clusters_of(offer, look) if not _in_place(clusters, quarantine, c)), "")


def _clusters_of(offer: Resource, look: Look) -> Iterator[str]:
    """Yield the clusters that a listener or route names, those of a listener's routes included."""
    for url, name in offer.references:
        if url == CDS.url:
            yield name
        elif url == RDS.url:
            route = look(RDS)[0].get(name)
            for inner_url, inner in route.references if route is not None else ():
                if inner_url == CDS.url:
                    yield inner


def _in_place(clusters: Subscription, quarantine: Quarantine, name: str) -> bool:
    """Return whether the client has answered for this cluster, or has the best of it that it may have."""
    if clusters.shelf.get(name) is None:
        return True  # nobody can wait for what is not there: it may stand in the client's bootstrap
    if clusters.in_flight(name):
        return False
    if name not in clusters.debts:
        return True
    held, offer = clusters.debts[name], offered(clusters, quarantine, name)
    if offer is None:
        return held is not None and held is not NEVER
    return same(held, offer)


def removal_waits(subs: Subscriptions, kind: ResourceType, name: str) -> str:
    """Return what still uses a resource that is to be removed, on this stream, or an empty text."""
    pair = (kind.url, name)
    for user in _USERS.get(kind.url, ()):
        users = subs.get(user.url)
        for held in users.unsettled() if users is not None else ():
            # Of what a client brought along only the version is known: it may use anything.
            if pair in held.references or (held is not NEVER and not held.body):
                return f"{user.short} {held.name}"
    return ""


def sorted_by_rank(subs: Subscriptions) -> list[Subscription]:
    """Return the subscriptions in the order in which their pushes go out."""
    return sorted(subs.values(), key=_rank)


def _rank(sub: Subscription) -> int:
    return sub.type.rank


def what_it_holds(held: Held) -> bool:
    """Return whether a full response can carry what the client holds, because its bytes are known."""
    return held is not None and held is not NEVER and bool(held.body)
