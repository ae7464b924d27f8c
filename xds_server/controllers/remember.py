"""Remember: decided weights become durable, then published; after a crash the same bytes go out again.

Reads decided tables, writes the store and ``published``. A store that fails does not stop traffic from following the
weights: they are published all the same, and written with the next success. Does not know how weights are decided.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from xds_server.domain.names import EndpointId, ServiceName
from xds_server.domain.weights import WeightTable
from xds_server.ports import Batch, Document, Store
from xds_server.state.watchable import Watchable

KIND: Final = "weights"
_HIGHEST: Final = 2**32 - 1
Tables = Mapping[ServiceName, WeightTable]
Recalled = Mapping[ServiceName, Mapping[EndpointId, int]]


async def recall(store: Store) -> Recalled:
    """Return the weights that were published last, before any restart. Raises ports.Unreadable."""
    return dict([d.read(_weights) for d in await store.load(KIND)])


class Remember:
    """The one writer of ``published``: what Envoys are to be told. It begins with what was told last."""

    name = "remember"

    def __init__(self, store: Store, decided: Watchable[Tables], recalled: Recalled) -> None:
        self._written: Tables = {service: _table(service, weights) for service, weights in recalled.items()}
        self.published: Watchable[Tables] = Watchable(self._written)
        self._store = store
        self._decided = decided
        self._seen = 0

    async def wait(self) -> None:
        """Return when there are newer decisions."""
        await self._decided.wait_after(self._seen)

    async def step(self) -> None:
        """Write what changed in one transaction, then publish. Raises what the store does, after publishing."""
        self._seen = self._decided.revision
        tables = self._decided.value
        changed = [table for service, table in tables.items() if not _same(self._written.get(service), table)]
        gone = [(KIND, service) for service in self._written if service not in tables]
        try:
            if changed or gone:
                await self._store.commit(Batch(put=tuple(_document(table) for table in changed), delete=tuple(gone)))
                self._written = tables
        finally:
            self.published.set(tables)


def _same(written: WeightTable | None, table: WeightTable) -> bool:
    return written is not None and written.same_weights(table)


def _document(table: WeightTable) -> Document:
    weights = {str(endpoint): int(weight) for endpoint, weight in zip(table.endpoints, table.weights, strict=True)}
    return Document(KIND, table.service, {"weights": weights})


def _weights(key: str, body: Mapping[str, Any]) -> tuple[ServiceName, dict[EndpointId, int]]:
    weights = {EndpointId(endpoint): int(weight) for endpoint, weight in body["weights"].items()}
    if not all(0 <= weight <= _HIGHEST for weight in weights.values()):
        raise ValueError("a weight is negative or beyond what Envoy takes")
    return ServiceName(key), weights


def _table(service: ServiceName, weights: Mapping[EndpointId, int]) -> WeightTable:
    return WeightTable(
        service=service,
        endpoints=tuple(weights),
        weights=np.array(list(weights.values()), np.int64),
        causes=("restored",) * len(weights),
        cause="restored",
    )
