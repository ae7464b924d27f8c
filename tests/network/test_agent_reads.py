"""What a birth reads of a real kernel: as much with two dozen subnets as with four; and what others undo is still seen."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from unittest import mock

import pytest
from pyroute2.netlink.marshal import Marshal

from tests.network.edge import inside, namespace, require_namespaces, sh
from tests.unit.decisions.test_wiring import interface
from xds_server import agent
from xds_server.adapters.nftables import Library
from xds_server.decisions.wiring import link_name

pytestmark = [pytest.mark.network, pytest.mark.slow]
FEW, MANY = 4, 24


class Counter:
    """How many objects the kernel told."""

    told = 0


@contextmanager
def counted() -> Iterator[Counter]:
    """Count netlink messages, and what nftables lists, while the block runs."""
    counter, parse, run = Counter(), Marshal.parse_one_message, Library.run

    def parsed(*args: Any, **more: Any) -> Any:
        counter.told += 1
        return parse(*args, **more)

    def listed(*args: Any) -> Any:
        answer = run(*args)
        counter.told += len(answer)
        return answer

    with mock.patch.object(Marshal, "parse_one_message", parsed), mock.patch.object(Library, "run", listed):
        yield counter


def test_a_birth_reads_no_more_the_more_subnets_there_are():
    """Counted in objects that the kernel tells; a look reads no routes of others, and sees a frame that they undid."""
    require_namespaces()
    with namespace("reads") as name:
        sh(f"ip -n {name} link add up0 type veth peer name up1")
        sh(f"ip -n {name} link set up0 up")
        inside(name, lambda: asyncio.run(_births(name)))


def test_what_took_the_place_of_ours_since_the_last_look_stays():
    """Somebody deletes a link of ours and makes one of that name: it is theirs, and the release lets it be."""
    require_namespaces()
    with namespace("place") as name:
        inside(name, lambda: asyncio.run(_taken_place(name)))
        assert "xs" in sh(f"ip -n {name} -br link")


async def _taken_place(name: str) -> None:
    async with agent._kernel(agent.Options()) as kernel:
        one = interface(1)
        assert await kernel.reconcile({one.subnet: one}) == {}
        link = link_name(one.subnet)
        sh(f"ip -n {name} link del {link}")
        sh(f"ip -n {name} link add {link} type bridge")
        assert await kernel.reconcile({}) == {}


async def _births(name: str) -> None:
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(agent._kernel(agent.Options(uplink="up0")))
        reads: dict[int, int] = {}
        wanted = {}
        for number in range(1, MANY + 1):
            one = interface(number)
            wanted[one.subnet] = one
            with counted() as counter:
                assert await kernel.reconcile(wanted) == {}
            reads[number] = counter.told
        assert reads[MANY] == reads[FEW]
        with counted() as before:
            assert await kernel.observe(wanted) == {}
        for number in range(1, 9):
            sh(f"ip -n {name} route add 198.51.100.{number} dev lo table 77")
        with counted() as after:
            assert await kernel.observe(wanted) == {}
        assert after.told == before.told  # the kernel itself leaves out what others routed
        sh(f"ip netns exec {name} nft add chain inet xds_server theirs")
        assert await kernel.observe(wanted) == {}
        sh(f"ip netns exec {name} nft flush chain inet xds_server input")
        assert list(await kernel.observe(wanted)) == [""]
        assert await kernel.reconcile(wanted) == {}
        assert await kernel.observe(wanted) == {}
