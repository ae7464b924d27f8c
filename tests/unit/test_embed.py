"""The embedding API: all or nothing, every fault at once."""

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from tests.fakes.xds_client import assignment, cluster
from xds_server import ResourceCache, XdsServer
from xds_server.domain.resource import CDS, EDS
from xds_server.embed import InvalidResource, Limits


def test_every_fault_is_told_and_nothing_is_done() -> None:
    """A call with faults changes nothing and lists them all."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a")])
    before = cache.revision
    bad = cluster("b")
    bad.connect_timeout.seconds = -1
    with pytest.raises(InvalidResource) as failure:
        cache.update("g", [bad, cluster(""), assignment("x"), assignment("x"), Limits()], [])
    text = str(failure.value)
    assert len(failure.value.faults) >= 4
    for words in ("connect_timeout", "name", "twice", "no protobuf message"):
        assert words in text
    with pytest.raises(InvalidResource, match="no type"):
        cache.update("g", remove=[("cluster", "a")])
    assert cache.revision == before
    assert isinstance(failure.value, ValueError)


def test_validation_can_be_skipped() -> None:
    """`validate=False` takes what Envoy would reject."""
    cache = ResourceCache()
    bad = cluster("b")
    bad.connect_timeout.seconds = -1
    assert cache.replace("g", [bad], validate=False) == 1


def test_a_wrapper_gives_version_and_time_to_live() -> None:
    """A message wrapped in discovery.v3.Resource brings its own version and ttl."""
    wrapper = discovery_pb2.Resource(version="mine", name="a")
    wrapper.ttl.seconds = 7
    wrapper.resource.Pack(assignment("a"))
    cache = ResourceCache()
    cache.replace("g", [wrapper, assignment("b")])
    shelf = cache.groups.picture("g").shelf(EDS)
    found = shelf.get("a")
    assert found is not None
    assert (found.version, found.ttl_s) == ("mine", 7.0)


def test_dangling_references() -> None:
    """References that nothing answers are allowed and shown."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a"), cluster("b"), assignment("b")])
    assert cache.dangling("g") == [(EDS.url, "a")]
    cache.update("g", remove=[(CDS.url, "a")])
    assert cache.dangling("g") == []


def test_limits_must_make_sense() -> None:
    """A negative limit is refused by name."""
    with pytest.raises(ValueError, match="debounce_s"):
        Limits(debounce_s=-1)


@pytest.mark.parametrize("name", ["q\nx", "x" * 2000, "tab\there"])
def test_names_that_nobody_could_ask_for_are_refused(name: str) -> None:
    """A resource's name follows the rule of names in requests, so that whatever is set can be subscribed to."""
    with pytest.raises(InvalidResource, match="no client could ask for this name"):
        ResourceCache().replace("g", [cluster(name)])


async def test_the_blocks_own_error_arrives_as_it_is() -> None:
    """A host program catches its own exceptions around `async with XdsServer(...)`, not groups of them."""
    with pytest.raises(KeyError, match="mine"):
        async with XdsServer(ResourceCache(), listen="127.0.0.1:0", group_of=lambda _: "g"):
            raise KeyError("mine")
