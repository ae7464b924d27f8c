"""Ordering: what may go out now on one stream, and what it waits for."""

from tests.fakes.xds_world import Group, made
from xds_server.domain.resource import CDS, EDS, LDS, RDS, ResourceType
from xds_server.xds.ordering import addition_waits, offered, removal_waits, sorted_by_rank, what_it_holds
from xds_server.xds.subscription import NEVER, Flight, Subscription


class Client:
    """One stream of a group that is in step with everything by wildcard."""

    def __init__(self, group: Group, *kinds: ResourceType) -> None:
        self.group = group
        self.subs: dict[str, Subscription] = {}
        for kind in kinds:
            sub = self.subs[kind.url] = Subscription(group.look(kind)[0], 0.0)
            sub.wish.say(frozenset())
            sub.due = sub.urgent = sub.fresh = False
            sub.last_push = 0.0

    def waits(self, kind: ResourceType, name: str) -> str:
        """What a listener or route must wait for."""
        sub = self.subs[kind.url]
        sub.look()
        offer = sub.shelf.get(name)
        assert offer is not None
        return addition_waits(self.subs, self.group.look, sub, name, offer)


def test_a_route_waits_for_the_cluster_it_names() -> None:
    """Sent and unanswered is not there yet; answered is; a cluster nobody serves is not waited for."""
    group = Group(made(CDS, "x"), made(RDS, "r", "1", "x"))
    client = Client(group, CDS, RDS)
    group.put(made(CDS, "y"), made(RDS, "r", "2", "y"))
    clusters = client.subs[CDS.url]
    clusters.look()
    assert client.waits(RDS, "r") == "y"
    clusters.debts = {}
    clusters.flights = [Flight("1", "v", (), {"y": None})]
    assert client.waits(RDS, "r") == "y"
    clusters.flights = []
    assert client.waits(RDS, "r") == ""
    group.put(made(RDS, "r", "3", "static"))
    assert client.waits(RDS, "r") == ""


def test_a_listener_waits_for_the_clusters_of_its_routes() -> None:
    """What a listener leads to counts as named by it."""
    group = Group(made(RDS, "r", "1", "y"))
    client = Client(group, CDS, LDS)
    group.put(made(CDS, "y"), made(LDS, "l", "1", "r"))
    client.subs[CDS.url].look()
    assert client.waits(LDS, "l") == "y"


def test_what_a_client_asks_for_by_name_is_never_held_back() -> None:
    """A name just asked for goes out though its cluster is on its way."""
    group = Group()
    client = Client(group, CDS, RDS)
    client.subs[RDS.url].wish.say(frozenset({"r"}))
    group.put(made(CDS, "y"), made(RDS, "r", "1", "y"))
    client.subs[CDS.url].look()
    assert client.waits(RDS, "r") == ""


def test_a_client_that_came_back_asks_for_clusters_last() -> None:
    """Before it was told anything, a changed route waits for the client to ask; after that, nobody waits for nobody."""
    group = Group(made(CDS, "y"), made(RDS, "r", "1", "y"))
    client = Client(group, RDS)
    sub = client.subs[RDS.url]
    group.put(made(RDS, "r", "2", "y"))
    sub.last_push = float("-inf")
    assert client.waits(RDS, "r") == "y"
    sub.last_push = 1.0
    assert client.waits(RDS, "r") == ""


def test_a_removal_waits_for_what_uses_it() -> None:
    """A cluster stays while a route that names it is held and not yet replaced, in debt or in flight."""
    old = made(RDS, "r", "1", "x")
    group = Group(made(CDS, "x"), old)
    client = Client(group, CDS, RDS)
    assert removal_waits(client.subs, CDS, "x") == ""
    client.subs[RDS.url].debts = {"r": old}
    assert removal_waits(client.subs, CDS, "x") == "RDS r"
    client.subs[RDS.url].debts = {}
    client.subs[RDS.url].flights = [Flight("1", "v", (), {"r": old})]
    assert removal_waits(client.subs, CDS, "x") == "RDS r"
    assert removal_waits(client.subs, CDS, "other") == ""


def test_what_a_client_brought_along_may_use_anything() -> None:
    """Of a held resource only the version may be known: then every removal waits for it."""
    client = Client(Group(), CDS, RDS)
    unknown = type(made(RDS, "r"))(RDS.url, "r", "1", b"")
    client.subs[RDS.url].debts = {"r": unknown}
    assert removal_waits(client.subs, CDS, "x") == "RDS r"
    assert not what_it_holds(unknown)
    assert not what_it_holds(NEVER)
    assert what_it_holds(made(RDS, "r"))


def test_the_last_good_stands_in_for_the_bad() -> None:
    """Offered is the current version, in its place the last good one, or nothing that this client refused itself."""
    good, bad = made(EDS, "a"), made(EDS, "a", "2")
    group = Group(bad)
    shelf, quarantine = group.look(EDS)
    sub = Subscription(shelf, 0.0)
    assert offered(sub, quarantine, "a") is bad
    quarantine.accuse(bad, "no", 1, guilty=True, now=0.0)
    assert offered(sub, quarantine, "a") is None
    quarantine.good["a"] = good
    assert offered(sub, quarantine, "a") is good
    assert offered(sub, quarantine, "a", trial="a") is bad
    sub.refused = {"a": ("1",)}
    assert offered(sub, quarantine, "a") is None
    assert offered(sub, quarantine, "none") is None


def test_types_go_out_in_make_before_break_order() -> None:
    """Clusters, endpoints, listeners, routes, in whatever order they were asked for."""
    client = Client(Group(), RDS, LDS, EDS, CDS)
    assert [sub.type.short for sub in sorted_by_rank(client.subs)] == ["CDS", "EDS", "LDS", "RDS"]
