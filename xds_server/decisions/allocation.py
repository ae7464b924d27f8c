"""Allocation: which blocks a subnet request gets, or why nothing fits and what would.

Knows what is held in every pool. Does not know phases, nodes or stores: those tell it what is held and given back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from xds_server.decisions.buddy import Buddy
from xds_server.decisions.eligibility import eligible_pools
from xds_server.decisions.sizing import usable, wanted_lengths
from xds_server.domain.names import PoolName
from xds_server.domain.reason import Reason
from xds_server.domain.subnets import Block, Pool, Strategy, SubnetPlan, SubnetRequest


@dataclass(frozen=True, slots=True)
class Grant:
    """The blocks a request got: one per IP version asked for, all of one pool."""

    pool: PoolName
    blocks: tuple[Block, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing fits now. ``code``: exhausted, bandwidth_exhausted, quota_exceeded; for programs and metrics."""

    code: str
    reason: Reason


@dataclass(slots=True)
class Usage:
    """What counts against limits: subnets per service, Mbit/s per pool."""

    subnets: Counter[str] = field(default_factory=Counter)
    bandwidth_mbps: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, request: SubnetRequest, pool: PoolName | None, sign: int = 1) -> None:
        """Count a subnet in (or, with ``sign`` -1, out)."""
        self.subnets[request.service] += sign
        if pool:
            self.bandwidth_mbps[pool] += sign * request.bandwidth_mbps


class Occupancy:
    """What is free in every pool of one plan."""

    def __init__(self, plan: SubnetPlan, held: Iterable[tuple[str, Block]] = ()) -> None:
        """Rebuild from the held blocks with their pools; blocks of pools that are gone are left alone."""
        self.plan = plan
        self._buddies = {
            (pool.name, version): Buddy(version, pool.prefixes, pool.exclusions)
            for pool in plan.pools
            for version in (4, 6)
            if pool.serves(version)
        }
        for pool_name, block in held:
            self.take(PoolName(pool_name), block)

    def buddy(self, pool: PoolName, version: int) -> Buddy | None:
        """Return one pool's allocator of one IP version."""
        return self._buddies.get((pool, version))

    def take(self, pool: PoolName, block: Block) -> None:
        """Mark a block as held; one outside its pool (the plan changed) needs no mark."""
        buddy = self.buddy(pool, block.version)
        if buddy:
            buddy.take(block)

    def release(self, pool: PoolName, blocks: Iterable[Block]) -> None:
        """Give blocks back; those that were outside the plan are nobody's."""
        for block in blocks:
            buddy = self.buddy(pool, block.version)
            if buddy and buddy.holds(block):
                buddy.release(block)

    def grant(self, request: SubnetRequest, usage: Usage) -> Grant | Refusal:
        """Choose and take blocks for a request that has no objections, or say why not.

        Best-fit looks for the tightest free block among all eligible pools, the others take the first pool that fits.
        """
        quota = self.plan.quota(request.service)
        if usage.subnets[request.service] >= quota:
            why = f"service {request.service} holds {usage.subnets[request.service]} of {quota} subnets; release one"
            return Refusal("quota_exceeded", Reason("quota", quota, "subnets", why))
        pools = eligible_pools(request, self.plan)
        with_bandwidth = [p for p in pools if usage.bandwidth_mbps[p.name] + request.bandwidth_mbps <= p.bandwidth_mbps]
        if not with_bandwidth:
            return _no_bandwidth(request, pools, usage)
        fitting = [(tightness, pool) for pool in with_bandwidth if (tightness := self._tightness(request, pool))]
        if not fitting:
            return self._exhausted(request, with_bandwidth)
        pool = next((p for _, p in fitting if (request.strategy or p.strategy) is not Strategy.BEST_FIT), None)
        return self._take_from(pool or max(fitting, key=lambda fit: fit[0])[1], request)

    def _tightness(self, request: SubnetRequest, pool: Pool) -> tuple[int, ...] | None:
        """Return the prefix length of the smallest fitting free block per IP version; None when one has none."""
        lengths = wanted_lengths(request.num_ips, request.versions, pool) or ()
        found = []
        for version, length in zip(request.versions, lengths, strict=True):
            tightest = self._buddies[pool.name, version].tightest(length)
            if tightest is None:
                return None
            found.append(tightest)
        return tuple(found)

    def _take_from(self, pool: Pool, request: SubnetRequest) -> Grant:
        strategy = request.strategy or pool.strategy
        lengths = wanted_lengths(request.num_ips, request.versions, pool) or ()
        blocks = tuple(
            block
            for version, length in zip(request.versions, lengths, strict=True)
            if (block := self._buddies[pool.name, version].allocate(length, strategy))
        )
        sizes = " and ".join(f"/{block.prefix_length}" for block in blocks)
        why = f"{strategy} in pool {pool.name}: {request.num_ips} usable addresses need {sizes}"
        return Grant(pool.name, blocks, Reason("block", blocks[0].size, "addresses", why))

    def _exhausted(self, request: SubnetRequest, pools: Iterable[Pool]) -> Refusal:
        because = tuple(self._shortage(request, pool) for pool in pools)
        would = max((int(r.value or 0) for r in because), default=0)
        hint = f"at most {would} addresses fit now; ask for fewer, or release a subnet" if would else "release a subnet"
        why = f"no free block for {request.num_ips} addresses at {request.location}; {hint}"
        return Refusal("exhausted", Reason("free addresses", would, "addresses", why, because))

    def _shortage(self, request: SubnetRequest, pool: Pool) -> Reason:
        """Tell of one pool what it lacks; ``value`` is how many usable addresses it could still give at once."""
        lengths = wanted_lengths(request.num_ips, request.versions, pool) or ()
        tellings, could = [], []
        for version, length in zip(request.versions, lengths, strict=True):
            largest = self._buddies[pool.name, version].largest_free
            fits = largest is not None and largest.prefix_length <= pool.lengths(version)[1]
            could.append(usable(version, largest.prefix_length) if largest and fits else 0)
            tellings.append(f"IPv{version} needs a /{length}, the largest free block is {largest or 'none'}")
        return Reason(f"pool {pool.name}", min(could), "usable addresses", "; ".join(tellings))


def _no_bandwidth(request: SubnetRequest, pools: Iterable[Pool], usage: Usage) -> Refusal:
    left = {pool.name: pool.bandwidth_mbps - usage.bandwidth_mbps[pool.name] for pool in pools}
    because = tuple(Reason(f"pool {name}", mbps, "Mbit/s", "bandwidth that is left") for name, mbps in left.items())
    most = max(left.values(), default=0.0)
    why = f"{request.bandwidth_mbps:g} Mbit/s are not left at {request.location}; at most {most:g} would do now"
    return Refusal("bandwidth_exhausted", Reason("bandwidth", most, "Mbit/s", why, because))
