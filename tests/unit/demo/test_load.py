"""The load generator: open loop, repeatable, honest about latency and failures."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from xds_server.demo.backends import Backend, Backends
from xds_server.demo.load import Load, Target
from xds_server.demo.programs import until


@contextlib.asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    """Run a load beside the test."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(load.run())
        yield
        task.cancel()


async def until_requests(load: Load, service: str, count: int) -> None:
    """Wait until a service has had so many requests."""

    async def enough() -> bool:
        return load.window(service, 0, time.monotonic()).requests >= count

    await until(enough, what=f"{count} requests of {service}", deadline_s=20, every_s=0.02)


async def test_twins_see_the_same_arrivals() -> None:
    """Each arrival goes to every service at the same moment; every answer is counted under its backend."""
    async with Backends([Backend(n, "127.0.0.1", 0, slots=8) for n in ("a", "b")]) as backends:
        a, b = backends.by_name.values()
        load = Load(["127.0.0.1"], [Target("x", "x", a.port), Target("y", "y", b.port)], rate=400, work_ms=2)
        async with running(load):
            await until_requests(load, "y", 60)
        x, y = (load.window(s, 0, time.monotonic()) for s in "xy")
        assert abs(x.requests - y.requests) <= 8
        assert (x.errors, y.errors) == (0, 0)
        assert x.share("a") == y.share("b") == 1.0
        assert 1.0 < x.p50_ms < x.p99_ms
        due_x, due_y = ({r.due_s for r in load._answered[s]} for s in "xy")
        assert len(due_x & due_y) >= 50


async def test_a_slow_server_slows_no_arrival() -> None:
    """Open loop: arrivals keep their pace while answers take longer and longer, and latency shows the queue."""
    async with Backends([Backend("a", "127.0.0.1", 0)]) as backends:
        port = backends.by_name["a"].port
        load = Load(["127.0.0.1"], [Target("x", "x", port)], rate=200, work_ms=10)  # twice what it can do
        async with running(load):
            await until_requests(load, "x", 40)
        seen = load.window("x", 0, time.monotonic())
        assert len(load.lateness_s) > 60
        assert seen.p99_ms > 100


async def test_failures_are_counted() -> None:
    """A refused connection and a non-200 answer are errors, not gaps."""
    async with Backends([Backend("a", "127.0.0.1", 0)]) as backends:
        port = backends.by_name["a"].port
    load = Load(["127.0.0.1"], [Target("x", "x", port)], rate=500, work_ms=1)
    async with running(load):
        await until_requests(load, "x", 20)
    seen = load.window("x", 0, time.monotonic())
    assert (seen.errors, seen.served.total()) == (seen.requests, 0)


async def test_the_same_seed_asks_for_the_same_work() -> None:
    """Two runs with one seed bring the same sequence of work."""

    async def works(seed: int) -> list[float]:
        asked: list[float] = []

        class Listening(Backend):
            def finish_at(self, now: float, work_ms: float) -> float:
                asked.append(work_ms)
                return now

        async with Backends([Listening("a", "127.0.0.1", 0)]) as backends:
            target = Target("x", "x", backends.by_name["a"].port)
            load = Load(["127.0.0.1"], [target], rate=500, work_ms=3, seed=seed)
            async with running(load):
                await until_requests(load, "x", 10)
        return asked

    first = await works(7)
    assert set(first[:6]) <= set(await works(7))
    assert not set(first) & set(await works(8))
