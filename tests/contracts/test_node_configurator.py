"""The exam of ports.NodeConfigurator, sat by our kernel adapter over a fake kernel and over the real one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.kernel import FakeKernel, Fuse, PowerCut
from tests.network.edge import inside, leftovers, namespace, require_namespaces, sh
from tests.unit.decisions.test_wiring import interface
from xds_server.adapters.conntrack import Conntrack
from xds_server.adapters.htb import Htb
from xds_server.adapters.kernel import Kernel
from xds_server.adapters.netlink import Netlink
from xds_server.adapters.nftables import Library, Nftables
from xds_server.adapters.resolv import ResolvFiles
from xds_server.domain.kernel import Layout
from xds_server.domain.names import SubnetId
from xds_server.domain.profiles import Profile, Rule
from xds_server.ports import KernelParts

A, B = (
    interface(1),
    interface(2, bandwidth_mbps=0.0, profile=Profile("p", (Rule("icmp"), Rule("udp", (53,), ("fd00::/8",))))),
)
BOTH = {A.subnet: A, B.subnet: B}
Exam = Callable[[list[KernelParts], Layout], Awaitable[None]]


async def _comes_and_goes(parts: list[KernelParts], layout: Layout) -> None:
    kernel = Kernel(parts, layout)
    assert set(await kernel.observe(BOTH)) == {"sn-1", "sn-2", ""}
    assert await kernel.reconcile(BOTH) == {}
    assert await kernel.observe(BOTH) == {}
    assert await Kernel(Fuse(0).guard(parts), layout).reconcile(BOTH) == {}
    changed = {A.subnet: replace(A, generation=2, mtu=1400, profile=B.profile, bandwidth_mbps=70.0)}
    assert await kernel.reconcile(changed) == {}
    assert await kernel.observe(changed) == {}
    assert await kernel.reconcile({}) == {}
    assert [fact for one in parts for fact in await one.observe()] == []


async def _survives_a_power_cut_anywhere(parts: list[KernelParts], layout: Layout) -> None:
    """Between any two operations, coming, changing and going; the next process finishes the work."""
    other = {B.subnet: replace(B, mtu=1400), SubnetId("sn-3"): interface(3)}
    operations, ended = 0, False
    while not ended:
        await Kernel(parts, layout).reconcile({A.subnet: A})
        try:
            await Kernel(Fuse(operations).guard(parts), layout).reconcile(other)
            ended = True
        except PowerCut:
            operations += 1
        again = Kernel(parts, layout)
        assert await again.reconcile(other) == {}
        assert await again.observe(other) == {}
        assert {f.subnet for one in parts for f in await one.observe() if f.subnet} <= {"sn-2", "sn-3"}
    assert operations > 30
    await Kernel(parts, layout).reconcile({})
    assert [fact for one in parts for fact in await one.observe()] == []


EXAMS = [_comes_and_goes, _survives_a_power_cut_anywhere]


@pytest.mark.parametrize("exam", EXAMS)
async def test_fake_kernel(exam: Exam):
    """The fake kernel sits the exam."""
    await exam([FakeKernel()], Layout("bridge", "up0", resolv=True))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "bridge", "lo"], ids=["its own choice", "bridge", "lo"])
def test_real_kernel(kind: str, tmp_path: Path):
    """The real kernel sits it with every kind of link, beside things of others that stay as they are.

    Power cuts on it: tests/network/test_agent_killed.py.
    """
    require_namespaces()
    with namespace("exam") as name:
        sh(f"ip -n {name} link add up0 type veth peer name up1")
        sh(f"ip -n {name} link set up0 up")
        sh(f"ip -n {name} rule add from 10.9.0.0/24 lookup 99 pref 10077")
        sh(f"ip -n {name} route add local 10.9.0.0/24 dev lo proto 99")
        sh(f"ip -n {name} link add xsforeign type bridge")
        inside(name, lambda: asyncio.run(_real(_comes_and_goes, tmp_path, kind)))
        assert "10.9.0.0/24" in sh(f"ip -n {name} rule")
        assert "10.9.0.0/24" in sh(f"ip -n {name} route show table local")
        assert leftovers(name).startswith("xsforeign")
        assert len(leftovers(name).splitlines()) == 1


async def _real(exam: Exam, directory: Path, kind: str) -> None:
    async with AsyncExitStack() as stack:
        netlink = await stack.enter_async_context(Netlink.opened())
        htb = await stack.enter_async_context(Htb.opened("up0"))
        kind = kind or await netlink.link_kind()
        parts: list[KernelParts] = [netlink, htb, Conntrack(), Nftables(Library()), ResolvFiles(directory / "resolv")]
        await exam(parts, Layout(kind, "up0", resolv=True))
