"""EnvoyStats: ports.StatsSource over real Envoys.

Knows which endpoints exist, which addresses are allowed, and that one bad page must not spoil another's reading. Does
not fetch or parse itself: that happens in a process of its own (``process``, ``worker``).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

import numpy as np
from numpy.typing import NDArray

from xds_server.adapters.envoy_stats.addresses import judged
from xds_server.adapters.envoy_stats.frames import Header
from xds_server.adapters.envoy_stats.pages import CONNECTS, LATENCY, WIDTH
from xds_server.adapters.envoy_stats.process import Answer, Process
from xds_server.domain.names import EndpointKey, NodeId
from xds_server.domain.telemetry import COUNTERS, CounterPage
from xds_server.domain.topology import Node, Service
from xds_server.ports import Clock, StatsSource, Unavailable

_LAYOUTS = 256
"""Sets of rows whose keys are remembered: Envoys of one virtual network show the same ones."""


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """What one reading may cost. ``silence_s``: a reading process that says nothing for so long is ended.

    ``max_bytes`` per page (32 MiB are 40,000 endpoints); ``memory_bytes``: address space of the whole process.
    """

    timeout_s: float = 2.0
    silence_s: float = 10.0
    max_bytes: int = 32 << 20
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True, eq=False)
class _Directory:
    """The endpoints as last told to the reading process, in row order."""

    services: tuple[Service, ...]
    keys: tuple[EndpointKey, ...]
    order: Header


class EnvoyStats:
    """Reads Envoys through one reading process, which is started when first needed and again whenever it has ended.

    ``services``: the current services; a reading names the endpoints that are in there. ``allowed_networks``: CIDRs a
    telemetry address must lie in; ``allowed_sockets``: directories a ``unix:`` one must lie in. Used from one event
    loop; ``async with`` ends the process.
    """

    def __init__(
        self,
        services: Callable[[], Sequence[Service]],
        allowed_networks: Sequence[str],
        clock: Clock,
        *,
        allowed_sockets: Sequence[str] = (),
        limits: ReadingLimits | None = None,
    ) -> None:
        self._services = services
        self._networks = [ip_network(network) for network in allowed_networks]
        self._sockets = tuple(allowed_sockets)
        self._clock = clock
        self._limits = limits or ReadingLimits()
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._directory = _Directory((), (), {"directory": []})
        self._keys_of_rows: dict[bytes, tuple[EndpointKey, ...]] = {}

    async def read(self, node: Node) -> CounterPage:
        """Read one node's counters (ports.StatsSource)."""
        address = judged(node.telemetry, self._networks, self._sockets)
        try:
            return await self._read(node.id, address)
        except Unavailable as why:
            if why.reason != "crashed":
                raise
        # whose page ended the process is unknown: everybody tries again, one at a time, so only the culprit fails
        async with self._alone:
            return await self._read(node.id, address)

    async def __aenter__(self) -> Self:
        """Hand it over; the process starts with the first reading."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the reading process."""
        if self._process is not None:
            self._process.kill()
            await self._process.ended()

    async def _read(self, node: NodeId, address: str) -> CounterPage:
        process = await self._running()
        directory = self._told(process)
        order = {"address": address, "timeout_s": self._limits.timeout_s, "max_bytes": self._limits.max_bytes}
        answer = await process.ask(order, self._limits.silence_s)
        return self._page(node, directory, answer)

    async def _running(self) -> Process:
        async with self._starting:
            if self._process is None or not self._process.alive:
                self._process = await Process.start(self._limits.memory_bytes)
                self._process.tell(self._directory.order)
            return self._process

    def _told(self, process: Process) -> _Directory:
        """Return the directory of now, after telling it to the process if it is new."""
        services = tuple(self._services())
        if services != self._directory.services:  # cheap while they are the same objects
            endpoints = [(s.name, e) for s in services for e in s.endpoints]
            keys = tuple(EndpointKey(service, e.id) for service, e in endpoints)
            order = {"directory": [(service, e.id, e.address, e.port) for service, e in endpoints]}
            self._directory = _Directory(services, keys, order)
            self._keys_of_rows.clear()
            process.tell(order)
        return self._directory

    def _page(self, node: NodeId, directory: _Directory, answer: Answer) -> CounterPage:
        header, body = answer
        count = header["rows"]
        table = np.frombuffer(body, "<f8", count * WIDTH).reshape(count, WIDTH)
        rows = np.frombuffer(body, "<i4", count, offset=table.nbytes)
        split = len(COUNTERS)
        return CounterPage(
            node=node,
            read_at_s=self._clock.now() - header["age_s"],
            keys=self._keys(directory, rows),
            counters=table[:, :split],
            active=table[:, split],
            latency_buckets=table[:, LATENCY.start : LATENCY.stop - 1],
            latency_sum_ms=table[:, LATENCY.stop - 1],
            connects=table[:, CONNECTS],
        )

    def _keys(self, directory: _Directory, rows: NDArray[np.int32]) -> tuple[EndpointKey, ...]:
        """Return the rows' keys, the same object for the same rows: comparing and joining pages is then cheap."""
        if len(rows) == len(directory.keys):
            return directory.keys
        known = self._keys_of_rows if directory is self._directory else {}
        shown = rows.tobytes()
        if shown not in known:
            if len(known) >= _LAYOUTS:
                known.clear()
            known[shown] = tuple(directory.keys[row] for row in rows)
        return known[shown]


_: type[StatsSource] = EnvoyStats
