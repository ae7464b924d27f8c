"""Provision: moves every allocation on: node, listener acknowledged, active; and back: drained, removed, cooling.

Reads: the ledger, the front-end nodes, how network fabrics stand. Writes: moves in the ledger. Knows when to look
again. Does not know the rules: those are ``decisions.provisioning``.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from xds_server.controllers.attach import Fabrics
from xds_server.controllers.front_ends import FrontEnds, Presence
from xds_server.controllers.waking import newer_or_due
from xds_server.decisions.placement import listeners
from xds_server.decisions.provisioning import Patience, Scene, Sight, next_move
from xds_server.domain.names import NodeId, SubnetId
from xds_server.domain.networks import serving_address
from xds_server.domain.subnets import Allocation, Phase, SubnetPlan
from xds_server.ports import Clock
from xds_server.state.ledger import Ledger, Move
from xds_server.state.watchable import Watchable

_MOMENT_S = 1e-9
_MOVING = (Phase.PROVISIONING, Phase.ERROR, Phase.RELEASING, Phase.ACTIVE)


class Provision:
    """One move per allocation and step; each move is durable before the next one is thought of."""

    name = "provision"

    def __init__(
        self,
        ledger: Ledger,
        front_ends: FrontEnds,
        presence: Presence,
        patience: Patience,
        clock: Clock,
        *,
        named_by: Callable[[str], str] = lambda _: "",
        fabrics: Fabrics | None = None,
    ) -> None:
        """Take ``named_by``: who outside still tells clients of an address, '' for nobody; ``fabrics``: who routes."""
        self._ledger = ledger
        self._front_ends = front_ends
        self._presence = presence
        self._patience = patience
        self._clock = clock
        self._named_by = named_by
        self._fabrics = fabrics or Fabrics({}, Watchable(SubnetPlan()))
        self._seen = (-1, -1)
        self._fabrics_seen = self._fabrics.seen()
        self._due_s = math.inf
        self._unserved: dict[SubnetId, float] = {}  # since when, of active ones whose node is here

    async def wait(self) -> None:
        """Wait for a changed ledger, a change among the nodes, or the end of a pause."""
        await newer_or_due(
            self._clock,
            self._due_s - self._clock.wall(),
            (self._ledger.allocations, self._seen[0]),
            (self._front_ends.changed, self._seen[1]),
            *self._fabrics_seen,
        )

    async def step(self) -> None:
        """Move everything that can move."""
        await self._ledger.load()
        self._seen = (self._ledger.allocations.revision, self._front_ends.changed.revision)
        self._fabrics_seen = self._fabrics.seen()
        nodes = self._presence.look()
        load = {node: len(wanted) for node, wanted in listeners(self._ledger.allocations.value.values()).items()}
        with_agent = {node for node in nodes if self._front_ends.has_agent(node)}
        scene = Scene(self._clock.wall(), nodes, load, self._patience, with_agent)
        grace_left_s = self._presence.grace_left_s
        self._due_s = scene.now_s + grace_left_s if grace_left_s > 0 else math.inf
        moves = []
        self._unserved = {id_: since for id_, since in self._unserved.items() if id_ in self._ledger.allocations.value}
        for allocation in self._ledger.in_phase(*_MOVING):
            outcome = next_move(allocation, self._sight(allocation), scene)
            if isinstance(outcome, Allocation):
                action = "noted" if outcome.phase is allocation.phase else outcome.phase.value
                moves.append(Move(allocation, outcome, action))
                _balance(load, allocation, outcome)
            else:
                self._due_s = min(self._due_s, outcome)
        await self._ledger.write(moves, scene.now_s, self.name)

    def _sight(self, allocation: Allocation) -> Sight:
        if allocation.phase is Phase.RELEASING:
            return replace(self._node_sight(allocation), fabric=self._fabrics.holding(allocation))
        missing = self._fabrics.missing(allocation)
        why = self._fabrics.refusal(allocation) if missing else ""
        silent = self._fabrics.silent(allocation)
        return replace(self._node_sight(allocation), fabric=missing, fabric_refusal=why, fabric_silent=silent)

    def _node_sight(self, allocation: Allocation) -> Sight:
        node, named = allocation.node, self._named(allocation)
        if named and not allocation.listening:
            return Sight(named=named)
        if node is None or allocation.phase is Phase.ERROR:
            return Sight()
        missing_s = self._presence.missing_s(node) if self._presence.lost(node) else None
        if missing_s is not None:
            return Sight(missing_s)
        front_ends = self._front_ends
        has_agent, refusal = front_ends.has_agent(node), front_ends.refusal(allocation) if allocation.attached else ""
        if allocation.phase is Phase.ACTIVE:
            unserved_s = self._unserved_s(allocation)
            late = unserved_s >= self._patience.provision_timeout_s
            problem = front_ends.problem(allocation) if late else ""
            return Sight(unserved_s=unserved_s, problem=problem, has_agent=has_agent, refusal=refusal)
        if not allocation.listening:
            detached = has_agent and front_ends.detached(allocation)
            return Sight(silent=front_ends.silent(allocation), has_agent=has_agent, detached=detached)
        serving, attached = front_ends.serving(allocation), has_agent and front_ends.attached(allocation)
        problem = "" if serving else front_ends.problem(allocation)
        return Sight(serving=serving, problem=problem, has_agent=has_agent, attached=attached, refusal=refusal)

    def _unserved_s(self, allocation: Allocation) -> float:
        """Return for how long an active subnet's node is here without serving it; 0 while it serves or is away."""
        here = allocation.node is not None and self._presence.missing_s(allocation.node) is None
        if not here or self._front_ends.serving(allocation):
            self._unserved.pop(allocation.id, None)
            return 0.0
        now = self._clock.now()
        return max(now - self._unserved.setdefault(allocation.id, now), _MOMENT_S)

    def _named(self, allocation: Allocation) -> str:
        if allocation.phase is not Phase.RELEASING:
            return ""
        address = serving_address(allocation)
        return self._named_by(address) if address else ""


def _balance(load: dict[NodeId, int], old: Allocation, new: Allocation) -> None:
    """Let the next placement of this step see what this one chose."""
    if new.listening and new.node is not None and not (old.listening and old.node == new.node):
        load[new.node] = load.get(new.node, 0) + 1
