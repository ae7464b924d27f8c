"""FakeStatsSource: Envoys that show exactly what a test says.

Knows ports.StatsSource and its errors. Does not know Envoy's pages.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.fakes.pages import page
from xds_server.domain.names import NodeId
from xds_server.domain.telemetry import CounterPage
from xds_server.domain.topology import Node
from xds_server.ports import Clock, StatsSource, Unavailable


class FakeStatsSource:
    """Answers from what was shown; ``reads`` is every node asked, in order; ``most_at_once`` the greatest crowd."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shown: dict[NodeId, CounterPage | Unavailable] = {}
        self._slow: dict[NodeId, asyncio.Event] = {}
        self.reads: list[NodeId] = []
        self.most_at_once = 0
        self._now_reading = 0

    def show(
        self,
        node: str,
        rows: Mapping[str, Mapping[str, float]],
        latencies_ms: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Let a node show these counters from now on."""
        self._shown[NodeId(node)] = page(node, 0.0, rows, latencies_ms)

    def fail(self, node: str, reason: str) -> None:
        """Let a node fail with this reason from now on."""
        self._shown[NodeId(node)] = Unavailable(reason, "as the test wants it")

    def stall(self, node: str) -> asyncio.Event:
        """Let a node answer only when the returned event is set."""
        return self._slow.setdefault(NodeId(node), asyncio.Event())

    async def read(self, node: Node) -> CounterPage:
        """Answer as told; a node nobody told anything about cannot be connected."""
        self.reads.append(node.id)
        self._now_reading += 1
        self.most_at_once = max(self.most_at_once, self._now_reading)
        try:
            await asyncio.sleep(0)
            if node.id in self._slow:
                await self._slow[node.id].wait()
        finally:
            self._now_reading -= 1
        shown = self._shown.get(node.id) or Unavailable("connect", "nobody there")
        if isinstance(shown, Unavailable):
            raise Unavailable(shown.reason, "as the test wants it")
        return replace(shown, read_at_s=self._clock.now())


_: type[StatsSource] = FakeStatsSource
