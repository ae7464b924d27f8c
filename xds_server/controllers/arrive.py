"""Arrive: how long a telemetry sample takes until every Envoy acknowledged the weights it led to.

Reads what was published, the newest sample and the clients' answers; writes one metric. Does not know streams.
"""

from collections.abc import Callable, Mapping
from typing import Any

from xds_server import metrics
from xds_server.domain.names import ServiceName
from xds_server.domain.telemetry import Samples
from xds_server.ports import Clock
from xds_server.state.watchable import Watchable, any_newer


class Arrive:
    """Follows one change at a time: from the sample at its publication to the last ACK of it.

    ``arrived``: whether every client that asks for a service's endpoints runs the newest ones.
    """

    name = "arrive"

    def __init__(
        self,
        published: Watchable[Mapping[ServiceName, Any]],
        samples: Watchable[Samples | None],
        observations: Watchable[int],
        arrived: Callable[[ServiceName], bool],
        clock: Clock,
    ) -> None:
        self._published = published
        self._samples = samples
        self._observations = observations
        self._arrived = arrived
        self._clock = clock
        self._seen = (published.revision, -1)
        self._tables: Mapping[ServiceName, Any] = published.value
        self._under_way: dict[ServiceName, float] = {}

    async def wait(self) -> None:
        """Return when something was published, or while something is under way, when a client said something."""
        published, observations = self._seen
        if self._under_way:
            await any_newer((self._published, published), (self._observations, observations))
        else:
            await self._published.wait_after(published)

    async def step(self) -> None:
        """Take note of what set out and of what arrived."""
        self._seen = (self._published.revision, self._observations.revision)
        sample, tables = self._samples.value, self._published.value
        if sample is not None and tables is not self._tables:
            changed = [name for name, table in tables.items() if table is not self._tables.get(name)]
            self._under_way |= {name: sample.at_s for name in changed if name not in self._under_way}
        self._tables = tables
        for name in [name for name in self._under_way if self._arrived(name)]:
            metrics.SAMPLE_TO_ACK_SECONDS.observe(self._clock.now() - self._under_way.pop(name))
