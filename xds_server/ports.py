"""Ports: what we need from the world, as Protocols. Every adapter ends with a line proving that it fits one.

Knows what is asked and which error may come back. Does not know who answers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from xds_server.domain.dns import Names, RecordSet
from xds_server.domain.fabrics import FabricNetwork, Progress
from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import Fact, Part
from xds_server.domain.names import EndpointKey, SubnetId
from xds_server.domain.registration import Registration
from xds_server.domain.rings import Rings
from xds_server.domain.subnets import Block
from xds_server.domain.telemetry import CounterPage
from xds_server.domain.topology import Node

T = TypeVar("T")


class Unavailable(Exception):
    """The other side cannot answer now. ``reason`` is one of a small set, fit for a metric label."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


class Clock(Protocol):
    """Time, handed out by ``app`` only."""

    def now(self) -> float:
        """Return seconds that never jump (for intervals and ages)."""

    def wall(self) -> float:
        """Return seconds since 1970 (for people, durable deadlines)."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class StatsSource(Protocol):
    """Where per-endpoint counters of an Envoy come from."""

    async def read(self, node: Node) -> CounterPage:
        """Read one node's counters.

        Raises Unavailable: refused (outside the allowed networks), timeout, connect, status, malformed, too_large,
        crashed (the reading itself broke).
        """


class RingShelf(Protocol):
    """Where the history's rings outlive the process. Both methods block: they are meant for a thread."""

    def put(self, rings: Rings) -> None:
        """Replace what is kept: all of it or nothing. Raises Unavailable: failed."""

    def get(self) -> Rings | None:
        """Return what is kept, None when nothing is. Raises Unavailable: malformed."""


class Forecaster(Protocol):
    """A model of series: each row on its own, weights shared."""

    name: str
    version: str

    def forecast(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Forecast every row; blocking, meant for a worker thread.

        ``history``: rows x steps (at most CONTEXT), oldest first, NaN where missing. Returns float32, rows x HORIZON x
        len(QUANTILES), non-decreasing along the last axis; NaN rows where a row has fewer than MINIMUM_CONTEXT values.
        Raises Unavailable: missing, malformed, failed.
        """


class NameService(Protocol):
    """A DNS server that takes updates. A name is ours while our ownership record says so; all else is left alone.

    Every call raises Unavailable: timeout, connect, refused (by policy), zone (not served here), signature (a key it
    does not accept), failed (its own failure), malformed, secret (the key's file cannot be read).
    """

    name: str

    async def owned(self, zone: str, names: Collection[str]) -> Names:
        """Return what our names in a zone answer now: of those asked for, and any other where the zone can be listed.

        Names are absolute, in lower case, without the last dot.
        """

    async def write(self, zone: str, changes: Mapping[str, RecordSet | None]) -> Mapping[str, str]:
        """Let each name answer exactly this from now on (None: nothing); each is changed whole or not at all.

        Returns why, for each name that is somebody else's or that the server would not take: those are untouched.
        """


class Registry(Protocol):
    """A registry of services that others watch. ``lease_s``: so long what is registered stays without us."""

    name: str
    lease_s: float

    async def keep(self, wanted: Mapping[EndpointKey, Registration]) -> Mapping[EndpointKey, str]:
        """Let exactly these stand there for us; to be called again before ``lease_s`` has passed, changed or not.

        Returns why, for each that is somebody else's there: it is untouched. Raises Unavailable: timeout, connect,
        refused, busy, failed, malformed, secret.
        """

    async def close(self) -> None:
        """Let go of connections; what is registered stays as long as its lease."""


class NodeConfigurator(Protocol):
    """How one node's interfaces are configured: in our agent's kernel, or from afar (NETCONF, RESTCONF).

    The whole picture is handed over each time; nothing need be remembered between two calls, and what bears somebody
    else's marks is neither seen nor touched.
    """

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[str, tuple[str, ...]]:
        """Look; return what differs from ``wanted``, in words, by subnet: missing, different or left over.

        Under '' what no one subnet owns; {} when nothing differs. Raises Unavailable when the node cannot be asked.
        """

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Make the node have these interfaces and no others of ours; return its words for each that it refused.

        May be called again after any failure or crash. Raises Unavailable when the node cannot be asked.
        """


class KernelParts(Protocol):
    """Some kinds of facts of one kernel; only ours are seen and touched."""

    parts: frozenset[Part]

    async def observe(self) -> list[Fact]:
        """Return every fact of ours. Raises Unavailable."""

    async def make(self, fact: Fact) -> None:
        """Make a fact so. Raises Unavailable: refused, with the kernel's words."""

    async def remove(self, fact: Fact) -> None:
        """Remove a fact; one that is gone is fine. Raises Unavailable: refused, with the kernel's words."""


class Throttled(Unavailable):
    """The other side asks for a pause of ``again_s`` seconds."""

    def __init__(self, text: str, again_s: float) -> None:
        super().__init__("busy", text)
        self.again_s = again_s


class NetworkFabric(Protocol):
    """A network fabric that routes subnets to the nodes. What is there and does not carry our mark is left alone.

    Nothing here waits for the fabric's own work: ``Progress`` says whether to ask again. Every call may be repeated,
    looks first whether it is so already, and raises Unavailable: timeout, connect, refused, failed, malformed, secret;
    or Throttled.
    """

    name: str

    async def attach(self, wanted: FabricNetwork) -> Progress:
        """Let the fabric route this subnet; done once it does."""

    async def detach(self, subnet: SubnetId) -> Progress:
        """Let nothing of ours of this subnet be there; done once it is gone (also when it never was there)."""

    async def ours(self) -> Mapping[SubnetId, int]:
        """Return what carries our mark: subnet -> generation at which it was attached."""

    async def close(self) -> None:
        """Let go of connections; what is attached stays."""


class Conflict(Exception):
    """A write expected an older generation than the store holds; the text says which and what to do."""


class Unreadable(ValueError):
    """A document of the store has another shape than this version knows; the text says which and what to do."""


class Overlap(Exception):
    """The database refused a block because it overlaps another's."""


@dataclass(frozen=True, slots=True)
class Document:
    """One durable fact: ``kind`` and ``key`` name it, ``body`` is JSON-shaped, ``generation`` counts its changes."""

    kind: str
    key: str
    body: Mapping[str, object]
    generation: int = 0

    def read(self, reader: Callable[[str, Mapping[str, Any]], T]) -> T:
        """Return what ``reader`` makes of key and body; raises Unreadable for whatever it stumbles over."""
        try:
            return reader(self.key, self.body)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unreadable(
                f"{self.kind} {self.key!r} in the store cannot be read ({type(error).__name__}: {error}): damaged, or "
                "written by a newer version; start that version, or restore a backup"
            ) from error


@dataclass(frozen=True, slots=True)
class Held:
    """A block held by a subnet in a pool; the store refuses overlap within all pools."""

    subnet: SubnetId
    pool: str
    block: Block


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer under an idempotency key: ``fingerprint`` of the request body, ``body`` of the answer."""

    key: str
    fingerprint: str
    body: Mapping[str, object]
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change log, written in the transaction of what it tells."""

    revision: int
    at_s: float
    actor: str
    action: str
    subject: str
    reason: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one transaction does: all of it or nothing.

    ``expect``: (kind, key) -> generation it must have (0: must not exist). ``log``: change rows; their ``revision`` is
    assigned by the store.
    """

    put: tuple[Document, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    hold: tuple[Held, ...] = ()
    free: tuple[SubnetId, ...] = ()
    answers: tuple[Answer, ...] = ()
    log: tuple[Change, ...] = ()
    expect: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Store(Protocol):
    """Durable memory. After ``commit`` returns, a power cut loses nothing of it."""

    async def load(self, kind: str) -> list[Document]:
        """Return every document of a kind, by key."""

    async def held(self) -> list[Held]:
        """Return every block held."""

    async def answer(self, key: str, now_s: float) -> Answer | None:
        """Return the answer stored under an idempotency key, unless it has expired."""

    async def commit(self, batch: Batch) -> int:
        """Do all of it in one transaction; return the new revision. On Conflict or Overlap nothing was done."""

    async def changes(self, *, limit: int, before: int = 0) -> Sequence[Change]:
        """Return the newest rows of the change log, newest first: older than revision ``before`` (0: from the end)."""

    async def ended(self, subject: str) -> bool:
        """Return whether the change log tells of the end of a subject: a row after which there is nothing."""

    async def close(self) -> None:
        """Let go of files and threads."""
