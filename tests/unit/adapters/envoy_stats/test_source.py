"""EnvoyStats: the reading process survives what pages and fate do to it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.fakes.clock import ManualClock
from tests.fakes.envoy_pages import FakeEnvoyPages, clusters_json, stats_text
from tests.fakes.pages import key
from xds_server.adapters.envoy_stats import EnvoyStats, ReadingLimits
from xds_server.adapters.envoy_stats.process import Process
from xds_server.domain.names import EndpointId, NodeId, ServiceName
from xds_server.domain.topology import Endpoint, Node, Service
from xds_server.ports import Unavailable

HOST = ("checkout", "127.0.0.1", 9001)


def service(*endpoints: str) -> Service:
    """A service whose endpoints listen at 9001, 9002, ..."""
    made = tuple(Endpoint(EndpointId(e), "127.0.0.1", 9001 + i) for i, e in enumerate(endpoints))
    return Service(ServiceName("checkout"), endpoints=made)


def node(pages: FakeEnvoyPages, name: str = "n1") -> Node:
    """A node whose telemetry is there."""
    return Node(NodeId(name), telemetry=pages.address)


@pytest.fixture
async def pages() -> AsyncIterator[FakeEnvoyPages]:
    """An Envoy's telemetry with one endpoint."""
    async with FakeEnvoyPages(
        clusters_json({HOST: {"rq_total": 1}}), stats_text({("checkout", "a1"): [1.0]})
    ) as server:
        yield server


@pytest.fixture
def services() -> list[Service]:
    """What the source knows; a test may change it."""
    return [service("a1")]


@pytest.fixture
async def source(services) -> AsyncIterator[EnvoyStats]:
    """A source with tight limits."""
    limits = ReadingLimits(timeout_s=2.0, silence_s=8.0, max_bytes=1 << 20)
    async with EnvoyStats(lambda: services, ["127.0.0.0/8"], ManualClock(), limits=limits) as made:
        yield made


def pid(source: EnvoyStats) -> int:
    """The reading process."""
    return source._process._transport.get_pid()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("cut", "malformed"),
        ("garbage", "malformed"),
        ("huge_head", "malformed"),
        ("compressed", "malformed"),
        ("endless", "too_large"),
        ("dripping", "timeout"),
        ("silent", "timeout"),
        ("status", "status"),
        ("redirect", "status"),
    ],
)
async def test_a_bad_page_is_named_and_the_process_lives_on(source, pages, mode, reason):
    """Cut, huge, slow or no HTTP at all: one error, the same process, and the next page is read."""
    await source.read(node(pages))
    before = pid(source)
    pages.mode = mode
    with pytest.raises(Unavailable) as failure:
        await source.read(node(pages))
    assert failure.value.reason == reason
    pages.mode = "good"
    assert (await source.read(node(pages))).keys == (key("a1"),)
    assert pid(source) == before


async def test_a_killed_process_is_replaced_and_nobody_notices(source, pages):
    """The reading that was under way is done again in a new process."""
    await source.read(node(pages))
    first = pid(source)
    pages.mode = "silent"
    pages.asked.clear()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(source.read(node(pages)))
        await pages.asked.wait()
        pages.mode = "good"
        os.kill(first, signal.SIGKILL)
    assert reading.result().keys == (key("a1"),)
    assert pid(source) != first


async def test_a_process_that_hangs_is_ended(source, pages):
    """Silence beyond the limit: a time-out, and the next reading has a fresh process."""
    source._limits = ReadingLimits(timeout_s=1.0, silence_s=2.0)
    await source.read(node(pages))
    stopped = pid(source)
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="said nothing") as failure:
        await source.read(node(pages))
    assert failure.value.reason == "timeout"
    assert (await source.read(node(pages))).keys == (key("a1"),)
    assert pid(source) != stopped


async def test_a_page_that_does_not_fit_into_memory_is_too_large_or_ends_only_its_own_reading(pages):
    """The memory limit holds, and a good node beside the greedy one is read all the same."""
    limits = ReadingLimits(timeout_s=5.0, silence_s=10.0, max_bytes=256 << 20, memory_bytes=300 << 20)
    source = EnvoyStats(lambda: [service("a1")], ["127.0.0.0/8"], ManualClock(), limits=limits)
    bomb = b'{"cluster_statuses": [' + b"[]," * 8_000_000 + b"[]]}"
    async with source, FakeEnvoyPages(bomb) as greedy:
        failure, page = await asyncio.gather(
            source.read(node(greedy, "greedy")), source.read(node(pages)), return_exceptions=True
        )
        assert isinstance(failure, Unavailable)
        assert failure.reason in {"too_large", "crashed"}
        assert page.keys == (key("a1"),)


async def test_a_process_that_cannot_start_is_a_named_failure(pages):
    """Too little memory to begin with: crashed, not a hang."""
    limits = ReadingLimits(memory_bytes=1 << 20)
    source = EnvoyStats(lambda: [service("a1")], ["127.0.0.0/8"], ManualClock(), limits=limits)
    with pytest.raises(Unavailable) as failure:
        await source.read(node(pages))
    assert failure.value.reason == "crashed"


async def test_changed_services_are_known_to_the_next_reading(source, pages, services):
    """Endpoints come, go and change places; keys follow, and stay the same object while nothing changes."""
    first = await source.read(node(pages))
    assert (await source.read(node(pages, "n2"))).keys is first.keys
    pages.clusters = clusters_json({HOST: {"rq_total": 1}, ("checkout", "127.0.0.1", 9002): {"rq_total": 2}})
    services[:] = [service("new", "a1")]
    page = await source.read(node(pages))
    assert page.keys == (key("new"), key("a1"))
    assert page.counters[:, 0].tolist() == [1, 2]
    services[:] = [service("new", "a1", "a3", "a4")]
    some = await source.read(node(pages))
    assert some.keys == (key("new"), key("a1"))
    assert (await source.read(node(pages, "n2"))).keys is some.keys


async def test_pages_are_read_through_a_socket_in_an_allowed_directory(pages, tmp_path):
    """`unix:PATH` works across network namespaces."""
    path = tmp_path / "envoy.sock"
    server = await asyncio.start_unix_server(pages._serve, path)
    source = EnvoyStats(lambda: [service("a1")], [], ManualClock(), allowed_sockets=[str(tmp_path)])
    async with source, server:
        page = await source.read(Node(NodeId("n1"), telemetry=f"unix:{path}"))
    assert page.keys == (key("a1"),)


async def test_the_process_ends_with_its_server(source, pages):
    """Closed stdin is the end: no orphan is left behind."""
    await source.read(node(pages))
    process: Process = source._process
    process._transport.get_pipe_transport(0).close()
    async with asyncio.timeout(5):
        await process.ended()
    assert process._transport.get_returncode() == 0
