"""Kernel: what a change costs however many subnets there are, and that memory is never trusted against the kernel."""

import asyncio

import pytest

from tests.fakes.kernel import FakeKernel
from tests.unit.decisions.test_wiring import LAYOUT, interface
from xds_server.adapters.kernel import Kernel
from xds_server.domain.interfaces import Interface
from xds_server.domain.kernel import FRAME, Fact, Part
from xds_server.domain.names import SubnetId
from xds_server.ports import Unavailable


def _wanted(*numbers: int) -> dict[SubnetId, Interface]:
    return {one.subnet: one for one in map(interface, numbers)}


class Strict(FakeKernel):
    """A kernel that has nothing to put a policy into unless the frame is there."""

    async def make(self, fact: Fact) -> None:
        """Make a fact so, if it can be."""
        if fact.part is Part.POLICY and (Part.FRAME, ()) not in self.facts:
            raise Unavailable("refused", f"{fact.name}: No such file or directory")
        await super().make(fact)


class Slow(FakeKernel):
    """A kernel that never ends making a rule, and says when it has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def make(self, fact: Fact) -> None:
        """Make a fact so; of a rule it is never known."""
        await super().make(fact)
        if fact.part is Part.RULE:
            self.begun.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize("held", [5, 50])
async def test_a_birth_reads_nothing_again_however_many_subnets_there_are(held: int):
    """What it has seen and done it knows; so it is with a release."""
    fake = FakeKernel()
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile(_wanted(*range(1, held + 1)))
    read = fake.told
    await kernel.reconcile(_wanted(*range(1, held + 2)))
    await kernel.reconcile(_wanted(*range(1, held + 1)))
    assert fake.told == read
    assert {fact.subnet for fact in fake.facts.values()} == {*_wanted(*range(1, held + 1)), ""}


async def test_every_look_is_at_the_kernel():
    """Whoever observes sees what somebody else has done meanwhile, and the next change repairs it."""
    fake = FakeKernel()
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile(_wanted(1))
    await fake.remove(Fact(Part.RULE, ("10.77.1.0/28",)))
    assert await kernel.observe(_wanted(1)) == {"sn-1": ("rule 10.77.1.0/28 is missing or different",)}
    await kernel.reconcile(_wanted(1))
    assert await kernel.observe(_wanted(1)) == {}


async def test_what_all_share_is_told_too():
    """Without the frame no policy holds: nobody's, and everybody's."""
    fake = FakeKernel()
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile(_wanted(1))
    await fake.remove(FRAME)
    assert await kernel.observe(_wanted(1)) == {"": ("frame is missing or different",)}


async def test_a_refusal_is_told_only_after_a_fresh_look():
    """Somebody took the frame away since the last look: the change that stumbles over it makes it again."""
    fake = Strict()
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile(_wanted(1))
    fake.facts.clear()
    assert await kernel.reconcile(_wanted(1, 2)) == {}
    assert await Kernel([fake], LAYOUT).observe(_wanted(1, 2)) == {}


async def test_after_a_refusal_nothing_is_taken_for_known():
    """What is refused is told; the next change looks again."""
    fake = FakeKernel()
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile(_wanted(1))
    fake.refusing[Part.LINK] = "No space left"
    assert "No space left" in dict(await kernel.reconcile(_wanted(1, 2)))["sn-2"]
    fake.refusing.clear()
    fake.facts.clear()
    assert await kernel.reconcile(_wanted(1, 2)) == {}
    assert {fact.subnet for fact in fake.facts.values()} == {"sn-1", "sn-2", ""}


async def test_what_all_share_being_refused_is_no_subnets_fault():
    """It is raised, from memory or not."""
    fake = FakeKernel()
    fake.refusing[Part.FRAME] = "Operation not permitted"
    kernel = Kernel([fake], LAYOUT)
    await kernel.reconcile({})
    with pytest.raises(Unavailable, match="not permitted"):
        await kernel.reconcile(_wanted(1))


async def test_a_change_that_is_cut_off_leaves_nothing_known():
    """How far it came the kernel knows: the next change asks."""
    slow = Slow()
    kernel = Kernel([slow], LAYOUT)
    await kernel.reconcile({})
    change = asyncio.create_task(kernel.reconcile(_wanted(1)))
    await slow.begun.wait()
    change.cancel()
    await asyncio.wait([change])
    told = slow.told
    await kernel.reconcile({})
    assert slow.told > told
    assert slow.facts == {}
