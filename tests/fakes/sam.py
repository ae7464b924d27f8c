"""Sam: the subnet half of the control plane in process, put together as the composition root does, with fake nodes.

Knows every part of the subnet half. Does not know Envoy; what nodes answer is up to ``front_ends``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from tests.fakes.front_ends import FakeFrontEnds, front_end
from xds_server.controllers.allocate import Allocate
from xds_server.controllers.announce import Announce
from xds_server.controllers.attach import Attach, Fabrics
from xds_server.controllers.base import Controller
from xds_server.controllers.front_ends import Presence
from xds_server.controllers.provision import Provision
from xds_server.decisions.provisioning import Patience
from xds_server.domain.autoscaling import Scaled
from xds_server.domain.names import ApplianceName, PoolName, ServiceName, SubnetId
from xds_server.domain.subnets import Allocation, Block, Phase, Pool, SubnetPlan, SubnetRequest
from xds_server.domain.topology import Appliance, Upstream
from xds_server.ports import Clock, NetworkFabric, Store
from xds_server.servers.subnet_desk import SubnetDesk
from xds_server.state.ledger import Ledger
from xds_server.state.waiting import WaitingRoom
from xds_server.state.watchable import Watchable

NAT = Appliance(ApplianceName("nat"), ServiceName("nat"), 8443, (Upstream("127.0.0.1", 9101),))

AT_ONCE = Patience(drain_s=0.0)


def pool(*prefixes: str, name: str = "zone-a", **fields: object) -> Pool:
    """A pool at z1 that offers profiles web and internal."""
    known = {"location": "z1", "security_profiles": ("web", "internal")}
    blocks = tuple(Block.parse(prefix) for prefix in prefixes or ("127.77.0.0/16",))
    return Pool(PoolName(name), blocks, **{**known, **fields})  # type: ignore[arg-type]  # tests choose the fields


def plan(*pools: Pool, **fields: object) -> SubnetPlan:
    """A plan with the appliance nat."""
    known = {"appliances": (NAT,), "security_profiles": ("web", "internal"), "max_subnets": {"default": 100_000}}
    return SubnetPlan(pools or (pool(),), **{**known, **fields})  # type: ignore[arg-type]  # as above


def wish(**fields: object) -> SubnetRequest:
    """A request that everybody likes."""
    known = {"num_ips": 4, "bandwidth_mbps": 1.0, "security_profile": "web", "location": "z1"}
    return SubnetRequest(ServiceName("nat"), **{**known, **fields})  # type: ignore[arg-type]  # as above


@dataclass
class Sam:
    """The running parts."""

    store: Store
    ledger: Ledger
    room: WaitingRoom
    plan: Watchable[SubnetPlan]
    front_ends: FakeFrontEnds
    allocate: Allocate
    provision: Provision
    announce: Announce
    desk: SubnetDesk
    controllers: tuple[Controller, ...]
    scaled: dict[ApplianceName, Scaled]

    async def until(self, true: Callable[[], bool], within_s: float = 10.0) -> None:
        """Wait until a condition on allocations, pools or endpoints holds."""
        watched = (self.ledger.allocations, self.allocate.pools, self.announce.endpoints)
        async with asyncio.timeout(within_s):
            while not true():
                seen = [w.revision for w in watched]
                waits = [asyncio.ensure_future(w.wait_after(r)) for w, r in zip(watched, seen, strict=True)]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()

    async def phase(self, subnet: str, *phases: Phase) -> Allocation | None:
        """Wait until a subnet is in one of the phases (none given: until it is gone)."""

        def there() -> bool:
            found = self.ledger.allocations.value.get(SubnetId(subnet))
            return (found is None) if not phases else found is not None and found.phase in phases

        await self.until(there)
        return self.ledger.allocations.value.get(SubnetId(subnet))

    def addresses(self) -> list[str]:
        """The announced endpoints of nat."""
        return [f"{e.address}:{e.port}" for e in self.announce.endpoints.value.get(NAT.service, ())]


@asynccontextmanager
async def running(
    store: Store,
    clock: Clock,
    subnet_plan: SubnetPlan | None = None,
    front_ends: FakeFrontEnds | None = None,
    patience: Patience = AT_ONCE,
    first_id: int = 1,
    fabric: NetworkFabric | None = None,
) -> AsyncIterator[Sam]:
    """Run the subnet half until the block ends; the store stays open."""
    nodes = front_ends or FakeFrontEnds(front_end("fe-1"))
    numbers = count(first_id)
    ledger, room, plans = (
        Ledger(store),
        WaitingRoom(lambda: SubnetId(f"sn-{next(numbers)}")),
        Watchable(subnet_plan or plan()),
    )
    presence = Presence(nodes.nodes, clock, patience.node_timeout_s)
    allocate = Allocate(ledger, room, plans, clock)
    attach = [Attach(f, ledger, plans, clock) for f in (fabric,) if f]
    routed = Fabrics({step.fabric.name: step for step in attach}, plans)
    provision = Provision(ledger, nodes, presence, patience, clock, fabrics=routed)
    announce = Announce(ledger, nodes, presence, plans, clock)
    scaled: dict[ApplianceName, Scaled] = {}
    desk = SubnetDesk(ledger, room, plans, allocate.pools, clock, scaled=lambda: scaled)
    controllers = tuple(Controller(step, clock) for step in (allocate, provision, announce, *attach))
    await ledger.load()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(controller.run()) for controller in controllers]
        try:
            yield Sam(store, ledger, room, plans, nodes, allocate, provision, announce, desk, controllers, scaled)
        finally:
            for task in tasks:
                task.cancel()
