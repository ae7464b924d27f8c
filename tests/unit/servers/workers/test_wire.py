"""Frames between processes: bytes, and a copy of the cache made of them."""

import socket

from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.resource import CDS, EDS, Resource
from xds_server.pb.workers.v1 import frames_pb2 as pb
from xds_server.servers.workers.mirror import change, packed, replay, unpacked, whole
from xds_server.servers.workers.wire import Wire
from xds_server.state.cache import GroupCache

_resources = st.builds(
    Resource,
    st.sampled_from([CDS.url, EDS.url]),
    st.sampled_from(["a", "b", "c"]),
    st.text(max_size=3),
    st.binary(max_size=9),
    st.lists(st.tuples(st.just(EDS.url), st.text(max_size=3)), max_size=2).map(tuple),
    st.none() | st.floats(0, 9),
)


async def test_frames_come_as_they_went() -> None:
    """Large and small frames arrive in order; the end of the other side is an end, also in the middle of a frame."""
    ours, theirs = socket.socketpair()
    here, there = await Wire.on(ours), await Wire.on(theirs)
    large = pb.Load(node="n", request=b"x" * 300_000)
    here.send(left=7)
    here.send(load=large)
    assert (await there.read()).left == 7
    assert (await there.read()).load == large
    here.pass_on(b"\x09\x00\x00\x00half")
    await here.flush()
    here.close()
    assert await there.read() is None
    here.send(left=8)
    there.close()


@given(_resources)
def test_a_resource_stays_what_it_is(resource: Resource) -> None:
    """Every field survives, a missing time to live included."""
    assert unpacked(packed(resource)) == resource


@given(st.lists(st.tuples(st.lists(_resources, max_size=4), st.none() | st.just("mine")), min_size=1, max_size=5))
def test_a_copy_has_equal_versions(steps: list[tuple[list[Resource], str | None]]) -> None:
    """Whether a copy followed every change or was made of the whole, its shelves are those of the cache."""
    cache, following, late = GroupCache(), GroupCache(), GroupCache()

    class Follower:
        def changed(self, group, shelves, version):
            replay(following, pb.Update.FromString(change(1, group, shelves, version).SerializeToString()))

        def dropped(self, group):
            following.drop(group)

    cache.followers.append(Follower())
    for resources, version in steps:
        cache.replace("g", resources, version=version)
    for update in whole(1, cache.picture("g")):
        replay(late, update)
    for kind in (CDS, EDS):
        one, *others = (c.picture("g").shelf(kind) for c in (cache, following, late))
        for other in others:
            assert set(other.all()) == set(one.all())
            assert other.ready
            if one.all():
                assert other.version == one.version
