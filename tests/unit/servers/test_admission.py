"""Admission: the pace of a rush, the limits at the door, and what a refused client is told."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.fakes.xds_client import until
from xds_server import metrics
from xds_server.domain.access import Caller
from xds_server.domain.limits import Limits
from xds_server.domain.names import NodeId
from xds_server.servers.admission import Door, Pace, rate_per_s
from xds_server.servers.identity import CALLING
from xds_server.servers.requests import Client
from xds_server.xds.messages import Refused

CLIENT = Client(NodeId("n1"), "test", understands_ttl=False)


def door(group_of: Any = lambda _node: "g", streams: int = 0, **limits: Any) -> Door:
    """Return a door on the event loop's clock."""
    return Door(Limits(**limits), group_of, lambda _id: streams, asyncio.get_running_loop().time)


async def test_a_rush_is_paced_in_the_order_it_came() -> None:
    """After a tenth of a second's worth at once, turns come at the rate, first come first served."""
    moment, turns = [0.0], []
    pace = Pace(200, lambda: moment[0])

    async def come(number: int) -> None:
        await pace.turn()
        turns.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(come(number))
        for moment[0], least in ((0.0, 20), (0.052, 30), (0.102, 40), (0.2, 50)):
            await until(lambda least=least: len(turns) >= least)
            assert len(turns) <= least + 1
            assert pace.waiting == 50 - len(turns)
    assert turns == list(range(50))


async def test_a_busy_loop_keeps_the_rate() -> None:
    """Turns that fell due while the loop was away are given when it is back, those of a second at most."""
    moment = [0.0]
    pace = Pace(200, lambda: moment[0])
    rush = [asyncio.ensure_future(pace.turn()) for _ in range(400)]
    await until(lambda: sum(task.done() for task in rush) >= 20)
    moment[0] = 0.5
    await until(lambda: sum(task.done() for task in rush) >= 120)
    moment[0] = 60.0
    await until(lambda: sum(task.done() for task in rush) >= 320)
    assert sum(task.done() for task in rush) <= 342
    pace.close(lambda: Refused("UNAVAILABLE", "over"))
    await asyncio.gather(*rush, return_exceptions=True)


async def test_who_gives_up_waiting_costs_no_turn() -> None:
    """Ten thousand clients that left before their turn delay nobody."""
    moment = [0.0]
    pace = Pace(100, lambda: moment[0])
    gone = [asyncio.ensure_future(pace.turn()) for _ in range(10_000)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    moment[0] = 0.01
    async with asyncio.timeout(1.0):
        await pace.turn()
    assert pace.waiting == 0
    assert sum(not task.cancelled() for task in gone) in {10, 11}


async def test_no_rate_is_no_pace() -> None:
    """A rate of nought lets everybody in at once."""
    pace = Pace(0, asyncio.get_running_loop().time)
    async with asyncio.timeout(1.0):
        for _ in range(10_000):
            await pace.turn()


async def test_closing_answers_those_who_wait() -> None:
    """A door that closes refuses who waits and who comes, and forgets them."""
    entrance = door(admissions_per_core_s=10 / rate_per_s(Limits(admissions_per_core_s=1)))
    stay = AsyncExitStack()
    rush = [asyncio.ensure_future(stay.enter_async_context(entrance.inside())) for _ in range(5)]
    await asyncio.sleep(0)
    entrance.close(lambda: Refused("UNAVAILABLE", "stopping"))
    done = await asyncio.gather(*rush, return_exceptions=True)
    assert [type(one) for one in done] == [type(None)] * 2 + [Refused] * 3
    with pytest.raises(Refused, match="stopping"):
        await stay.enter_async_context(entrance.inside())
    await stay.aclose()


async def test_streams_of_the_process_are_bounded() -> None:
    """The limit counts who is inside; a place that is left is free again; refusals are counted."""
    entrance = door(max_streams=2)
    counted = metrics.ADMISSION_REJECTED.labels("streams")
    before = counted._value.get()
    async with entrance.inside():
        async with entrance.inside():
            with pytest.raises(Refused, match="max_streams") as refused:
                await entrance.inside().__aenter__()
            assert (refused.value.code, counted._value.get() - before) == ("RESOURCE_EXHAUSTED", 1)
        async with entrance.inside():
            pass


async def test_streams_of_an_identity_are_bounded() -> None:
    """Who proved to be the same counts together, whatever nodes they say they are; nobody else is touched."""
    entrance = door(max_streams_per_identity=1)

    async def comes(caller: Caller) -> None:
        CALLING.set(caller)
        async with entrance.inside():
            pass

    one, another = (Caller("127.0.0.1", proved=True, names=(name,)) for name in ("spiffe://a", "spiffe://b"))
    CALLING.set(one)
    async with entrance.inside():
        with pytest.raises(Refused, match=r"spiffe://a has 1 streams.*max_streams_per_identity"):
            await asyncio.create_task(comes(one))
        await asyncio.create_task(comes(another))
        await asyncio.create_task(comes(Caller("127.0.0.1", names=("spiffe://a",))))
    await asyncio.create_task(comes(one))


def broken(_node: Any) -> str:
    """Fail as an embedder's function may."""
    raise KeyError("secret-of-the-database")


def forbidding(_node: Any) -> str:
    """Refuse with words."""
    raise PermissionError("not on Sundays")


@pytest.mark.parametrize(
    ("group_of", "code", "words"),
    [
        (lambda _node: None, "PERMISSION_DENIED", "belongs to no group"),
        (forbidding, "PERMISSION_DENIED", "not on Sundays"),
        (broken, "INTERNAL", "its log says why"),
    ],
)
async def test_who_is_not_admitted_is_told_why(group_of: Any, code: str, words: str) -> None:
    """Refusals carry the reason; what an embedder's function stumbled over stays in the log."""
    with pytest.raises(Refused, match=words) as refused:
        door(group_of).admit(CLIENT, None)
    assert refused.value.code == code
    assert "secret" not in str(refused.value)


async def test_streams_of_a_node_are_bounded() -> None:
    """A node with as many streams as it may have gets no other."""
    with pytest.raises(Refused, match="max_streams_per_node"):
        door(streams=16).admit(CLIENT, None)
    assert door(streams=15).admit(CLIENT, None) == "g"
