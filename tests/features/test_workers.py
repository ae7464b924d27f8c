"""Several workers on one port: they look like one server, and one that is killed comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Container
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.load_stats.v3 import lrs_pb2, lrs_pb2_grpc
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from tests.fakes.http2 import DATA, Wire
from tests.fakes.xds_client import Client, Talk, assignment, cluster, until
from xds_server import ResourceCache, metrics
from xds_server.conformance.client import Ended
from xds_server.domain.limits import Limits
from xds_server.domain.resource import CDS, EDS, ResourceType
from xds_server.servers.serving import Clocks
from xds_server.servers.workers.front import Front

OWN = [("grpc.use_local_subchannel_pool", 1)]  # every channel a connection of its own


@dataclass
class House:
    """Two workers over a cache that holds cluster a and its endpoints in group g."""

    cache: ResourceCache
    front: Front
    stack: AsyncExitStack
    tasks: asyncio.TaskGroup
    loads: list[tuple[str, Any]]
    served: int = 0  # streams that were sent something, those that are gone included

    async def client(self) -> Client:
        """A client on a connection of its own."""
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.front.port}", options=OWN)
        await self.stack.enter_async_context(channel)
        client = Client(channel, self.tasks)
        self.stack.callback(client.close)
        return client

    async def one_in_each(self, *, delta: bool) -> list[Any]:
        """A stream that asks for the endpoints of cluster a in each worker, with what it heard; the node ids are n0..."""
        found: dict[int, Any] = {}
        for number in range(60):
            index, talk, heard = await self.comes(f"n{number}", EDS, "a", delta=delta)
            if await self.is_new(index, talk, found):
                found[index] = (f"n{number}", talk, heard)
            if len(found) == 2:
                return [found[0], found[1]]
        raise AssertionError("every connection fell to one worker")

    async def comes(self, node: str, kind: ResourceType, *names: str, delta: bool) -> tuple[int, Talk, Any]:
        """Open a stream on a connection of its own; return the worker that it fell to, and what was sent first.

        Which worker that is, is the kernel's choice: it takes a few.
        """
        before = self.front.spread()
        talk = (await self.client()).ads(delta=delta, node=node)
        await talk.say(kind, *names)
        heard = await talk.hear()
        self.served += 1
        await until(lambda: sum(self.front.spread()) > sum(before))
        return next(i for i, (a, b) in enumerate(zip(before, self.front.spread(), strict=True)) if a != b), talk, heard

    async def is_new(self, index: int, talk: Talk, taken: Container[int]) -> bool:
        """Whether no stream stands there yet; else it is closed: it would never answer for the next update."""
        if index not in taken:
            return True
        open_ones = sum(self.front.spread())
        talk.close()
        await until(lambda: sum(self.front.spread()) == open_ones - 1)
        return False

    async def listening(self, *, without: int) -> None:
        """Wait until two workers listen, and that process is none of them."""
        seen, pids = -1, self.front.pids()
        async with asyncio.timeout(60):
            while len(pids) < 2 or without in pids:
                seen = await self.front.observations.wait_after(max(seen, self.front.observations.revision))
                pids = self.front.pids()

    def state(self, node: str, kind: str = "EDS") -> str:
        """How a node stands with a type."""
        found = self.front.nodes().get(node)
        return found.types[kind].state if found else ""


@asynccontextmanager
async def house(**limits: Any) -> AsyncIterator[House]:
    """Run two workers while the block runs."""
    cache = ResourceCache()
    cache.replace("g", [cluster("a"), assignment("a", 1)])
    loop = asyncio.get_running_loop()
    loads: list[tuple[str, Any]] = []

    async def take(node: str, request: Any) -> None:
        loads.append((node, request))

    front = Front(
        cache.groups,
        count=2,
        group_of=lambda node: None if node.id == "stranger" else "g",
        clocks=Clocks(loop.time, loop.time),
        limits=Limits(**{"admissions_per_core_s": 0, "drain_s": 0.2, **limits}),
        take_load=take,
    )
    async with AsyncExitStack() as stack:
        await front.start("127.0.0.1:0")
        stack.push_async_callback(front.stop)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        watching = tasks.create_task(front.watch())
        stack.callback(watching.cancel)
        yield House(cache, front, stack, tasks, loads)


async def test_an_update_is_acknowledged_by_both_workers() -> None:
    """Each worker's stream is sent the update under the parent's version; the parent knows who runs what."""
    async with house() as two:
        both = await two.one_in_each(delta=False)
        for _, talk, heard in both:
            await talk.answer(heard, "a")
        await until(lambda: all(two.state(node) == "SYNCED" for node, _, _ in both), "not in step")
        await until(lambda: two.front.settled(EDS))
        two.cache.update("g", [assignment("a", 2)])
        assert not two.front.settled(EDS)
        shelf = two.cache.groups.picture("g").shelf(EDS)
        for node, talk, _ in both:
            heard = await talk.hear()
            assert heard.version_info == shelf.version
            assert two.front.acked(node, EDS, "a") is None
            await until(lambda node=node: two.state(node) == "PENDING")
            await talk.answer(heard, "a")
        await until(lambda: all(two.front.acked(n, EDS, "a") == shelf.get("a").version for n, _, _ in both))
        await until(lambda: two.front.settled(EDS))


@pytest.mark.parametrize("delta", [False, True])
async def test_what_one_worker_s_client_rejects_goes_to_no_joiner_of_either(delta: bool) -> None:
    """A rejection holds everywhere, keeps its words, and is one: joiners get the last good version."""
    async with house() as two:
        both = await two.one_in_each(delta=delta)
        names = () if delta else ("a",)
        for _, talk, heard in both:
            await talk.answer(heard, *names)
        await until(lambda: all(two.state(node) == "SYNCED" for node, _, _ in both))
        (sick, talk, _), (_, other, _) = both
        two.cache.update("g", [assignment("a", 2)])
        heard = await talk.hear()
        await other.hear()  # it has it and says nothing
        await talk.answer(heard, *names, error="no such\nport")
        await until(lambda: metrics.QUARANTINED.labels("EDS")._value.get() == 1)
        await until(lambda: two.state(sick) == "NACKED")
        assert two.front.nodes()[sick].types["EDS"].error == "no such port"
        for number in range(12):
            joiner = (await two.client()).ads(delta=delta, node=f"joiner{number}")
            await joiner.say(EDS, "a")
            resource = (await joiner.hear()).resources[0]
            body = (resource.resource if delta else resource).value
            assert assignment("a").FromString(body) == assignment("a", 1)
        two.cache.update("g", [assignment("a", 3)])
        await talk.answer(await talk.hear(), *names)
        await until(lambda: two.state(sick) == "SYNCED")


async def test_a_suspect_is_tried_by_one_stream_of_all_workers() -> None:
    """Of two suspects that streams of both workers rejected, each is sent once more, to one of them, and convicted."""
    async with house() as two:
        two.cache.update("g", [assignment("b", 1)])
        talks = []
        for _, talk, heard in await two.one_in_each(delta=True):
            await talk.answer(heard)
            await talk.say(EDS, "b")
            await talk.answer(await talk.hear())
            talks.append(talk)
        await until(lambda: two.front.settled(EDS))
        two.cache.update("g", [assignment("a", 2), assignment("b", 2)])
        pushes = [await talk.hear() for talk in talks]
        for talk, heard in zip(talks, pushes, strict=True):
            await talk.answer(heard, error="it does not please me")
        tried: list[str] = []

        async def answer(talk: Any) -> None:
            while not await talk.is_quiet(1.0):
                heard = await talk.hear()
                names = [resource.name for resource in heard.resources]
                bad = [r.name for r in heard.resources if r.version != proven[r.name]]
                tried.extend(bad)
                await talk.answer(heard, error="the same" if "a" in bad else "")
                assert names

        first = {resource.name: resource.version for resource in pushes[0].resources}
        proven = dict.fromkeys(first, "")
        await asyncio.gather(*(answer(talk) for talk in talks))
        assert tried.count("a") == 1, tried
        await until(lambda: metrics.QUARANTINED.labels("EDS")._value.get() == 1)


async def test_a_killed_worker_comes_back() -> None:
    """Kill -9: the other worker's streams stay; the new one knows last good and bad versions; its nodes are gone."""
    async with house() as two:
        (gone, _, _), (stays, other, second) = await two.one_in_each(delta=False)
        await other.answer(second, "a")
        await until(lambda: two.state(stays) == "SYNCED")
        two.cache.update("g", [assignment("a", 2)])
        await other.answer(await other.hear(), "a", error="no such port")
        await until(lambda: two.state(stays) == "NACKED")
        before, spread = two.front.pids(), two.front.spread()
        os.kill(before[0], signal.SIGKILL)
        await two.listening(without=before[0])
        assert before[1] in two.front.pids()
        assert two.state(stays) == "NACKED"
        assert not two.front.nodes()[gone].connected
        assert sum(two.front.spread()) == spread[before.index(before[1])]
        joined = set()
        for number in range(60):
            joiner = (await two.client()).ads(delta=False, node=f"joiner{number}")
            await joiner.say(EDS, "a")
            assert assignment("a").FromString((await joiner.hear()).resources[0].value) == assignment("a", 1)
            joined = {pid for pid, n in zip(two.front.pids(), two.front.spread(), strict=True) if n}
            if number >= 5 and len(joined) == 2:
                break
        assert joined == set(two.front.pids())
        two.cache.update("g", [assignment("a", 3)])
        assert (await other.hear()).resources


def counted(name: str, **labels: str) -> float:
    """A figure of /metrics."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_figures_of_all_workers_are_one() -> None:
    """Counters and histograms add up, those of a worker that died included; streams are counted once."""
    sums = {"xds_acks_total": {"type": "EDS"}, "xds_pushes_total": {"type": "EDS"}, "xds_response_bytes_count": {}}
    async with house() as two:
        before = {name: counted(name, **labels) for name, labels in sums.items()}
        both = await two.one_in_each(delta=False)
        for _, talk, heard in both:
            await talk.answer(heard, "a")
        assert counted("xds_streams") == sum(two.front.spread()) == len(both)
        pushed = before["xds_pushes_total"] + two.served
        await until(lambda: counted("xds_pushes_total", type="EDS") == pushed)
        await until(lambda: counted("xds_acks_total", type="EDS") == before["xds_acks_total"] + 2)
        grown = counted("xds_response_bytes_count") - before["xds_response_bytes_count"]
        small = metrics.REGISTRY.get_sample_value("xds_response_bytes_bucket", {"le": "256.0"})
        assert grown == two.served
        assert small is not None
        os.kill(two.front.pids()[0], signal.SIGKILL)
        await until(lambda: sum(two.front.spread()) < len(both))
        assert counted("xds_pushes_total", type="EDS") == pushed


class Plain:
    """A client of one small type on a connection of its own: bare frames, so that a thousand are cheap."""

    @classmethod
    async def of(cls, port: int, node: str) -> "Plain":
        """Connect and ask for the endpoints of cluster a."""
        made = cls()
        made.wire = await Wire.to(port)
        made.stream = made.wire.open()
        request = discovery_pb2.DiscoveryRequest(node={"id": node}, type_url=EDS.url, resource_names=["a"])
        made.wire.say(made.stream, request.SerializeToString())
        return made

    async def answer(self) -> str:
        """Accept the next response; return its version."""
        payload = (await self.wire.hear_until(DATA)).payload
        heard = discovery_pb2.DiscoveryResponse.FromString(payload[5:])
        request = discovery_pb2.DiscoveryRequest(
            type_url=EDS.url, resource_names=["a"], version_info=heard.version_info, response_nonce=heard.nonce
        )
        self.wire.say(self.stream, request.SerializeToString())
        return heard.version_info


async def test_a_thousand_streams_are_shared_and_all_get_one_update() -> None:
    """Of 1,000 streams each worker holds 40-60 %; an update reaches all, and all are known to run it."""
    async with house() as two, asyncio.timeout(60):
        crowd = []
        for first in range(0, 1000, 50):
            fifty = await asyncio.gather(*(Plain.of(two.front.port, f"n{first + i}") for i in range(50)))
            for plain in fifty:
                two.stack.push_async_callback(plain.wire.close)
            await asyncio.gather(*(plain.answer() for plain in fifty))
            crowd += fifty
        spread = two.front.spread()
        assert sum(spread) == 1000
        assert 400 <= min(spread) <= max(spread) <= 600, spread
        await until(lambda: two.front.settled(EDS))
        two.cache.update("g", [assignment("a", 2)])
        shelf = two.cache.groups.picture("g").shelf(EDS)
        assert set(await asyncio.gather(*(plain.answer() for plain in crowd))) == {shelf.version}
        await until(lambda: two.front.settled(EDS))
        nodes = two.front.nodes()
        assert {node.types["EDS"].state for node in nodes.values()} == {"SYNCED"}
        assert {two.front.acked(name, EDS, "a") for name in nodes} == {shelf.get("a").version}


async def test_limits_are_of_the_server() -> None:
    """A node's streams and all streams are counted over the workers; who is refused is told why by the parent."""
    async with house(max_streams_per_node=3, max_streams=6) as two:

        async def ask(node: str) -> str:
            talk = (await two.client()).ads(delta=False, node=node)
            await talk.say(EDS, "a")
            try:
                await talk.hear()
            except Ended as ended:
                return str(ended)
            return ""

        told = [await ask("greedy") for _ in range(5)]
        assert told[:3] == ["", "", ""]
        assert all("max_streams_per_node" in words for words in told[3:])
        assert "belongs to no group" in await ask("stranger")
        told = [await ask(f"n{number}") for number in range(4)]
        assert told[:3] == ["", "", ""]
        assert "max_streams" in told[3]
        assert counted("xds_streams") == 6


async def test_client_status_and_load_reports_are_the_server_s() -> None:
    """CSDS, asked of any worker, tells of the clients of both; load reports reach the parent."""
    async with house() as two:
        both = await two.one_in_each(delta=True)
        for _, talk, heard in both:
            await talk.answer(heard)
        await until(lambda: two.front.settled(EDS))
        for _ in range(3):
            client = await two.client()
            stub = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(client.channel)
            answer = await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(exclude_resource_contents=True))
            assert {node for node, _, _ in both} <= {config.node.id for config in answer.config}
        reporting = lrs_pb2_grpc.LoadReportingServiceStub(client.channel).StreamLoadStats()
        request = lrs_pb2.LoadStatsRequest()
        request.node.id = "n1"
        await reporting.write(request)
        await reporting.read()
        request.cluster_stats.add(cluster_name="a").load_report_interval.seconds = 10
        await reporting.write(request)
        await until(lambda: bool(two.loads))
        node, report = two.loads[0]
        assert (node, report.cluster_stats[0].cluster_name) == ("n1", "a")


async def test_endpoints_come_again_by_whichever_worker_the_node_hears_them() -> None:
    """A changed cluster warms until its load assignment is sent again, though that stream is another worker's."""
    async with house() as two:
        home, endpoints, heard = await two.comes("n", EDS, "a", delta=True)
        await endpoints.answer(heard)
        for _ in range(60):
            index, clusters, heard = await two.comes("n", CDS, delta=True)
            if await two.is_new(index, clusters, {home}):
                break
        await clusters.answer(heard)
        await until(lambda: two.front.settled(CDS))
        two.cache.update("g", [cluster("a", timeout_s=2)])
        assert (await clusters.hear()).resources[0].name == "a"
        assert (await endpoints.hear()).resources[0].name == "a"


async def test_a_stop_drains_every_worker() -> None:
    """Streams of both end with UNAVAILABLE, and no process stays."""
    async with house() as two:
        both = await two.one_in_each(delta=False)
        pids = two.front.pids()
        await two.front.stop()
        for _, talk, _ in both:
            code, words = await talk.ended()
            assert (code, "stopping" in words) == (grpc.StatusCode.UNAVAILABLE, True)
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_a_group_can_be_dropped_and_set_again() -> None:
    """What is dropped waits in every worker; CDS of a new picture reaches both."""
    async with house() as two:
        both = await two.one_in_each(delta=False)
        for _, talk, heard in both:
            await talk.answer(heard, "a")
        two.cache.drop("g")
        late = (await two.client()).ads(delta=False, node="late")
        await late.say(CDS)
        assert await late.is_quiet()
        two.cache.replace("g", [cluster("a"), assignment("a", 7)])
        for _, talk, _ in both:
            assert assignment("a").FromString((await talk.hear()).resources[0].value) == assignment("a", 7)
        assert (await late.hear()).type_url == CDS.url
