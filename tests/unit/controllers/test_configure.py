"""Configure: offers become true, drift is repaired and told, nothing is touched before the first whole picture."""

from tests.fakes.clock import ManualClock
from tests.fakes.kernel import FakeKernel
from tests.unit.decisions.test_wiring import interface
from xds_server.adapters.kernel import Kernel
from xds_server.controllers.configure import Configure, Offer
from xds_server.domain.kernel import Layout, Part

A, B = interface(1), interface(2)


def _agent() -> tuple[FakeKernel, Configure]:
    kernel = FakeKernel()
    return kernel, Configure(Kernel([kernel], Layout("bridge", "up0")), ManualClock(), 5.0)


def _subnets(kernel: FakeKernel) -> set[str]:
    return {fact.subnet for fact in kernel.facts.values() if fact.subnet}


async def test_nothing_is_touched_before_the_first_whole_picture():
    """What a predecessor left stays until it is known what is wanted; then orphans go."""
    kernel, first = _agent()
    await first.take(Offer({A.subnet: A, B.subnet: B}, complete=True))
    second = Configure(Kernel([kernel], Layout("bridge", "up0")), ManualClock(), 5.0)
    await second.step()
    assert _subnets(kernel) == {"sn-1", "sn-2"}
    await second.take(Offer({B.subnet: B}, complete=True))
    assert _subnets(kernel) == {"sn-2"}


async def test_a_difference_changes_only_what_it_names():
    """A later offer adds and takes away; all else stays."""
    kernel, agent = _agent()
    await agent.take(Offer({A.subnet: A}, complete=True))
    assert await agent.take(Offer({B.subnet: B})) == {}
    assert await agent.take(Offer({}, unwanted=("sn-1", "sn-9"))) == {}
    assert _subnets(kernel) == {"sn-2"}


async def test_what_the_kernel_refuses_is_told_in_its_words():
    """A refusal names the subnet and the kernel's words; others are configured all the same."""
    kernel, agent = _agent()
    kernel.refusing[Part.CLASS] = "Operation not supported"
    unlimited = interface(2, bandwidth_mbps=0.0)
    refused = await agent.take(Offer({A.subnet: A, B.subnet: unlimited}, unreadable={"sn-7": "bad"}, complete=True))
    assert refused.keys() == {"sn-1", "sn-7"}
    assert "Operation not supported" in refused["sn-1"]
    assert (Part.POLICY, ("sn-2",)) in kernel.facts


async def test_an_older_generation_never_undoes_a_newer_one():
    """It is refused, and what is there stays."""
    kernel, agent = _agent()
    newer = interface(1, generation=3, mtu=1400)
    await agent.take(Offer({A.subnet: newer}, complete=True))
    before = dict(kernel.facts)
    assert "older" in (await agent.take(Offer({A.subnet: A})))["sn-1"]
    assert kernel.facts == before


async def test_drift_is_repaired_and_told():
    """Somebody deletes the link: it is there again; a second look finds nothing to do."""
    kernel, agent = _agent()
    await agent.take(Offer({A.subnet: A}, complete=True))
    (link,) = [place for place in kernel.facts if place[0] is Part.LINK]
    del kernel.facts[link]
    await agent.step()
    assert link in kernel.facts
    assert agent.repairs == 1
    await agent.step()
    assert agent.repairs == 1


async def test_what_cannot_be_repaired_is_disowned_once():
    """The control plane is to hear of it; once."""
    kernel, agent = _agent()
    await agent.take(Offer({A.subnet: A}, complete=True))
    told: list[frozenset[str]] = []
    agent.broken = told.append
    (link,) = [place for place in kernel.facts if place[0] is Part.LINK]
    del kernel.facts[link]
    kernel.refusing[Part.LINK] = "No space left"
    await agent.step()
    await agent.step()
    assert told == [frozenset({"sn-1"})]
