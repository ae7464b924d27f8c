"""Remember: what was published before a crash is published again, and a failing store does not stop traffic."""

import numpy as np
import pytest

from tests.fakes.store import MemoryStore
from xds_server.controllers.remember import Remember, recall
from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.weights import WeightTable
from xds_server.ports import Batch
from xds_server.state.watchable import Watchable

CHECKOUT = ServiceName("checkout")


def _table(*weights: int) -> WeightTable:
    endpoints = tuple(EndpointId(f"a{i}") for i in range(len(weights)))
    return WeightTable(CHECKOUT, endpoints, np.array(weights, np.int64))


class _BrokenStore(MemoryStore):
    async def commit(self, batch: Batch) -> int:
        raise OSError("disk full")


async def test_weights_survive_a_restart():
    """A second process publishes exactly the weights of the first before anything is decided anew."""
    store, decided = MemoryStore(), Watchable({})
    first = Remember(store, decided, {})
    decided.set({CHECKOUT: _table(1500, 500)})
    await first.step()
    recalled = await recall(store)
    assert recalled == {CHECKOUT: {"a0": 1500, "a1": 500}}
    second = Remember(store, Watchable({}), recalled)
    assert second.published.value[CHECKOUT].same_weights(_table(1500, 500))


async def test_services_that_are_gone_are_forgotten():
    """A removed service leaves no weights behind."""
    store, decided = MemoryStore(), Watchable({})
    remember = Remember(store, decided, {})
    decided.set({CHECKOUT: _table(1, 2)})
    await remember.step()
    decided.set({})
    await remember.step()
    assert await recall(store) == {}


async def test_a_broken_store_does_not_stop_traffic():
    """The weights go out; the failure reaches the controller's skeleton, which tells and retries."""
    decided = Watchable({CHECKOUT: _table(7, 9)})
    remember = Remember(_BrokenStore(), decided, {})
    with pytest.raises(OSError, match="disk full"):
        await remember.step()
    assert remember.published.value == decided.value
