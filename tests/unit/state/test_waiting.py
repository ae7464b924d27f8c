"""The waiting room: same key, same seat; leaving is safe."""

import asyncio
from itertools import count

import pytest

from tests.fakes.clock import settle
from tests.fakes.sam import wish
from xds_server.domain.names import SubnetId
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Allocation, Phase
from xds_server.state import waiting as module
from xds_server.state.waiting import Full, Mismatch, Refused, WaitingRoom


def room() -> WaitingRoom:
    """An empty one."""
    numbers = count(1)
    return WaitingRoom(lambda: SubnetId(f"s{next(numbers)}"))


async def test_same_key_same_answer():
    """Two with one key wait for one decision; others have their own."""
    here = room()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(here.decision(wish(), key, 0.0)) for key in ("k", "k", None, None)]
        await settle()
        assert len(here.everybody) == 3
        for waiting in list(here.everybody.values()):
            here.dismiss(waiting, Allocation(waiting.id, waiting.request, Phase.PROVISIONING, 0.0))
    ids = [task.result().id for task in tasks]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert not here.everybody


async def test_same_key_other_request():
    """A key that waits with another request is a mismatch."""
    here = room()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(here.decision(wish(), "k", 0.0))
        await settle()
        with pytest.raises(Mismatch):
            await here.decision(wish(num_ips=9), "k", 0.0)
        first.cancel()


async def test_one_guest_may_leave():
    """A caller that goes away takes nothing from the other; a refusal nobody hears is no error."""
    here = room()
    impatient = asyncio.ensure_future(here.decision(wish(), "k", 0.0))
    patient = asyncio.ensure_future(here.decision(wish(), "k", 0.0))
    await settle()
    impatient.cancel()
    await asyncio.wait([impatient])
    (waiting,) = here.everybody.values()
    assert waiting.guests == 1
    here.dismiss(waiting, Refused("exhausted", Reason("x", why="full")))
    with pytest.raises(Refused, match="full"):
        await patient


async def test_full(monkeypatch: pytest.MonkeyPatch):
    """A bounded room: beyond its seats nobody enters."""
    monkeypatch.setattr(module, "SEATS", 1)
    here = room()
    first = asyncio.ensure_future(here.decision(wish(), None, 0.0))
    await settle()
    with pytest.raises(Full):
        await here.decision(wish(), None, 0.0)
    first.cancel()
