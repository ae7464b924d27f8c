"""Joined bytes are what the library would have written."""

from dataclasses import replace

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from xds_server.domain.resource import EDS, Resource
from xds_server.servers.frames import Framer
from xds_server.xds.messages import Push

PLAIN = Resource(EDS.url, "plain", "v1", b"x" * 200)
MORTAL = Resource(EDS.url, "mörtal", "v2", b"y" * 20_000, ttl_s=2.5)
PUSH = Push(EDS, "nonce", "version", (PLAIN, MORTAL), ("gone", "away"))


def wrapped(resource: Resource, *, body: bool = True) -> discovery_pb2.Resource:
    """Return a resource as delta has it."""
    made = discovery_pb2.Resource(name=resource.name, version=resource.version)
    if body:
        made.resource.CopyFrom(AnyMessage(type_url=resource.type_url, value=resource.body))
    if resource.ttl_s is not None:
        made.ttl.CopyFrom(Duration(seconds=2, nanos=500_000_000))
    return made


def test_delta() -> None:
    """A delta response parses to names, versions, bodies, times to live and removals."""
    expected = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info="version", type_url=EDS.url, nonce="nonce", removed_resources=["gone", "away"],
        resources=[wrapped(PLAIN), wrapped(MORTAL)],
    )  # fmt: skip
    assert discovery_pb2.DeltaDiscoveryResponse.FromString(Framer(delta=True).join(PUSH)) == expected


@pytest.mark.parametrize("understands_ttl", [False, True])
def test_sotw(understands_ttl: bool) -> None:
    """A SotW response holds bare messages, and wrapped ones only for clients that know a time to live."""
    bare = [AnyMessage(type_url=EDS.url, value=r.body) for r in (PLAIN, MORTAL)]
    if understands_ttl:
        bare[1] = AnyMessage()
        bare[1].Pack(wrapped(MORTAL))
    expected = discovery_pb2.DiscoveryResponse(version_info="version", type_url=EDS.url, nonce="nonce", resources=bare)
    framer = Framer(delta=False, understands_ttl=understands_ttl)
    for _ in range(2):  # the second time from what was kept
        assert discovery_pb2.DiscoveryResponse.FromString(framer.join(PUSH)) == expected


def test_another_push_is_not_taken_for_the_kept_one() -> None:
    """What was joined last serves equal content only."""
    framer = Framer(delta=True)
    framer.join(PUSH)
    newer = Push(EDS, "2", "version", (PLAIN, Resource(EDS.url, "mörtal", "v3", b"z")))
    parsed = discovery_pb2.DeltaDiscoveryResponse.FromString(framer.join(newer))
    assert [r.version for r in parsed.resources] == ["v1", "v3"]


def test_heartbeats_carry_no_body() -> None:
    """A heartbeat is the version, in SotW the whole type's, and the time to live alone."""
    push = Push(EDS, "1", "version", heartbeats=(MORTAL,))
    parsed = discovery_pb2.DeltaDiscoveryResponse.FromString(Framer(delta=True).join(push))
    assert list(parsed.resources) == [wrapped(MORTAL, body=False)]
    inside = discovery_pb2.Resource()
    sotw = discovery_pb2.DiscoveryResponse.FromString(Framer(delta=False, understands_ttl=True).join(push))
    sotw.resources[0].Unpack(inside)
    assert inside == wrapped(replace(MORTAL, version="version"), body=False)


def test_empty_responses() -> None:
    """An empty response still says its type and nonce."""
    parsed = discovery_pb2.DiscoveryResponse.FromString(Framer(delta=False).join(Push(EDS, "1", "v")))
    assert parsed == discovery_pb2.DiscoveryResponse(version_info="v", type_url=EDS.url, nonce="1")


def test_streams_that_count_alike_share_one_response() -> None:
    """The same push under the same nonce is one object; under another nonce, or with other content, it is not."""
    framer = Framer(delta=True)
    one = framer.join(PUSH)
    assert framer.join(PUSH._replace(resources=(PLAIN, MORTAL))) is one
    other = discovery_pb2.DeltaDiscoveryResponse.FromString(framer.join(PUSH._replace(nonce="2")))
    assert other.nonce == "2"
    changed = discovery_pb2.DeltaDiscoveryResponse.FromString(framer.join(PUSH._replace(resources=(PLAIN,))))
    assert (changed.nonce, len(changed.resources)) == ("nonce", 1)
