"""Scrape: reads every connected Envoy once per tick and appends one sample of all endpoints to the history.

Knows when the next tick is, which nodes failed and for how long they are left alone, and whose paths a node measures.
Does not know Envoy's pages nor what the samples are for.
"""

import asyncio
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from xds_server import metrics
from xds_server.controllers.base import giving_way
from xds_server.decisions.capacity import infer_capacity
from xds_server.decisions.paths import follow, measuring
from xds_server.decisions.rates import Delta, fresh, growing, merging, sliced
from xds_server.decisions.readings import Turn, chosen
from xds_server.decisions.self_reports import COLUMNS, Place, SelfReports, capacity, gathering
from xds_server.domain.load_report import LoadReport
from xds_server.domain.names import EndpointKey, NodeId, ServiceName, VirtualNetwork
from xds_server.domain.paths import PathSample
from xds_server.domain.policy import Policy
from xds_server.domain.telemetry import FIELDS, CounterPage, Samples
from xds_server.domain.topology import Node, Service
from xds_server.ports import Clock, StatsSource, Unavailable
from xds_server.state.history import History
from xds_server.state.watchable import Watchable

T = TypeVar("T")
_MOST_TICKS_ALONE = 12
_TELLING = ("rps", "latency_ms", "cpu", "utilisation")
"""What tells of an endpoint's capacity."""


@dataclass(frozen=True, slots=True)
class ScrapeOptions:
    """``at_once``: nodes read side by side. ``timeout_s`` ends a reading that its source did not end by itself.

    ``stale_ticks``: a node that could not be read speaks with its last rates for so many of its turns, then drops out.
    ``endpoints_per_s``: how many endpoints, of all nodes together, are read per second; beyond, nodes take turns.
    """

    at_once: int = 16
    timeout_s: float = 15.0
    stale_ticks: float = 3.0
    endpoints_per_s: float = 20_000.0


@dataclass(slots=True)
class _Known:
    """What is remembered of one node between ticks. ``failures`` in a row; left alone until tick ``again``.

    ``read``: the tick of the last reading.
    """

    address: str
    page: CounterPage | None = None
    delta: Delta | None = None
    failures: int = 0
    again: int = -1
    problem: str = ""
    read: int = -1


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the fleet the newest sample rests on.

    ``nodes`` that could be read, ``read`` in this tick, ``heard``: with rates in the sample. A round of all takes
    ``turn_ticks``.
    """

    nodes: int = 0
    read: int = 0
    heard: int = 0
    turn_ticks: int = 1


class Scrape:
    """The step of the scrape controller: the only writer of ``history`` and of ``paths``."""

    name = "scrape"

    def __init__(  # noqa: PLR0917 - four rooms and the clock, wired by name in one place
        self,
        nodes: Callable[[], Sequence[Node]],
        services: Callable[[], Sequence[Service]],
        source: StatsSource,
        history: History,
        clock: Clock,
        options: ScrapeOptions | None = None,
        reports: Callable[[], Mapping[NodeId, LoadReport]] = dict,
    ) -> None:
        """Take the connected ``nodes`` and the current ``services``; ticks come every ``history.interval_s``.

        ``reports``: each node's latest load report, for what endpoints say of themselves; a bonus, not a need.
        """
        self.coverage = Coverage()
        self.paths: Watchable[Mapping[VirtualNetwork, PathSample]] = Watchable({})
        self._nodes = nodes
        self._services = services
        self._source = source
        self._history = history
        self._clock = clock
        self._options = options or ScrapeOptions()
        self._reports = reports
        self._one_by_one = asyncio.Lock()
        self._known: dict[NodeId, _Known] = {}
        self._started_s = clock.now()
        self._tick = -1
        self._seen_s: dict[ServiceName, float] = {}
        self._placed: tuple[tuple[Service, ...], Mapping[Place, EndpointKey]] = (), {}

    @property
    def problems(self) -> Mapping[NodeId, str]:
        """Return why nodes cannot be read now, and when they are tried again."""
        return {node: self._told(known) for node, known in self._known.items() if known.problem}

    def _told(self, known: _Known) -> str:
        if not known.failures:
            return known.problem
        again_s = self._started_s + known.again * self._history.interval_s - self._clock.now()
        return f"{known.problem} ({known.failures} in a row; again in {max(again_s, 0.0):.0f} s)"

    async def wait(self) -> None:
        """Return at the next tick of the grid; ticks that a slow step slept through are left out."""
        interval_s = self._history.interval_s
        now = self._clock.now()
        self._tick = max(self._tick + 1, math.ceil((now - self._started_s) / interval_s - 1e-6))
        await self._clock.sleep(self._started_s + self._tick * interval_s - now)

    async def step(self) -> None:
        """Read every node that is not left alone, merge, record. One node's failure is that node's alone."""
        at_s, interval_s = self._clock.now(), self._history.interval_s
        due = self._in_turn(self._due())
        slots = asyncio.Semaphore(self._options.at_once)
        async with asyncio.TaskGroup() as group:
            for node in due:
                group.create_task(self._read(node, slots))
        now = self._clock.now()
        deltas = {node: known.delta for node, known in self._known.items() if known.delta is not None}
        young = fresh(deltas.values(), at_s, self._options.stale_ticks * interval_s * self.coverage.turn_ticks)
        self.coverage = replace(self.coverage, heard=len(young))
        metrics.TELEMETRY_COVERAGE_RATIO.set(len(young) / max(self.coverage.nodes, 1))
        # a sample belongs to the moment its tick began: how long the slowest node took must not bend the time axis
        samples = await self._by_pieces(merging(young, at_s, interval_s))
        await self._measure_paths(young, at_s)
        told = await self._by_pieces(gathering(list(self._reports().values()), self._places(), self._clock.wall()))
        completed = await self._by_pieces(self._completing(samples, told))
        await self._by_pieces(self._history.appending(completed))
        self._tell_ages(list(deltas.values()), now)

    async def _by_pieces(self, work: Generator[None, None, T]) -> T:
        return await giving_way(work, self._clock)

    async def _measure_paths(self, deltas: Sequence[Delta], at_s: float) -> None:
        """Follow the paths of every virtual network that has Envoys."""
        network = {n.id: n.virtual_network for n in self._nodes()}
        parts: dict[VirtualNetwork, list[Delta]] = {}
        for delta in deltas:
            if delta.node in network:
                parts.setdefault(network[delta.node], []).append(delta)
        before = self.paths.value
        found = {name: await self._by_pieces(measuring(some, name, at_s)) for name, some in parts.items()}
        self.paths.set({name: follow(before.get(name), sample) for name, sample in found.items()})

    def _due(self) -> list[Node]:
        """Forget nodes that left; return those to read now. An address is read once, whoever else names it too."""
        nodes = sorted((n for n in self._nodes() if n.telemetry), key=lambda n: n.id)
        present = {n.id: n.telemetry for n in nodes}
        self._known = {i: known for i, known in self._known.items() if present.get(i) == known.address}
        due, readers = [], dict[str, NodeId]()
        for node in nodes:
            known = self._known.setdefault(node.id, _Known(node.telemetry))
            if (reader := readers.setdefault(node.telemetry, node.id)) != node.id:
                known.problem = f"its telemetry address {node.telemetry} is that of {reader}; give it its own"
                known.page, known.delta, known.failures = None, None, 0
            elif known.again <= self._tick:
                due.append(node)
        return due

    def _in_turn(self, due: Sequence[Node]) -> list[Node]:
        """Keep those whose turn it is within the budget, and tell how long a whole round takes."""
        sizes = [len(known.page.keys) for known in self._known.values() if known.page is not None]
        usual = sum(sizes) / len(sizes) if sizes else 0.0
        turns = []
        for node in due:
            page = self._known[node.id].page
            endpoints = usual if page is None else len(page.keys)
            turns.append(Turn(node.id, node.virtual_network, self._known[node.id].read, endpoints))
        picked = set(chosen(turns, self._options.endpoints_per_s * self._history.interval_s))
        for node_id in picked:
            self._known[node_id].read = self._tick
        rounds = math.ceil(len(due) / len(picked)) if picked else 1
        self.coverage = Coverage(nodes=len(self._known), read=len(picked), turn_ticks=rounds)
        return [node for node in due if node.id in picked]

    async def _read(self, node: Node, slots: asyncio.Semaphore) -> None:
        try:
            async with slots, asyncio.timeout(self._options.timeout_s):
                page = await self._source.read(node)
        except TimeoutError:
            self._failed(node, "timeout", f"timeout: no answer within {self._options.timeout_s:g} s")
        except Unavailable as why:
            self._failed(node, why.reason, str(why))
        else:
            async with self._one_by_one:  # pages that come together take milliseconds each
                await self._clock.sleep(0)
                await self._heard(node, page)

    async def _heard(self, node: Node, page: CounterPage) -> None:
        known = self._known[node.id]
        known.failures, known.problem = 0, ""
        if known.page is None:
            known.page = page
        elif delta := await self._by_pieces(growing(known.page, page)):
            known.page, known.delta = page, delta
            metrics.TELEMETRY_DISBELIEVED.labels("impossible").inc(delta.impossible)

    def _failed(self, node: Node, reason: str, problem: str) -> None:
        metrics.TELEMETRY_SCRAPE_FAILURES.labels(reason).inc()
        known = self._known[node.id]
        alone = min(2**known.failures, _MOST_TICKS_ALONE)
        known.failures += 1
        known.again = self._tick + alone
        known.problem = problem

    def _places(self) -> Mapping[Place, EndpointKey]:
        """Return the endpoint at each place; worked out again only when services changed or somebody reports."""
        services = tuple(self._services()) if self._reports() else ()
        if services != self._placed[0]:
            keys: dict[Place, EndpointKey] = {}
            keys |= {(s.name, e.address, e.port): EndpointKey(s.name, e.id) for s in services for e in s.endpoints}
            self._placed = services, keys
        return self._placed[1]

    def _completing(self, samples: Samples, told: SelfReports) -> Generator[None, None, Samples]:
        """Fill in what endpoints say of themselves, and the capacity that this and rate and latency tell of."""
        concurrency = {s.name: s.policy.concurrency for s in self._services()}
        usual = Policy().concurrency
        unsaid, values = np.full(len(COLUMNS), np.nan), samples.values.copy()
        for some in sliced(len(values)):
            keys, rows = samples.keys[some], values[some]
            slots = np.array([concurrency.get(key.service, usual) for key in keys], dtype=np.float64)
            if told.values:
                rows[:, COLUMNS] = [told.values.get(key, unsaid) for key in keys]
            rps, took_ms, cpu, busy = (rows[:, FIELDS.index(name)].astype(np.float64) for name in _TELLING)
            measured = infer_capacity(rps, took_ms, slots)
            rows[:, FIELDS.index("kappa")], contradicted = capacity(rps, cpu, busy, measured)
            metrics.TELEMETRY_DISBELIEVED.labels("contradiction").inc(contradicted)
            yield
        metrics.TELEMETRY_DISBELIEVED.labels("impossible").inc(told.impossible)
        newest = self._history.samples.value
        if newest is not None and newest.keys == samples.keys:  # readers compare keys by identity before rows
            return replace(samples, values=values, keys=newest.keys)
        return replace(samples, values=values)

    def _tell_ages(self, deltas: Sequence[Delta], now: float) -> None:
        """Set the age of every service's newest reading; a service nobody told of yet is as old as we are."""
        names = {s.name for s in self._services()}
        for gone in self._seen_s.keys() - names:
            del self._seen_s[gone]
            metrics.TELEMETRY_AGE_SECONDS.remove(gone)
        newest: dict[int, Delta] = {}  # by their keys, which nodes that see the same endpoints share
        for delta in deltas:
            held = newest.setdefault(id(delta.keys), delta)
            if delta.to_s > held.to_s:
                newest[id(delta.keys)] = delta
        for delta in newest.values():
            for name in {key.service for key in delta.keys} & names:
                self._seen_s[name] = max(self._seen_s.get(name, delta.to_s), delta.to_s)
        for name in names:
            metrics.TELEMETRY_AGE_SECONDS.labels(name).set(now - self._seen_s.setdefault(name, self._started_s))
