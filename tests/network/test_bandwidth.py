"""The bandwidth of a subnet, measured: bytes through a real kernel from a node's namespace to its callers'."""

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from tests.network.edge import inside, require_namespaces, two_sides
from tests.unit.decisions.test_wiring import interface
from xds_server import agent
from xds_server.domain.interfaces import Interface

pytestmark = [pytest.mark.network, pytest.mark.slow]
CALLER = "192.0.2.2"
WARM_UP_S, MEASURED_S = 0.5, 2.0
SLOW, OTHER, FREE = (
    interface(1, bandwidth_mbps=50.0),
    interface(2, bandwidth_mbps=20.0),
    interface(3, bandwidth_mbps=0.0),
)


async def reconcile(node: str, *wanted: Interface) -> None:
    """Let the agent's kernel half make the node have these."""
    async with agent._kernel(agent.Options(netns=node, uplink="up0")) as kernel:
        assert await kernel.reconcile({one.subnet: one for one in wanted}) == {}


@contextmanager
def sending(node: str, callers: str, source: str) -> Iterator[socket.socket]:
    """Send as fast as it goes from an address of the node while the block runs; yields where it arrives."""
    server, sender = inside(callers, socket.socket), inside(node, socket.socket)
    with server, sender:
        server.bind((CALLER, 0))
        server.listen()
        sender.bind((source, 0))
        sender.connect(server.getsockname())
        arriving, _ = server.accept()
        over = Event()
        with arriving, ThreadPoolExecutor(1) as thread:
            thread.submit(_send, sender, over)
            try:
                yield arriving
            finally:
                over.set()
                arriving.shutdown(socket.SHUT_RDWR)


def _send(sender: socket.socket, over: Event) -> None:
    chunk = bytes(65_536)
    while not over.is_set():
        try:
            sender.sendall(chunk)
        except OSError:
            return


def mbps(arriving: socket.socket) -> float:
    """Return how fast it arrives once its first burst is through."""
    buffer = bytearray(1 << 18)
    started = time.monotonic() + WARM_UP_S
    while time.monotonic() < started:
        arriving.recv_into(buffer)
    counted, started = 0, time.monotonic()
    while (took := time.monotonic() - started) < MEASURED_S:
        counted += arriving.recv_into(buffer)
    return 8 * counted / took / 1e6


def measured(node: str, callers: str, *interfaces: Interface) -> Mapping[str, float]:
    """Return how fast each of these sends while all do, in Mbit/s of payload."""
    sources = [one.attachments[0].address for one in interfaces]
    with ThreadPoolExecutor(len(sources)) as threads:

        def one(source: str) -> float:
            with sending(node, callers, source) as arriving:
                return mbps(arriving)

        rates = threads.map(one, sources)
        return dict(zip((i.subnet for i in interfaces), rates, strict=True))


def test_a_subnet_gets_its_bandwidth_and_others_theirs():
    """At most 5 % above it, hardly less; beside one that sends all it may, another has what it has alone.

    Read once: 47.8 of 50 Mbit/s, beside it 19.0 of 20 (alone 18.8) and 7,500 where nothing limits.
    """
    require_namespaces()
    with two_sides() as (node, callers):
        inside(node, lambda: asyncio.run(reconcile(node, SLOW, OTHER, FREE)))
        alone = measured(node, callers, OTHER)
        together = measured(node, callers, SLOW, OTHER)
        free = measured(node, callers, SLOW, FREE)
    for rates in (alone, together, free):
        for one in (SLOW, OTHER):
            if one.subnet in rates:
                assert 0.8 * one.bandwidth_mbps < rates[one.subnet] < 1.05 * one.bandwidth_mbps, (alone, together, free)
    assert together[OTHER.subnet] > 0.9 * alone[OTHER.subnet]
    assert free[FREE.subnet] > 2 * SLOW.bandwidth_mbps
