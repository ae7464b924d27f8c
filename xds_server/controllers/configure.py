"""Configure: makes a node have the interfaces that the control plane wants, and keeps it so.

Takes offers (``take``) and looks again from time to time (a Step, see ``base``), so that what somebody else undid is
repaired and told. Reads a node through ports.NodeConfigurator. Knows what is wanted. Does not know how a node is
configured, nor how the control plane is heard.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from xds_server.domain.interfaces import Interface
from xds_server.domain.names import SubnetId
from xds_server.ports import Clock, NodeConfigurator

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the control plane wants changed. ``unreadable``: name -> why it cannot even be understood.

    ``complete``: what is not in it is not wanted (the first of a process: nothing is remembered from before).
    """

    wanted: Mapping[SubnetId, Interface]
    unwanted: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False


class Configure:
    """One node. Until the first complete offer nothing is touched: what is there may well be wanted.

    ``broken`` is called with the subnets that were accepted once and can no longer be had.
    """

    name = "configure"

    def __init__(self, node: NodeConfigurator, clock: Clock, every_s: float) -> None:
        self._node = node
        self._clock = clock
        self._every_s = every_s
        self.broken: Callable[[frozenset[SubnetId]], None] = lambda _: None
        self._lock = asyncio.Lock()
        self._known = False
        self.wanted: dict[SubnetId, Interface] = {}
        self.refused: Mapping[SubnetId, str] = {}
        self.repairs = 0

    async def take(self, offer: Offer) -> Mapping[str, str]:
        """Make an offer true; return what was refused, by name, in the node's words ({}: all is configured).

        Raises Unavailable when the node cannot be asked; then the offer stands and is tried again.
        """
        async with self._lock:
            stale = {} if offer.complete else self._older(offer.wanted)
            if offer.complete:
                self.wanted = {}
            for name in offer.unwanted:
                self.wanted.pop(SubnetId(name), None)
            self.wanted |= {subnet: wish for subnet, wish in offer.wanted.items() if subnet not in stale}
            self._known = self._known or offer.complete
            self.refused = await self._node.reconcile(self.wanted)
            touched = offer.wanted.keys()
            _log.info("interfaces configured", wanted=len(self.wanted), refused=dict(self.refused))
            told = {str(subnet): why for subnet, why in (*stale.items(), *self.refused.items()) if subnet in touched}
            return {**offer.unreadable, **told}

    def _older(self, wanted: Mapping[SubnetId, Interface]) -> dict[SubnetId, str]:
        return {
            subnet: f"generation {wish.generation} is older than {held.generation}, which is configured"
            for subnet, wish in wanted.items()
            if (held := self.wanted.get(subnet)) is not None and wish.generation < held.generation
        }

    # ---- the step of a controller: look, repair
    async def wait(self) -> None:
        """Wait until it is time to look again."""
        await self._clock.sleep(self._every_s)

    async def step(self) -> None:
        """Repair what differs from what is wanted, and say so."""
        async with self._lock:
            if not self._known:
                return
            differs = await self._node.observe(self.wanted)
            if not differs:
                return
            before, self.refused = self.refused, await self._node.reconcile(self.wanted)
            repaired = {s: words for s, words in differs.items() if s not in self.refused}
            if repaired:
                self.repairs += len(repaired)
                _log.warning("interfaces were changed by somebody else; repaired", subnets=repaired)
            lost = frozenset(self.refused.keys() - before.keys())
            if lost:
                _log.error("interfaces cannot be repaired", subnets={s: self.refused[s] for s in lost})
                self.broken(lost)
